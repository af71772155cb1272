//! What can go wrong with chunks at rest.

use std::io;
use std::path::PathBuf;

use crate::digest::Sha256Digest;

/// A chunk cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refuses.
    #[error("cannot read or write {}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The store refuses.
    #[error("the store of chunks fails: {0}")]
    Store(#[from] object_store::Error),
    /// The bytes are not those that the name tells.
    #[error("the chunk's SHA-256 is {found}, not {expected}")]
    WrongDigest {
        /// By its name.
        expected: Sha256Digest,
        /// Of its bytes.
        found: Sha256Digest,
    },
    /// The program ends.
    #[error("the program is ending")]
    Cancelled,
}
