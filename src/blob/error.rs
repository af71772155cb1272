//! Errors of the chunk store.

use std::io;
use std::path::PathBuf;

use crate::digest::Sha256Digest;

/// A chunk cannot be stored or read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum Error {
    /// A file operation failed.
    #[error("cannot read or write {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The object store failed.
    #[error("the chunk store failed: {0}")]
    Store(#[from] object_store::Error),
    /// The bytes do not have the digest under which they were submitted.
    #[error("the chunk's SHA-256 is {found}, not {expected}")]
    WrongDigest { expected: Sha256Digest, found: Sha256Digest },
    /// The runtime is shutting down.
    #[error("the program is shutting down")]
    Cancelled,
}
