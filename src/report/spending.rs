//! Tokens by person and checkpoint, and any 24 hours that exceeded the stage's limit.

use std::collections::BTreeMap;

use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::time::Timestamp;

const DAY: i64 = 24 * 3600;

/// A generation under a limit.
#[derive(Debug, Clone, Copy)]
struct Spend {
    at: Timestamp,
    /// Generated tokens; the promised maximum until they are known.
    tokens: u64,
    limit: u64,
    /// The place of its log entry.
    place: u64,
}

/// A person and a checkpoint: several grants share one account (P10).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Account {
    pub(super) person: KeyId,
    pub(super) checkpoint: CheckpointId,
}

/// The index of a generation in its account.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpendIndex(usize);

/// Generations under stages with a limit.
#[derive(Default)]
pub(super) struct Spending(BTreeMap<Account, Vec<Spend>>);

impl Spending {
    /// Adds a generation; returns its index.
    pub(super) fn begin(
        &mut self,
        account: &Account,
        at: Timestamp,
        promised: u64,
        limit: u64,
        place: u64,
    ) -> SpendIndex {
        let spends = self.0.entry(account.clone()).or_default();
        spends.push(Spend { at, tokens: promised, limit, place });
        SpendIndex(spends.len() - 1)
    }

    /// Sets the generated tokens of a generation.
    pub(super) fn end(&mut self, account: &Account, SpendIndex(index): SpendIndex, tokens: u64) {
        if let Some(spend) = self.0.get_mut(account).and_then(|spends| spends.get_mut(index)) {
            spend.tokens = tokens;
        }
    }

    /// The exceeded limits, with the places of their entries. Journals of several machines are synced one after the other, so overlaps are
    /// known only at the end.
    pub(super) fn excesses(self) -> Vec<(u64, String)> {
        self.0.into_iter().flat_map(|(account, spends)| excesses_of(&account, spends)).collect()
    }
}

fn excesses_of(account: &Account, mut spends: Vec<Spend>) -> Vec<(u64, String)> {
    spends.sort_by_key(|spend| (spend.at, spend.place));
    let (mut oldest, mut sum) = (0, 0_u64);
    let mut found = Vec::new();
    for spend in &spends {
        sum = sum.saturating_add(spend.tokens);
        while spend.at.seconds_since(spends[oldest].at) >= DAY {
            sum = sum.saturating_sub(spends[oldest].tokens);
            oldest += 1;
        }
        if sum > spend.limit {
            let Account { person, checkpoint } = account;
            let (person, at, limit) = (person.short(), spend.at, spend.limit);
            found.push((
                spend.place,
                format!("key {person}: {sum} tokens with {checkpoint} in the 24 hours to {at}, but {limit} are allowed"),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Signer as _, SigningKey};

    #[test]
    fn any_24_hours_are_counted_in_whatever_order_they_came_in() {
        let person = SigningKey::from_bytes(&[7; 32]).verifying_key().id();
        let account = Account { person, checkpoint: "tiny".parse().unwrap() };
        let at = |hours| Timestamp::from_unix_seconds(0).plus_hours(hours);
        let mut spending = Spending::default();
        for (place, hours, tokens) in [(1, 0, 60), (2, 30, 60), (3, 24, 40), (4, 20, 40)] {
            spending.begin(&account, at(hours), tokens, 100, place);
        }
        let promised = spending.begin(&account, at(80), 500, 100, 5);
        spending.end(&account, promised, 100);
        // 60 and 40 are within the limit; at 24 h the first is out of the window; at 30 h there are 40 + 40 + 60.
        insta::assert_debug_snapshot!(spending.excesses(), @r#"
        [
            (
                2,
                "key bfe1a83869e5: 140 tokens with tiny in the 24 hours to 1970-01-02T06:00:00Z, but 100 are allowed",
            ),
        ]
        "#);
    }
}
