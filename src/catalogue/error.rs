//! Errors of reading a catalogue.

use std::io;
use std::path::{Path, PathBuf};

use super::target::TargetPathError;
use crate::digest::Sha256Digest;
use crate::statement::{CatalogueId, QuorumError, ThresholdNotMet};
use crate::time::Timestamp;

/// A catalogue cannot be read or must not be trusted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum Error {
    /// The file was signed for another catalogue.
    #[error("{file} is for the catalogue {found}; this is the catalogue {expected}")]
    OtherCatalogue { file: String, found: CatalogueId, expected: CatalogueId },
    /// The file names no catalogue, like metadata of version 0.1.
    #[error("{file} does not name its catalogue; it must be signed again")]
    NoCatalogue { file: String },
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The remote does not respond.
    #[error("{reason}")]
    Unreachable { reason: String },
    /// Another process uses the same state.
    #[error("another process is using {}", path.display())]
    Busy { path: PathBuf },
    /// The state has no root of trust.
    #[error("no root of trust in {}; the root of trust is never taken from a server", path.display())]
    NoRoot { path: PathBuf },
    /// The state trusts another root, which the given root does not belong to.
    #[error(
        "root version {trusted} is already trusted; the given root (version {offered}) is of another catalogue"
    )]
    OtherRoot { trusted: u64, offered: u64 },
    /// A file is missing.
    #[error("the catalogue has no {file}")]
    Missing { file: String },
    /// A file exceeds the limit, in bytes.
    #[error("{file} has more than {max} bytes")]
    TooLong { file: String, max: u64 },
    /// The file is malformed or of another kind.
    #[error("{file} is malformed: {reason}")]
    Malformed { file: String, reason: String },
    /// Too few distinct keys signed.
    #[error("{file} does not have the required signatures: {source}")]
    Threshold { file: String, source: ThresholdNotMet },
    /// A role's threshold is zero or exceeds the number of its keys.
    #[error("{file} has an invalid threshold: {source}")]
    Quorum { file: String, source: QuorumError },
    /// The version is not the one that the parent metadata names.
    #[error("{file} is version {offered}; it must be {expected}")]
    Version { file: String, expected: u64, offered: u64 },
    /// The version is older than one accepted before.
    #[error(
        "{file} was rolled back: version {trusted} was accepted before, and the server has version {offered}"
    )]
    Rollback { file: String, trusted: u64, offered: u64 },
    /// A role that was listed before is missing.
    #[error("{file} no longer lists {role}")]
    Dropped { file: String, role: String },
    /// The file expired.
    #[error("{file} expired at {expired}; the time is {now}")]
    Expired { file: String, expired: Timestamp, now: Timestamp },
    /// The length is not the one in the metadata, both in bytes.
    #[error("{file} has {found} bytes, not {expected}")]
    Length { file: String, expected: u64, found: u64 },
    /// The digest is not the one in the metadata.
    #[error("{file} has SHA-256 {found}, not {expected}")]
    Digest { file: String, expected: Sha256Digest, found: Sha256Digest },
    /// The clock is behind the latest time at which the catalogue was valid.
    #[error("the clock says {now}, but this catalogue was already verified at {seen}")]
    Clock { now: Timestamp, seen: Timestamp },
    /// No role that is responsible for this path lists it.
    #[error("the catalogue has no target `{path}`")]
    NoTarget { path: String },
    /// Another role than the checkpoint's board lists the path.
    #[error("`{path}` is signed by the role {role}, not by the board of its checkpoint")]
    NotFromBoard { path: String, role: String },
    /// The text is not a valid target path.
    #[error(transparent)]
    Path(#[from] TargetPathError),
    /// The trusted state on this machine is damaged.
    #[error("the trusted state {} is damaged: {source}", path.display())]
    State { path: PathBuf, source: Box<Error> },
}

impl Error {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(super) fn malformed(file: &str, reason: impl ToString) -> Self {
        // Parsers quote their input, which may be long.
        let reason = reason.to_string().chars().take(300).collect();
        Self::Malformed { file: file.to_owned(), reason }
    }
}
