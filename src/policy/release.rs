//! Whether the files that a board publishes for a checkpoint fit together: asked when they are proposed, when they are handed in, when
//! they are signed, and before they come into force.

use super::{Policy, StageName, Succession, require_succession};
use crate::catalogue::StageTarget;
use crate::name::CheckpointId;
use crate::seal::SealedManifest;

/// A checkpoint's files as they would come into force together.
#[derive(Debug, Clone, Default)]
pub struct ReleaseFiles {
    /// The policy's text.
    pub policy: Option<Vec<u8>>,
    /// The sealed manifest.
    pub manifest: Option<Vec<u8>>,
    /// The stage that the checkpoint is in.
    pub stage: Option<Vec<u8>>,
    /// The stage that is in force.
    pub published_stage: Option<Vec<u8>>,
    /// The policy's text that is in force.
    pub published_policy: Option<Vec<u8>>,
    /// The texts of all policies that were ever in force.
    pub earlier_policies: Vec<Vec<u8>>,
    /// Whether there is an agreement.
    pub has_agreement: bool,
}

/// Files that cannot come into force together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// No program could use the policy.
    #[error("the policy cannot be used: {reason}")]
    Policy {
        /// Why.
        reason: String,
    },
    /// No program could use the manifest.
    #[error("the manifest cannot be used: {reason}")]
    Manifest {
        /// Why.
        reason: String,
    },
    /// No program could use the stage.
    #[error("the stage cannot be used: {reason}")]
    Stage {
        /// Why.
        reason: String,
    },
    /// A file that is about another checkpoint.
    #[error("the {file} is for {found}, not for {checkpoint}")]
    OtherCheckpoint {
        /// Which file.
        file: &'static str,
        /// Which checkpoint it is of.
        found: String,
        /// Which checkpoint it was proposed for.
        checkpoint: CheckpointId,
    },
    /// A policy that may not follow those before it.
    #[error("the policy of {checkpoint} {source}")]
    Succession {
        /// Of which checkpoint.
        checkpoint: CheckpointId,
        /// Why not.
        source: Succession,
    },
    /// A stage that the policy does not have.
    #[error("the policy of {checkpoint} has no stage `{stage}`: it has {stages}")]
    NoStage {
        /// Of which checkpoint.
        checkpoint: CheckpointId,
        /// Which stage was named.
        stage: String,
        /// Those that it has.
        stages: String,
    },
    /// A stage without rules.
    #[error("{checkpoint} cannot be in stage `{stage}`: it has no policy yet")]
    NoPolicy {
        /// Of which checkpoint.
        checkpoint: CheckpointId,
        /// Which stage was named.
        stage: String,
    },
    /// A stage that the checkpoint is in: to enter it again would only count its days anew.
    #[error("{checkpoint} is already in stage `{stage}`: entering it again would restart its days")]
    InStage {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Which stage.
        stage: String,
    },
    /// The stage's agreement is nowhere.
    #[error("stage `{stage}` of {checkpoint} requires an agreement, but there is none")]
    NoAgreement {
        /// Of which checkpoint.
        checkpoint: CheckpointId,
        /// Which stage.
        stage: StageName,
    },
}

impl ReleaseFiles {
    /// Refuses files that do not fit together, or are another checkpoint's.
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
    /// A new stage file names a new stage.
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

    /// A text that came back under an old version, or that keeps grants which ended, would revive them.
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
        // What lies there and is newer than the one in force was never in force.
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
