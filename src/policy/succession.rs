//! Whether a policy may follow those that were in force before it.
//!
//! Versions only rise, and what a change of policy ended stays ended: a later policy keeps no grant that an earlier one ended, neither
//! because that one named a later version, nor because it permitted less. A grant is checked against the policy in force alone, so it is
//! the succession of policies that has to see to it.

use std::collections::BTreeSet;

use super::diff::{Effect, permission_changes};
use super::stage::Policy;
use super::word::StageName;

/// Why a policy may not follow those before it; its words begin with the verb.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Succession {
    /// Its version does not rise.
    #[error("is version {offered}, and version {published} is in force: versions only rise")]
    OldVersion {
        /// The version in force.
        published: u32,
        /// The version that is proposed.
        offered: u32,
    },
    /// It keeps grants that the policy in force did not keep.
    #[error(
        "keeps grants made under version {offered} or later, but grants made before version {least} have ended and cannot be revived"
    )]
    KeepsEnded {
        /// From which version on it keeps them.
        offered: u32,
        /// From which version on it may.
        least: u32,
    },
    /// It permits again what an earlier policy did not, and keeps grants from before that one.
    #[error(
        "keeps grants made under version {offered} or later and permits more than version {least}, which ended some of them ({taken}); ended grants cannot be revived"
    )]
    Revives {
        /// From which version on it keeps them.
        offered: u32,
        /// The version that ended some, and from which on it may keep them.
        least: u32,
        /// What that version took.
        taken: String,
    },
}

impl Succession {
    /// The earliest version from which on the policy may keep grants, if that is what is wrong with it.
    pub fn least_kept(&self) -> Option<u32> {
        match self {
            Self::OldVersion { .. } => None,
            Self::KeepsEnded { least, .. } | Self::Revives { least, .. } => Some(*least),
        }
    }
}

/// Refuses a policy that may not follow `earlier`: all that were in force before, in the order of their versions, the last one in force.
///
/// # Errors
/// [`Succession`].
pub fn require_succession(earlier: &[Policy], next: &Policy) -> Result<(), Succession> {
    let Some(before) = earlier.last() else { return Ok(()) };
    let (published, offered) = (before.version, next.version);
    if offered <= published {
        return Err(Succession::OldVersion { published, offered });
    }
    let (offered, least) = (next.keeps_grants_from, before.keeps_grants_from);
    if offered < least {
        return Err(Succession::KeepsEnded { offered, least });
    }
    // A grant of version `offered` or later that one of these ended, and that `next` permits, was permitted by all before that one.
    let pairs = earlier.iter().zip(earlier.iter().skip(1)).rev();
    for (older, newer) in pairs.filter(|(_, newer)| newer.version > offered) {
        let taken = differences(older, newer, Effect::Narrows);
        if !taken.is_empty() && !differences(newer, next, Effect::Widens).is_empty() {
            return Err(Succession::Revives { offered, least: newer.version, taken: taken.join("; ") });
        }
    }
    Ok(())
}

/// What `new` permits that `old` does not, or the other way round, or what cannot be told from their words alone.
fn differences(old: &Policy, new: &Policy, effect: Effect) -> Vec<String> {
    let names: BTreeSet<&StageName> = old.stages.iter().chain(&new.stages).map(|stage| &stage.name).collect();
    let mut found = Vec::new();
    for name in names {
        match (old.stage(name), new.stage(name)) {
            (Some(before), Some(after)) => {
                let changes = permission_changes(before, after).into_iter();
                let counts = |found: Effect| found == effect || found == Effect::Differs;
                let words = changes.filter(|change| counts(change.effect)).map(|change| change.words);
                found.extend(words.map(|words| format!("{name}: {words}")));
                // Grants that a board signed and those of the registry are not each other's.
                if before.approvals.is_empty() != after.approvals.is_empty() {
                    found.push(format!("{name}: other signers grant"));
                }
            }
            (Some(_), None) if effect == Effect::Narrows => {
                found.push(format!("the stage {name} was removed"))
            }
            (None, Some(_)) if effect == Effect::Widens => found.push(format!("{name} is a new stage")),
            _ => {}
        }
    }
    found
}
