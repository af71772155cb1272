//! The changes that wait for one person's signature, for `portcullis status`.

use super::workshop::Workshop;
use crate::catalogue::Repository;
use crate::cli::home::{Home, Place};
use crate::cli::output::Output;
use crate::cli::registry;
use crate::identity::VerifyingKey;

/// The roles of which a change is proposed that `key` may sign and did not, and how far each is, in words.
pub(in crate::cli) fn proposals_to_sign(
    home: &Home,
    key: &VerifyingKey,
    output: Output,
) -> anyhow::Result<Vec<(String, String)>> {
    // The copy to look at them in is made only if there are any.
    let is_quiet = match home.place()? {
        Place::Folder(_) => Repository::new(home.catalogue()?).proposals()?.is_empty(),
        Place::Address(address) => registry::remote(home, &address, output)?.proposals(true)?.is_empty(),
    };
    if is_quiet {
        return Ok(Vec::new());
    }
    let open = Workshop::open(home, output)?.repository().status()?.open;
    let waits = open.into_iter().filter(|standing| {
        let mut tallies = standing.tallies.iter();
        tallies.any(|tally| tally.quorum.keys().contains(key) && !tally.signed.contains(key))
    });
    let shown = waits.map(|standing| {
        let missing: usize = standing.tallies.iter().map(crate::catalogue::Tally::missing).sum();
        (standing.subject.to_string(), format!("{missing} more to sign"))
    });
    Ok(shown.collect())
}
