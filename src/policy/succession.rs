//! Whether a policy may follow the earlier ones.
//!
//! Versions only increase, and ended grants stay ended: a later policy may not keep grants that an earlier one ended, whether by a later
//! version or by permitting less. Grants are checked against the policy in force only, so this check must hold for each new policy.

use std::collections::BTreeSet;

use super::diff::{Effect, permission_changes};
use super::stage::Policy;
use super::word::StageName;

/// Why a policy may not follow the earlier ones; the message begins with the verb.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Succession {
    /// The version does not increase.
    #[error("is version {offered}, and version {published} is in force: versions only rise")]
    OldVersion { published: u32, offered: u32 },
    /// The policy keeps grants that the policy in force did not keep.
    #[error(
        "keeps grants made under version {offered} or later, but grants made before version {least} have ended and cannot be revived"
    )]
    KeepsEnded { offered: u32, least: u32 },
    /// The policy permits again what an earlier one did not, and keeps grants from before it.
    #[error(
        "keeps grants made under version {offered} or later and permits more than version {least}, which ended some of them ({taken}); ended grants cannot be revived"
    )]
    Revives { offered: u32, least: u32, taken: String },
}

impl Succession {
    /// The earliest version whose grants the policy may keep, if that is the problem.
    pub fn min_kept(&self) -> Option<u32> {
        match self {
            Self::OldVersion { .. } => None,
            Self::KeepsEnded { least, .. } | Self::Revives { least, .. } => Some(*least),
        }
    }
}

/// Refuses a policy that may not follow `earlier`: all earlier policies in the order of their versions, the last in force.
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
    // If one of these policies ended a kept grant that `next` permits, all policies before that one permitted it.
    let pairs = earlier.iter().zip(earlier.iter().skip(1)).rev();
    for (older, newer) in pairs.filter(|(_, newer)| newer.version > offered) {
        let taken = differences(older, newer, Effect::Narrows);
        if !taken.is_empty() && !differences(newer, next, Effect::Widens).is_empty() {
            return Err(Succession::Revives { offered, least: newer.version, taken: taken.join("; ") });
        }
    }
    Ok(())
}

/// What `new` permits and `old` does not, or the reverse, or what cannot be compared.
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
                // Grants by a board and grants by the registry do not replace each other.
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
