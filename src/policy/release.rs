//! Whether the files that a board publishes for a checkpoint fit together. Checked when they are proposed, submitted, signed, and
//! published.

use super::{Policy, StageName, Succession, require_succession};
use crate::catalogue::StageTarget;
use crate::name::CheckpointId;
use crate::seal::SealedManifest;

/// A checkpoint's files that would come into force together.
#[derive(Debug, Clone, Default)]
pub struct ReleaseFiles {
    /// The new policy's text.
    pub policy: Option<Vec<u8>>,
    /// The new sealed manifest.
    pub manifest: Option<Vec<u8>>,
    /// The new stage file.
    pub stage: Option<Vec<u8>>,
    /// The stage file in force.
    pub published_stage: Option<Vec<u8>>,
    /// The policy in force.
    pub published_policy: Option<Vec<u8>>,
    /// All policies that were ever in force.
    pub earlier_policies: Vec<Vec<u8>>,
    /// Whether there is an agreement.
    pub has_agreement: bool,
}

/// Files that cannot come into force together.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The policy cannot be used.
    #[error("the policy cannot be used: {reason}")]
    Policy { reason: String },
    /// The manifest cannot be used.
    #[error("the manifest cannot be used: {reason}")]
    Manifest { reason: String },
    /// The stage file cannot be used.
    #[error("the stage cannot be used: {reason}")]
    Stage { reason: String },
    /// A file is for another checkpoint.
    #[error("the {file} is for {found}, not for {checkpoint}")]
    OtherCheckpoint { file: &'static str, found: String, checkpoint: CheckpointId },
    /// The policy may not follow the earlier ones.
    #[error("the policy of {checkpoint} {source}")]
    Succession { checkpoint: CheckpointId, source: Succession },
    /// The policy does not have the stage.
    #[error("the policy of {checkpoint} has no stage `{stage}`: it has {stages}")]
    NoStage { checkpoint: CheckpointId, stage: String, stages: String },
    /// The checkpoint has a stage but no policy.
    #[error("{checkpoint} cannot be in stage `{stage}`: it has no policy yet")]
    NoPolicy { checkpoint: CheckpointId, stage: String },
    /// The checkpoint is in this stage already.
    #[error("{checkpoint} is already in stage `{stage}`: entering it again would restart its days")]
    InStage { checkpoint: CheckpointId, stage: String },
    /// The stage's agreement is missing.
    #[error("stage `{stage}` of {checkpoint} requires an agreement, but there is none")]
    NoAgreement { checkpoint: CheckpointId, stage: StageName },
}

impl ReleaseFiles {
    /// Refuses files that do not fit together, or are for another checkpoint.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn require_coherent(&self, checkpoint: &CheckpointId) -> Result<(), ReleaseError> {
        let policy = self.policy.as_deref().map(|bytes| policy_of(bytes, checkpoint)).transpose()?;
        self.require_succession(policy.as_ref(), checkpoint)?;
        if let Some(bytes) = &self.manifest {
            let manifest = SealedManifest::parse(bytes)
                .map_err(|error| ReleaseError::Manifest { reason: error.to_string() })?;
            require_same("manifest", manifest.plain.checkpoint.as_str(), checkpoint)?;
        }
        let Some(bytes) = &self.stage else { return Ok(()) };
        let target: StageTarget = crate::json::from_slice(bytes)
            .map_err(|error| ReleaseError::Stage { reason: error.to_string() })?;
        require_same("stage", target.checkpoint.as_str(), checkpoint)?;
        self.require_entered(bytes, &target, checkpoint)?;
        let (checkpoint, stage) = (checkpoint.clone(), target.stage.to_string());
        let Some(policy) = policy else {
            return Err(ReleaseError::NoPolicy { checkpoint, stage });
        };
        let Some(entered) = policy.stages.iter().find(|known| known.name.as_str() == stage) else {
            let stages: Vec<_> = policy.stages.iter().map(|stage| format!("`{}`", stage.name)).collect();
            return Err(ReleaseError::NoStage { checkpoint, stage, stages: stages.join(", ") });
        };
        if entered.agreement.is_some() && !self.has_agreement {
            return Err(ReleaseError::NoAgreement { checkpoint, stage: entered.name.clone() });
        }
        Ok(())
    }
}

impl ReleaseFiles {
    /// A new stage file must name another stage.
    fn require_entered(
        &self,
        bytes: &[u8],
        target: &StageTarget,
        checkpoint: &CheckpointId,
    ) -> Result<(), ReleaseError> {
        let published = self.published_stage.as_deref().filter(|published| *published != bytes);
        let published: Option<StageTarget> = published.and_then(|bytes| crate::json::from_slice(bytes).ok());
        match published.filter(|published| published.stage == target.stage) {
            Some(_) => {
                Err(ReleaseError::InStage { checkpoint: checkpoint.clone(), stage: target.stage.to_string() })
            }
            None => Ok(()),
        }
    }

    /// An earlier text under an old version, or a policy that keeps ended grants, would revive them.
    fn require_succession(
        &self,
        policy: Option<&Policy>,
        checkpoint: &CheckpointId,
    ) -> Result<(), ReleaseError> {
        let Some(policy) = policy.filter(|_| self.policy != self.published_policy) else { return Ok(()) };
        let read = |text: &Vec<u8>| policy_of(text, checkpoint).ok();
        let published = self.published_policy.as_ref().and_then(read);
        let others = self.earlier_policies.iter().filter(|text| Some(*text) != self.policy.as_ref());
        let mut earlier: Vec<_> = others.filter_map(read).collect();
        // A stored policy newer than the one in force was never in force.
        earlier.retain(|one| published.as_ref().is_none_or(|published| one.version < published.version));
        earlier.extend(published);
        earlier.sort_by_key(|policy| policy.version);
        require_succession(&earlier, policy)
            .map_err(|source| ReleaseError::Succession { checkpoint: checkpoint.clone(), source })
    }
}

fn policy_of(bytes: &[u8], checkpoint: &CheckpointId) -> Result<Policy, ReleaseError> {
    let policy = Policy::parse(&String::from_utf8_lossy(bytes))
        .map_err(|error| ReleaseError::Policy { reason: error.to_string() })?;
    require_same("policy", policy.checkpoint.as_str(), checkpoint)?;
    Ok(policy)
}

fn require_same(file: &'static str, found: &str, checkpoint: &CheckpointId) -> Result<(), ReleaseError> {
    if found == checkpoint.as_str() {
        return Ok(());
    }
    let found = found.chars().take(64).collect();
    Err(ReleaseError::OtherCheckpoint { file, found, checkpoint: checkpoint.clone() })
}
