//! What can go wrong with sealing and opening; each names the part at fault.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{RecipientsError, SealedManifestError, ShareIndex};
use crate::checkpoint;
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, SealingKey};

/// A chunk by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkName {
    /// Its file.
    pub path: String,
    /// Which of the file's chunks, counted from 0.
    pub index: u64,
}

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chunk {} of {}", self.index, self.path)
    }
}

/// A checkpoint cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// The plain checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The locks' holders do not fit.
    #[error(transparent)]
    Recipients(#[from] RecipientsError),
    /// The sealed manifest cannot be used.
    #[error("sealed manifest: {0}")]
    Manifest(#[from] SealedManifestError),
    /// The sealed manifest is not the one that was agreed on.
    #[error("sealed manifest: SHA-256 is {found}, not {expected}")]
    ManifestDigest {
        /// The one agreed on.
        expected: Sha256Digest,
        /// Of these bytes.
        found: Sha256Digest,
    },
    /// The file of sealed shares cannot be used.
    #[error("sealed shares: {reason}")]
    Shares {
        /// Why.
        reason: String,
    },
    /// A folder that was never sealed.
    #[error("{} is not a sealed checkpoint: it has no {name}", folder.display())]
    NotSealed {
        /// The folder.
        folder: PathBuf,
        /// What it lacks.
        name: &'static str,
    },
    /// A chunk is not there.
    #[error("{chunk} is not there: {sha256} is missing")]
    ChunkMissing {
        /// Which.
        chunk: ChunkName,
        /// Its name.
        sha256: Sha256Digest,
    },
    /// A chunk is longer or shorter than the manifest says.
    #[error("{chunk}: has {found} bytes, not {expected}")]
    ChunkSize {
        /// Which.
        chunk: ChunkName,
        /// By the manifest.
        expected: u64,
        /// On disk.
        found: u64,
    },
    /// A chunk's ciphertext is not the one that the manifest names.
    #[error("{chunk}: SHA-256 is {found}, not {expected}")]
    ChunkDigest {
        /// Which.
        chunk: ChunkName,
        /// By the manifest.
        expected: Sha256Digest,
        /// Of the bytes.
        found: Sha256Digest,
    },
    /// A chunk's tag does not hold.
    #[error("{chunk} does not open under this checkpoint's key: it was not sealed as a part of it")]
    ChunkNotOpened {
        /// Which.
        chunk: ChunkName,
    },
    /// What came out of a file's chunks is not the file.
    #[error("{path}: SHA-256 of the opened file is {found}, not {expected}")]
    PlainDigest {
        /// The file.
        path: String,
        /// By the manifest.
        expected: Sha256Digest,
        /// Of the bytes.
        found: Sha256Digest,
    },
    /// No file of that name is in the checkpoint, or it is too long to be held whole.
    #[error("{path} is not a small file of this checkpoint")]
    NotASmallFile {
        /// What was asked for.
        path: String,
    },
    /// A share for a member that the board does not have.
    #[error("there is no share {index} on this checkpoint's board")]
    NoSuchShare {
        /// Its number.
        index: ShareIndex,
    },
    /// Not a member.
    #[error("{key_id} is not on this checkpoint's board")]
    NotOnBoard {
        /// Whose key id.
        key_id: KeyId,
    },
    /// Other bytes than the manifest commits to.
    #[error("share {index}, of board member {member}, is not the share that the manifest commits to")]
    WrongShare {
        /// Its number.
        index: ShareIndex,
        /// Whose it should be.
        member: KeyId,
    },
    /// A member's sealed share does not open.
    #[error(
        "share {index}, of board member {member}, does not open: it was altered, or sealed to another key or for another grant"
    )]
    ShareNotOpened {
        /// Its number.
        index: ShareIndex,
        /// Whose it is.
        member: KeyId,
    },
    /// One share, twice.
    #[error("share {index} is there twice; it counts once")]
    ShareTwice {
        /// Its number.
        index: ShareIndex,
    },
    /// The board's lock stays shut.
    #[error("{have} shares of the board's key; {need} are needed")]
    TooFewShares {
        /// How many distinct ones there are.
        have: usize,
        /// The threshold.
        need: u8,
    },
    /// The two keys are not this checkpoint's.
    #[error("the board's and the registry's key do not make the content key that the manifest commits to")]
    WrongKey,
    /// HPKE: the message does not open.
    #[error(
        "what was sealed as `{purpose}` does not open: it was altered, or sealed to another key or in another context"
    )]
    NotOpened {
        /// For what it was to be sealed.
        purpose: &'static str,
    },
    /// HPKE: nothing can be sealed to this key.
    #[error("nothing can be sealed to {to}: it is not a usable X25519 key")]
    Unsealable {
        /// The key.
        to: SealingKey,
    },
    /// A file changed between the check and the encryption.
    #[error("{path} changed while it was sealed; what was sealed of it is destroyed")]
    SourceChanged {
        /// The file.
        path: String,
    },
    /// A destination such as `/` or `..`, beside which nothing can be put together.
    #[error("{} does not name a new folder", destination.display())]
    NotAFolderName {
        /// What was given.
        destination: PathBuf,
    },
    /// The destination is there already, and is something else.
    #[error("{} exists already and is not this checkpoint, sealed to these", destination.display())]
    DestinationExists {
        /// The folder.
        destination: PathBuf,
    },
    /// Another process works on the same folder.
    #[error("another process is writing {}", destination.display())]
    Busy {
        /// The folder.
        destination: PathBuf,
    },
    /// Our own JSON could not be written; nothing known makes this happen.
    #[error("cannot encode: {source}")]
    Encode {
        /// Why.
        source: serde_json::Error,
    },
    /// AES-GCM refused a key or a length; nothing known makes this happen.
    #[error("the cipher refuses a chunk")]
    Cipher,
}

impl Error {
    /// Whether the same call may go well later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Busy { .. } => true,
            Self::Checkpoint(error) => error.is_passing(),
            _ => false,
        }
    }

    /// For `map_err`: names the action and the path of a failed system call.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
