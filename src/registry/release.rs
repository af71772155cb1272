//! Checks of a board's proposal as a whole, before it is accepted, reviewed or published.

use std::collections::BTreeMap;

use super::Error;
use crate::catalogue::{CheckpointFile, Repository, Subject};
use crate::name::CheckpointId;
use crate::policy::ReleaseFiles;

/// Refuses a proposal whose files do not fit together, or are for another checkpoint.
///
/// # Errors
/// [`Error::Release`]; what is wrong with the catalogue or the proposal.
pub fn require_coherent(repository: &Repository, checkpoint: &CheckpointId) -> Result<(), Error> {
    let file = |file| repository.proposed_file(checkpoint, file);
    let files = ReleaseFiles {
        policy: file(CheckpointFile::Policy)?,
        manifest: file(CheckpointFile::Manifest)?,
        stage: file(CheckpointFile::Stage)?,
        published_stage: repository.published_file(checkpoint, CheckpointFile::Stage)?,
        published_policy: repository.published_file(checkpoint, CheckpointFile::Policy)?,
        earlier_policies: repository.published_policies(checkpoint)?,
        has_agreement: file(CheckpointFile::Agreement)?.is_some(),
    };
    Ok(files.require_coherent(checkpoint)?)
}

/// The boards' open proposals that may not come into force, with the reasons.
///
/// # Errors
/// Errors of the catalogue or a proposal.
pub fn incoherent(repository: &Repository) -> Result<BTreeMap<CheckpointId, String>, Error> {
    let mut found = BTreeMap::new();
    for subject in repository.proposals()? {
        if let Subject::Board(checkpoint) = subject
            && let Err(error) = require_coherent(repository, &checkpoint)
        {
            found.insert(checkpoint, error.to_string());
        }
    }
    Ok(found)
}
