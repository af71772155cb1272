//! Tokens under each grant, and whether any 24 hours had more of them than the stage allowed.

use std::collections::BTreeMap;

use super::replay::short;
use crate::digest::Sha256Digest;
use crate::time::Timestamp;

const DAY: i64 = 24 * 3600;

/// A generation that counts against a limit.
#[derive(Debug, Clone, Copy)]
struct Spend {
    at: Timestamp,
    /// Tokens that came out; until that is known, those that were promised.
    tokens: u64,
    limit: u64,
    /// The entry of the log that tells of it.
    place: u64,
}

/// Which generation, of those of one grant.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpendIndex(usize);

/// What was generated under grants that have a limit.
#[derive(Default)]
pub(super) struct Spending(BTreeMap<Sha256Digest, Vec<Spend>>);

impl Spending {
    /// Takes down a generation that began.
    pub(super) fn begun(
        &mut self,
        grant: Sha256Digest,
        (at, promised): (Timestamp, u64),
        limit: u64,
        place: u64,
    ) -> SpendIndex {
        let spends = self.0.entry(grant).or_default();
        spends.push(Spend { at, tokens: promised, limit, place });
        SpendIndex(spends.len() - 1)
    }

    /// Takes down how many tokens came out.
    pub(super) fn ended(&mut self, grant: Sha256Digest, SpendIndex(index): SpendIndex, tokens: u64) {
        if let Some(spend) = self.0.get_mut(&grant).and_then(|spends| spends.get_mut(index)) {
            spend.tokens = tokens;
        }
    }

    /// Where a limit was exceeded, with the entry of the log. Journals of several machines come in one after the other: only at the end
    /// is it known what was generated at the same time.
    pub(super) fn excesses(self) -> Vec<(u64, String)> {
        self.0.into_iter().flat_map(|(grant, spends)| excesses_of(grant, spends)).collect()
    }
}

fn excesses_of(grant: Sha256Digest, mut spends: Vec<Spend>) -> Vec<(u64, String)> {
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
            let (grant, at, limit) = (short(grant), spend.at, spend.limit);
            found.push((
                spend.place,
                format!("grant {grant}: {sum} tokens in the 24 hours to {at}, and {limit} are allowed"),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_24_hours_are_counted_in_whatever_order_they_came_in() {
        let grant = Sha256Digest::from_bytes([7; 32]);
        let at = |hours| Timestamp::from_unix_seconds(0).plus_hours(hours);
        let mut spending = Spending::default();
        for (place, hours, tokens) in [(1, 0, 60), (2, 30, 60), (3, 24, 40), (4, 20, 40)] {
            spending.begun(grant, (at(hours), tokens), 100, place);
        }
        let promised = spending.begun(grant, (at(80), 500), 100, 5);
        spending.ended(grant, promised, 100);
        // 60 and 40 fit; at 24 h the first is out of the day; at 30 h there are 40 + 40 + 60.
        insta::assert_debug_snapshot!(spending.excesses(), @r#"
        [
            (
                2,
                "grant 070707070707: 140 tokens in the 24 hours to 1970-01-02T06:00:00Z, and 100 are allowed",
            ),
        ]
        "#);
    }
}
