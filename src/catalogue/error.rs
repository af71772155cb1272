//! What can be wrong with a catalogue, as its readers see it.

use std::io;
use std::path::{Path, PathBuf};

use super::target::TargetPathError;
use crate::digest::Sha256Digest;
use crate::statement::{CatalogueId, QuorumError, ThresholdNotMet};
use crate::time::Timestamp;

/// A catalogue cannot be read, or must not be believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was signed for another catalogue.
    #[error("{file} is for the catalogue {found}; this is the catalogue {expected}")]
    OtherCatalogue {
        /// Which file.
        file: String,
        /// The catalogue that it names.
        found: CatalogueId,
        /// The catalogue whose root is trusted.
        expected: CatalogueId,
    },
    /// It names no catalogue, as metadata of version 0.1 did.
    #[error("{file} does not name the catalogue that it is for: it must be signed anew")]
    NoCatalogue {
        /// Which file.
        file: String,
    },
    /// The disk refuses.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The place from which it is fetched does not answer.
    #[error("{reason}")]
    Unreachable {
        /// What happened.
        reason: String,
    },
    /// Another process works on the same state.
    #[error("another process is using {}", path.display())]
    Busy {
        /// Which folder.
        path: PathBuf,
    },
    /// No root of trust was given yet.
    #[error("no root of trust is in {}; none is ever taken from a server unasked", path.display())]
    NoRoot {
        /// The state that lacks it.
        path: PathBuf,
    },
    /// A root of trust is there, and the one given does not lead to it.
    #[error(
        "root version {trusted} is trusted already, and the root given (version {offered}) is another catalogue's"
    )]
    OtherRoot {
        /// Which version is trusted.
        trusted: u64,
        /// Which version was given.
        offered: u64,
    },
    /// A file is missing.
    #[error("the catalogue lacks {file}")]
    Missing {
        /// Which file.
        file: String,
    },
    /// A file is longer than it may be.
    #[error("{file} is longer than the {max} bytes it may have")]
    TooLong {
        /// Which file.
        file: String,
        /// How long it may be.
        max: u64,
    },
    /// Not TUF metadata, or not of this kind.
    #[error("{file} is not what it should be: {reason}")]
    Malformed {
        /// Which file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Too few distinct keys signed.
    #[error("{file} is not signed as it must be: {source}")]
    Threshold {
        /// Which file.
        file: String,
        /// Who should have signed, and how many did.
        source: ThresholdNotMet,
    },
    /// A role's threshold is out of its own reach.
    #[error("{file} sets a threshold that cannot be: {source}")]
    Quorum {
        /// Which file.
        file: String,
        /// Which threshold.
        source: QuorumError,
    },
    /// Not the version that the file above it names.
    #[error("{file} is version {offered}; it must be {expected}")]
    Version {
        /// Which file.
        file: String,
        /// The version that is due.
        expected: u64,
        /// The version that is there.
        offered: u64,
    },
    /// An older version than one already accepted.
    #[error("{file} is rolled back: version {offered} is offered, version {trusted} was accepted before")]
    Rollback {
        /// Which file.
        file: String,
        /// The version accepted before.
        trusted: u64,
        /// The version offered.
        offered: u64,
    },
    /// A role that was there is no longer listed.
    #[error("{file} leaves out {role}, which it listed before")]
    Dropped {
        /// Which file.
        file: String,
        /// What it no longer lists.
        role: String,
    },
    /// Too old to be believed.
    #[error("{file} expired on {expired}; it is {now}")]
    Expired {
        /// Which file.
        file: String,
        /// When.
        expired: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
    /// Not of the length that its metadata names.
    #[error("{file} has {found} bytes, not {expected}")]
    Length {
        /// Which file.
        file: String,
        /// What its metadata says.
        expected: u64,
        /// How many it has.
        found: u64,
    },
    /// Not the bytes that its metadata names.
    #[error("{file} has SHA-256 {found}, not {expected}")]
    Digest {
        /// Which file.
        file: String,
        /// What its metadata says.
        expected: Sha256Digest,
        /// What it has.
        found: Sha256Digest,
    },
    /// The clock runs behind what was seen.
    #[error("the clock says {now}, but this catalogue was checked at {seen} already")]
    Clock {
        /// What the clock says.
        now: Timestamp,
        /// The latest time at which the catalogue held.
        seen: Timestamp,
    },
    /// No role that may speak for this path lists it.
    #[error("the catalogue has no target `{path}`")]
    NoTarget {
        /// Which path.
        path: String,
    },
    /// Somebody else than the checkpoint's board speaks for its path.
    #[error("`{path}` is signed by the role {role}, not by the board of its checkpoint")]
    NotTheBoards {
        /// Which path.
        path: String,
        /// Who signed it.
        role: String,
    },
    /// Not a path that targets may have.
    #[error(transparent)]
    Path(#[from] TargetPathError),
    /// The state on this machine was damaged.
    #[error("the trusted state {} is damaged: {source}", path.display())]
    State {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
}

impl Error {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(super) fn malformed(file: &str, reason: impl ToString) -> Self {
        // Parsers quote what they read; what they read may be long.
        let reason = reason.to_string().chars().take(300).collect();
        Self::Malformed { file: file.to_owned(), reason }
    }
}
