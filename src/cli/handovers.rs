//! A stage in which the registry grants by itself opens once the board has handed over its shares: how far it is with that, told to its
//! members until it is done, and to those who wait for it.

use std::collections::BTreeSet;

use super::failure::Refusal;
use super::home::Home;
use super::output::Output;
use super::registry;
use crate::access::{Handover, RulesInForce, Statements, verify_handover};
use crate::catalogue::Subject;
use crate::client::Catalogue;
use crate::identity::VerifyingKey;
use crate::name::CheckpointId;
use crate::seal::SealedManifest;
use crate::statement::Predicate as _;

/// Shares that are missing.
pub(super) struct MissingShares {
    given: BTreeSet<VerifyingKey>,
    needed: usize,
}

impl MissingShares {
    /// What is missing of a checkpoint's shares, if its stage asks for them and there are not enough. Only members of its board may read
    /// who handed over theirs.
    pub(super) fn find(
        catalogue: &Catalogue,
        statements: &dyn Statements,
        rules: &RulesInForce,
    ) -> anyhow::Result<Option<Self>> {
        if !is_granted_by_registry(rules) {
            return Ok(None);
        }
        let manifest = SealedManifest::parse(&catalogue.sealed_manifest(&rules.checkpoint)?)?;
        let mut given = BTreeSet::new();
        for found in statements.list(Handover::KIND)? {
            if let Ok(handover) = verify_handover(&found.envelope, (rules, &manifest)) {
                given.extend(handover.signers().iter().copied());
            }
        }
        let needed = usize::from(manifest.seal.board.threshold);
        Ok((given.len() < needed).then_some(Self { given, needed }))
    }

    /// Whether this member's share is among those that are missing.
    pub(super) fn lacks(&self, member: &VerifyingKey) -> bool {
        !self.given.contains(member)
    }
}

impl std::fmt::Display for MissingShares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} shares handed over", self.given.len(), self.needed)
    }
}

/// Whether the registry itself grants in the stage in force.
pub(super) fn is_granted_by_registry(rules: &RulesInForce) -> bool {
    rules.policy.stage(&rules.stage).is_some_and(|stage| stage.approvals.is_empty())
}

/// What a member types to hand over their share.
pub(super) fn handover_command(checkpoint: &CheckpointId) -> String {
    format!("portcullis handover {checkpoint}")
}

/// What is left to do for checkpoints whose change was just published, a line each; nothing if this home may not read it.
pub(super) fn next_steps(home: &Home, published: &[Subject], output: Output) -> String {
    let line = |subject: &Subject| {
        let Subject::Board(checkpoint) = subject else { return None };
        let catalogue = registry::catalogue(home, output).ok()?;
        let rules = catalogue.rules_in_force(checkpoint).ok()?;
        let statements = registry::statements(home, output).ok()?;
        let missing = MissingShares::find(&catalogue, &*statements, &rules).ok()??;
        Some(format!(
            "  next: `{}` ({missing}); the registry grants nothing before that\n",
            handover_command(checkpoint)
        ))
    };
    published.iter().filter_map(line).collect()
}

/// Why the registry has not granted what it grants by itself: it has taken the request, and lacks the board's shares.
pub(super) fn refusal(rules: &RulesInForce, request: &str) -> Refusal {
    let RulesInForce { checkpoint, stage, .. } = rules;
    Refusal::denied(
        format!(
            "{checkpoint} is in stage `{stage}`, where the registry grants by itself, and its board has not handed over its shares yet"
        ),
        format!(
            "its members run `{}`; your request {request} waits until then; ask {}",
            handover_command(checkpoint),
            rules.contacts
        ),
    )
}
