//! What a policy says of itself and of entering a stage, checked before anyone signs.

use crate::catalogue::{CheckpointFile, Repository, StageTarget, Subject};
use crate::name::{CheckpointId, Label};
use crate::policy::{self, Policy, Standing, Verdict};
use crate::time::Timestamp;

/// A proposal whose files are looked at together.
pub(super) struct Conditions<'a> {
    /// Where it was made.
    pub(super) repository: &'a Repository,
    /// What it changes.
    pub(super) subject: &'a Subject,
    /// The time by which the policy is asked.
    pub(super) now: Timestamp,
}

impl Conditions<'_> {
    /// The rules of the policy, proposed or else published, that do not let the checkpoint enter `stage` now. The board may
    /// overrule its own policy's pace; the signers see that it does.
    pub(super) fn unmet(&self, stage: &Label) -> anyhow::Result<Vec<String>> {
        let Subject::Board(checkpoint) = self.subject else {
            return Ok(Vec::new());
        };
        let Some(policy) = self.policy(checkpoint)? else {
            return Ok(vec!["there is no policy yet".to_owned()]);
        };
        let Ok(to) = stage.as_str().parse() else {
            return Ok(vec![format!("`{stage}` is not a stage name")]);
        };
        let before = self.repository.published_file(checkpoint, CheckpointFile::Stage)?;
        let before: Option<StageTarget> = before.and_then(|bytes| crate::json::from_slice(&bytes).ok());
        let from = before.and_then(|before| Some((before.stage.as_str().parse().ok()?, before.since)));
        let standing = from.as_ref().map(|(stage, since)| Standing { stage, since: *since });
        // Evidence is cited by digest; its measurements are judged by those who sign.
        let entry = policy::may_enter(&policy, standing, &to, &[], self.now);
        let unmet = entry.rules().iter().filter(|rule| rule.verdict != Verdict::Passed);
        Ok(unmet.map(ToString::to_string).collect())
    }

    fn policy(&self, checkpoint: &CheckpointId) -> anyhow::Result<Option<Policy>> {
        let bytes = self.repository.proposed_file(checkpoint, CheckpointFile::Policy)?;
        Ok(bytes.and_then(|bytes| Policy::parse(&String::from_utf8_lossy(&bytes)).ok()))
    }
}
