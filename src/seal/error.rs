//! Errors of sealing and opening; each names the part at fault.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{RecipientsError, SealedManifestError, ShareIndex};
use crate::checkpoint;
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, SealingKey};

/// A chunk, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkName {
    /// The path of its file.
    pub path: String,
    /// Its index in the file, from 0.
    pub index: u64,
}

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chunk {} of {}", self.index, self.path)
    }
}

/// A checkpoint cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum Error {
    /// A file operation failed; `action` is a verb phrase.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The plain checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The recipients are invalid.
    #[error(transparent)]
    Recipients(#[from] RecipientsError),
    /// The sealed manifest is invalid.
    #[error("sealed manifest: {0}")]
    Manifest(#[from] SealedManifestError),
    /// The sealed manifest is not the one that a grant or the catalogue names.
    #[error("sealed manifest: SHA-256 is {found}, not {expected}")]
    ManifestDigest { expected: Sha256Digest, found: Sha256Digest },
    /// The file of sealed shares is invalid.
    #[error("sealed shares: {reason}")]
    Shares { reason: String },
    /// The folder is not a sealed checkpoint; `name` is the missing file.
    #[error("{} is not a sealed checkpoint: it has no {name}", folder.display())]
    NotSealed { folder: PathBuf, name: &'static str },
    /// A chunk's file is missing.
    #[error("{chunk} is missing: {sha256}")]
    ChunkMissing { chunk: ChunkName, sha256: Sha256Digest },
    /// A chunk does not have the size in the manifest, both in bytes.
    #[error("{chunk}: has {found} bytes, not {expected}")]
    ChunkSize { chunk: ChunkName, expected: u64, found: u64 },
    /// A chunk's ciphertext does not have the digest in the manifest.
    #[error("{chunk}: SHA-256 is {found}, not {expected}")]
    ChunkDigest { chunk: ChunkName, expected: Sha256Digest, found: Sha256Digest },
    /// A chunk's tag is invalid.
    #[error("{chunk} does not open with this checkpoint's key: it was not sealed as a part of it")]
    ChunkNotOpened { chunk: ChunkName },
    /// An opened file does not have the digest in the manifest.
    #[error("{path}: SHA-256 of the opened file is {found}, not {expected}")]
    PlainDigest { path: String, expected: Sha256Digest, found: Sha256Digest },
    /// The checkpoint has no such file, or the file is too long to be held in memory.
    #[error("{path} is not a small file of this checkpoint")]
    NotASmallFile { path: String },
    /// The board has no share of this index.
    #[error("there is no share {index} on this checkpoint's board")]
    NoSuchShare { index: ShareIndex },
    /// The key is not a member's.
    #[error("{key_id} is not on this checkpoint's board")]
    NotOnBoard { key_id: KeyId },
    /// A share does not match the commitment in the manifest.
    #[error("share {index}, of board member {member}, is not the share that the manifest commits to")]
    WrongShare { index: ShareIndex, member: KeyId },
    /// A sealed share does not open.
    #[error(
        "share {index}, of board member {member}, does not open: it was altered, or sealed to another key or for another grant"
    )]
    ShareNotOpened { index: ShareIndex, member: KeyId },
    /// A share is given twice.
    #[error("share {index} is given twice; each share counts once")]
    ShareTwice { index: ShareIndex },
    /// Too few distinct shares for the board's threshold.
    #[error("{have} shares of the board's key; {need} are required")]
    TooFewShares { have: usize, need: u8 },
    /// The two locks' keys are not this checkpoint's.
    #[error("the board's and the registry's key do not yield the content key that the manifest commits to")]
    WrongKey,
    /// HPKE: the message does not open.
    #[error(
        "the message sealed as `{purpose}` does not open: it was altered, or sealed to another key or in another context"
    )]
    NotOpened { purpose: &'static str },
    /// HPKE: the recipient's key is unusable.
    #[error("cannot seal to {to}: it is not a usable X25519 key")]
    Unsealable { to: SealingKey },
    /// A file changed while it was sealed.
    #[error("{path} changed while it was sealed; its sealed parts were deleted")]
    SourceChanged { path: String },
    /// The destination has no file name, such as `/` or `..`.
    #[error("{} does not name a new folder", destination.display())]
    NotAFolderName { destination: PathBuf },
    /// The destination exists and is something else.
    #[error("{} already exists and is not this checkpoint, sealed to these recipients", destination.display())]
    DestinationExists { destination: PathBuf },
    /// Another process writes to the same folder.
    #[error("another process is writing {}", destination.display())]
    Busy { destination: PathBuf },
    /// JSON could not be serialized; no known cause.
    #[error("cannot encode: {source}")]
    Encode { source: serde_json::Error },
    /// AES-GCM refused a key or a length; no known cause.
    #[error("the cipher refused a chunk")]
    Cipher,
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Busy { .. } => true,
            Self::Checkpoint(error) => error.is_passing(),
            _ => false,
        }
    }

    /// For `map_err`: adds the action and the path to a system error.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
