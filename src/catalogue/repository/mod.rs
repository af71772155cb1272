//! The keepers' side of a catalogue: a folder in which changes are proposed, signed and published.
//!
//! ```text
//! metadata/   N.root.json, N.targets.json, N.<checkpoint>.json, N.snapshot.json, timestamp.json
//! targets/    <checkpoint>/<sha256>.policy.toml, misuse/<sha256>.rules.toml, cards/<sha256>.<key id>.json
//! proposals/  <role>/<role>.json, signed bit by bit, and <role>/targets/… for the files it brings
//! ```
//!
//! **Order of publishing.** Target files, boards' metadata, targets, snapshot, root, and last the timestamp, each written whole; then
//! the proposals are cleared. All but root and timestamp lie under new names that nobody reads before a timestamp names them, so a
//! kill leaves the old catalogue or the new one, and publishing again finishes. Where a new root changes keys, a kill between
//! its rename and the timestamp's leaves clients with a refusal, never with a falsehood, until publishing is repeated.
//!
//! Who can write here can add proposals and spoil files; signatures and digests are checked before anything is signed or
//! published, and what a proposal changes is measured against published metadata whose signatures hold.

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
pub use publish::{Held, Publication};
pub use receive::{Offer, Parcel, Received};
pub use review::{Change, Review, Status};
pub use sign::{Standing, Tally};

use super::durable::Lock;
use crate::identity::{Card, VerifyingKey};

/// Cards by key, for names.
pub type Roster = std::collections::BTreeMap<VerifyingKey, Card>;

/// How many days each role is believed after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// Of `root`.
    pub root: u32,
    /// Of `targets` and the boards' metadata.
    pub targets: u32,
    /// Of `snapshot`.
    pub snapshot: u32,
    /// Of `timestamp`: for so long can a server hide news.
    pub timestamp: u32,
}

impl Default for Days {
    fn default() -> Self {
        Self { root: 730, targets: 365, snapshot: 30, timestamp: 14 }
    }
}

/// A catalogue's folder, as its keepers use it.
#[derive(Debug, Clone)]
pub struct Repository {
    folder: PathBuf,
    /// What refusals call it.
    name: String,
}

impl Repository {
    /// The catalogue in this folder, which need not be there yet.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { name: folder.display().to_string(), folder }
    }

    /// The same, called otherwise in refusals: a private copy is no place that people know.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn lock(&self) -> Result<Lock, RepositoryError> {
        Ok(Lock::take(&self.folder)?)
    }

    fn none(&self) -> RepositoryError {
        RepositoryError::None { folder: self.name.clone() }
    }

    fn metadata(&self, file: &str) -> PathBuf {
        self.folder.join("metadata").join(file)
    }

    fn proposal(&self, subject: &Subject) -> PathBuf {
        self.folder.join("proposals").join(subject.to_string())
    }
}
