//! A public stage: the board hands its lock over to the registry, on the record (P1).
//!
//! Each member seals their share to the registry for one stage of one policy. With a threshold of shares the registry can answer
//! requests of that stage alone; in any other stage its grants count for nothing, whatever it holds.

use serde::{Deserialize, Serialize};

use super::Error;
use super::grant::require_own_share;
use super::rules::RulesInForce;
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::policy::StageName;
use crate::seal::{ResealedShare, SealedManifest};
use crate::statement::{Envelope, Predicate, Verified};
use crate::time::Timestamp;

/// A member's share, sealed to the registry for a stage that needs no approval. Its subject is the sealed manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// The policy that says no approval is needed.
    pub policy: Sha256Digest,
    /// The stage in which it says so.
    pub stage: StageName,
    /// The share, sealed to the registry with [`handover_context`] as context.
    pub share: ResealedShare,
    /// When.
    pub created: Timestamp,
}

impl Predicate for Handover {
    const KIND: &'static str = "handover";
}

/// What a share is bound to when it is handed over: the weights, and one stage of one policy.
pub fn handover_context(manifest: Sha256Digest, policy: Sha256Digest, stage: &StageName) -> Sha256Digest {
    let mut hasher = Sha256Hasher::default();
    hasher.update(format!("portcullis/v1/handover {manifest} {policy} {stage}").as_bytes());
    hasher.finish()
}

/// The handover of an envelope, if the member whose share it is signed it, for the stage in force.
///
/// # Errors
/// [`Error::Statement`], [`Error::OtherManifest`], [`Error::PolicyReplaced`], [`Error::StageMovedBack`],
/// [`Error::NotTheirShare`].
pub fn verify_handover(
    envelope: &Envelope,
    (rules, manifest): (&RulesInForce, &SealedManifest),
) -> Result<Verified<Handover>, Error> {
    let statement = envelope.statement::<Handover>(&rules.board.with_threshold_one())?;
    if statement.subject.digest != rules.manifest {
        return Err(Error::OtherManifest { found: statement.subject.digest, in_force: rules.manifest });
    }
    let handover = statement.map(|statement| statement.predicate);
    if handover.policy != rules.policy_digest {
        return Err(rules.policy_replaced("handover", None));
    }
    if handover.stage != rules.stage {
        let (granted, in_force) = (handover.stage.clone(), rules.stage.clone());
        return Err(Error::StageMovedBack { granted, in_force });
    }
    require_own_share(&handover.share, handover.signers(), manifest)?;
    Ok(handover)
}
