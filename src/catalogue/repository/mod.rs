//! Keeping a catalogue: a folder in which changes are proposed, signed and published.
//!
//! ```text
//! metadata/   N.root.json, N.targets.json, N.<checkpoint>.json, N.snapshot.json, timestamp.json
//! targets/    <checkpoint>/<sha256>.policy.toml, misuse/<sha256>.rules.toml, cards/<sha256>.<key id>.json
//! proposals/  <role>/<role>.json, which collects signatures, and <role>/targets/… for its new files
//! ```
//!
//! **Order of publishing.** Target files, boards' metadata, targets, snapshot, root, and last the timestamp, each written atomically; then the
//! proposals are removed. All files except root and timestamp have new names, which clients read only after a timestamp names them. So a
//! kill leaves the old catalogue or the new one, and publishing again completes it. If a new root changes keys, a kill between the
//! renames of the root and the timestamp makes clients refuse the catalogue, never accept a wrong one, until publishing is repeated.
//!
//! An attacker who can write here can add proposals and damage files. Signatures and digests are verified before anything is signed or
//! published, and proposals are compared with published metadata whose signatures are valid.

mod change;
mod drafts;
mod error;
mod found;
mod proposers;
mod publish;
mod published;
mod receive;
mod registrars;
mod review;
mod sign;

use std::path::{Path, PathBuf};

pub use change::{BoardPlan, Founding, Proposer, Rotation, Subject};
pub use error::RepositoryError;
pub use publish::{PendingProposal, Publication};
pub use receive::{Offer, Parcel, ReceiveOutcome};
pub use review::{Change, Review, Status};
pub use sign::{ProposalStatus, Tally};

use super::durable::Lock;
use crate::identity::{Card, VerifyingKey};

/// Cards by key, for names.
pub type Roster = std::collections::BTreeMap<VerifyingKey, Card>;

/// How many days after it is written each role expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// Of `root`.
    pub root: u32,
    /// Of `targets` and the boards' metadata.
    pub targets: u32,
    /// Of `snapshot`.
    pub snapshot: u32,
    /// Of `timestamp`: a server can withhold updates this long.
    pub timestamp: u32,
}

impl Default for Days {
    fn default() -> Self {
        Self { root: 730, targets: 365, snapshot: 30, timestamp: 14 }
    }
}

/// A catalogue's folder, for its keepers.
#[derive(Debug, Clone)]
pub struct Repository {
    folder: PathBuf,
    /// Its name in error messages.
    name: String,
}

impl Repository {
    /// The catalogue in `folder`, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { name: folder.display().to_string(), folder }
    }

    /// Sets another name for error messages, for example of a temporary copy.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn lock(&self) -> Result<Lock, RepositoryError> {
        Ok(Lock::take(&self.folder)?)
    }

    fn none(&self) -> RepositoryError {
        RepositoryError::NotFound { folder: self.name.clone() }
    }

    fn metadata(&self, file: &str) -> PathBuf {
        self.folder.join("metadata").join(file)
    }

    fn proposal(&self, subject: &Subject) -> PathBuf {
        self.folder.join("proposals").join(subject.to_string())
    }
}
