//! Keys, thresholds and dates in words, and as JSON.

use serde_json::{Value, json};

use crate::catalogue::{ProposalStatus, Roster, Tally};
use crate::identity::{Card, VerifyingKey};
use crate::time::Timestamp;

/// What a key's owner is called.
pub(super) fn name(key: &VerifyingKey, roster: &Roster) -> String {
    roster.get(key).map_or_else(|| format!("the key {}", key.id().short()), |card| card.name.to_string())
}

/// Several keys' owners, in the order of their names.
pub(super) fn names<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>, roster: &Roster) -> String {
    let mut names: Vec<_> = keys.into_iter().map(|key| name(key, roster)).collect();
    names.sort();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// Several keys' owners with the beginnings of their key ids, where a name alone would not do: anyone can call themselves Ada. A name that
/// may be taken for another's is pointed out.
pub(super) fn names_and_ids<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>, roster: &Roster) -> String {
    let person = |key: &VerifyingKey| match roster.get(key) {
        Some(card) => format!("{} (key {}{})", card.name, key.id().short(), caution(card, roster)),
        None => format!("the key {}", key.id().short()),
    };
    let mut people: Vec<_> = keys.into_iter().map(person).collect();
    people.sort();
    people.join(", ")
}

/// What in a name may deceive: letters of several scripts, or the looks of another's name.
fn caution(card: &Card, roster: &Roster) -> String {
    let mut caution = String::new();
    if card.name.has_mixed_scripts() {
        caution += "; BEWARE: letters of several scripts";
    }
    let is_alike = |other: &&Card| {
        other.verifying_key != card.verifying_key && other.name.is_confusable_with(&card.name)
    };
    if let Some(other) = roster.values().find(is_alike) {
        let id = other.verifying_key.id();
        caution += &format!("; BEWARE: looks like {}, key {}", other.name, id.short());
    }
    caution
}

/// `in 364 days`.
pub(super) fn from_now(time: Timestamp, now: Timestamp) -> String {
    match time.seconds_since(now) {
        seconds if seconds <= 0 => "expired".to_owned(),
        // A day that has begun counts whole.
        seconds => match (seconds + 24 * 3600 - 1) / (24 * 3600) {
            1 => "within a day".to_owned(),
            days => format!("in {days} days"),
        },
    }
}

/// `the owners (root): Olga signed, 1 more of Otto needed`.
pub(super) fn tally(tally: &Tally, roster: &Roster) -> String {
    let quorum = &tally.quorum;
    let signed = names(&tally.signed, roster);
    let rest = match tally.missing() {
        0 => "complete".to_owned(),
        missing => {
            let open = quorum.keys().iter().filter(|key| !tally.signed.contains(key));
            format!("{missing} more needed, of {}", names(open, roster))
        }
    };
    format!("{}: signed by {signed}; {rest}", quorum.name())
}

/// A proposal as JSON.
pub(super) fn standing_json(standing: &ProposalStatus, roster: &Roster) -> Value {
    let tallies = standing.tallies.iter().map(|tally| {
        json!({
            "quorum": tally.quorum.name(),
            "threshold": tally.quorum.threshold(),
            "missing": tally.missing(),
            "signed": people(&tally.signed, roster),
            "members": people(tally.quorum.keys(), roster),
        })
    });
    json!({
        "role": standing.subject.to_string(),
        "digest": standing.digest,
        "version": standing.version,
        "expires": standing.expires,
        "complete": standing.is_complete(),
        "quorums": tallies.collect::<Vec<_>>(),
    })
}

/// Keys with their owners' names as JSON.
pub(super) fn people<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>, roster: &Roster) -> Vec<Value> {
    let person = |key: &VerifyingKey| json!({ "key_id": key.id(), "name": roster.get(key).map(|card| card.name.as_str()) });
    keys.into_iter().map(person).collect()
}
