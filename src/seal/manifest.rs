//! The sealed manifest: what the plain checkpoint is, and how it was sealed.
//!
//! Its bytes' digest is what grants cite, so a checkpoint's every byte hangs from a signature. Hostile until that digest was
//! compared, and bounded before it is parsed; whoever forges one chooses names of chunks (digests, never paths) and no more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::chunk::{CHUNK_TAG, ChunkSize};
use super::{Error, Recipients, ShareIndex};
use crate::checkpoint::manifest::{FILES, Manifest, ManifestError};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;

/// Longest accepted sealed manifest; that of GPT-2 1.5B takes about 200 kB.
pub(super) const MAX_SIZE: u64 = 16 << 20;

const SCHEMA: u32 = 1;

/// A sealed checkpoint's `manifest.json`. Invariants: each file has the chunks that its size demands; shares are numbered
/// from 1 in order; the threshold is between 1 and the number of members; no key id is there twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedManifest {
    schema: u32,
    /// The checkpoint that was sealed.
    pub plain: Manifest,
    /// How it was sealed.
    pub seal: Seal,
}

/// How a checkpoint was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Bytes of plaintext in a chunk.
    pub chunk_size: ChunkSize,
    /// The commitment to the content key.
    pub key_commitment: Sha256Digest,
    /// Who holds the one lock.
    pub board: Board,
    /// Who holds the other.
    pub registry: KeyId,
    /// The chunks of each file, in order.
    pub files: BTreeMap<String, Vec<ChunkEntry>>,
}

/// Who holds shares of the board's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// How many members open it together.
    pub threshold: u8,
    /// All members, in the order of their shares.
    pub members: Vec<Member>,
}

impl Board {
    /// The member who holds this share.
    pub fn member(&self, index: ShareIndex) -> Option<&Member> {
        self.members.iter().find(|member| member.index == index)
    }
}

/// A board member and the commitment to their share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Their signing key's id.
    pub key_id: KeyId,
    /// Which share is theirs.
    pub index: ShareIndex,
    /// What it is measured against.
    pub commitment: Sha256Digest,
}

/// A chunk by its ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkEntry {
    /// The ciphertext's SHA-256, which is the chunk's name.
    pub sha256: Sha256Digest,
    /// The ciphertext's size in bytes, tag included.
    pub size: u64,
}

/// A sealed manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealedManifestError {
    /// Not JSON, or not these fields.
    #[error("not a sealed manifest: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Longer than any may be.
    #[error("it has {size} bytes; at most {MAX_SIZE} are accepted")]
    TooLong {
        /// How long it is.
        size: u64,
    },
    /// Written by a later version.
    #[error("schema {found} is not supported; this version reads schema {SCHEMA}")]
    UnsupportedSchema {
        /// What it says.
        found: u32,
    },
    /// What it says of the plain checkpoint does not hold.
    #[error("the plain checkpoint: {0}")]
    Plain(#[from] ManifestError),
    /// Chunks of other files than the checkpoint has.
    #[error("it lists chunks of {found:?}, not of {FILES:?}")]
    WrongFiles {
        /// The files, at most eight of them.
        found: Vec<String>,
    },
    /// Too few chunks for a file's size, or too many.
    #[error("{path} of {size} bytes has {found} chunks, not {expected}")]
    ChunkCount {
        /// The file.
        path: String,
        /// Its size.
        size: u64,
        /// How many its size demands.
        expected: u64,
        /// How many are listed.
        found: usize,
    },
    /// A chunk's size is not the one that its place demands.
    #[error("chunk {index} of {path} has {found} bytes, not {expected}")]
    ChunkLength {
        /// The file.
        path: String,
        /// Which chunk, counted from 0.
        index: usize,
        /// What its place demands.
        expected: u64,
        /// What is listed.
        found: u64,
    },
    /// The board's shares are not numbered from 1, in order.
    #[error("the board's shares are numbered {found:?}, not 1 to their number")]
    ShareNumbers {
        /// The numbers.
        found: Vec<u8>,
    },
    /// A threshold that cannot be met, or none.
    #[error("a threshold of {threshold} of {members} members")]
    Threshold {
        /// The threshold.
        threshold: u8,
        /// How many members there are.
        members: usize,
    },
    /// One key twice among the holders of the locks.
    #[error("the key {key_id} holds more than one part of the locks")]
    HolderTwice {
        /// Which.
        key_id: KeyId,
    },
}

impl SealedManifest {
    /// Puts a manifest together; `files` holds each file's chunks.
    pub(super) fn new(plain: Manifest, seal: Seal) -> Result<Self, SealedManifestError> {
        Self { schema: SCHEMA, plain, seal }.checked()
    }

    /// Parses a sealed `manifest.json`.
    ///
    /// # Errors
    /// Every variant of [`SealedManifestError`].
    pub fn parse(json: &[u8]) -> Result<Self, SealedManifestError> {
        /// Read first, so that a later schema is named as such and not by its first unknown field.
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let size = json.len() as u64;
        if size > MAX_SIZE {
            return Err(SealedManifestError::TooLong { size });
        }
        let Schema { schema: found } = crate::json::from_slice(json)?;
        if found != SCHEMA {
            return Err(SealedManifestError::UnsupportedSchema { found });
        }
        crate::json::from_slice::<Self>(json)?.checked()
    }

    fn checked(mut self) -> Result<Self, SealedManifestError> {
        self.plain = self.plain.checked()?;
        if !self.seal.files.keys().eq(self.plain.files.iter().map(|file| &file.name)) {
            let found = self.seal.files.into_keys().take(8).collect();
            return Err(SealedManifestError::WrongFiles { found });
        }
        for file in &self.plain.files {
            let chunks = self.seal.files.get(&file.name).map_or(&[][..], Vec::as_slice);
            check_chunks(&file.name, file.size, self.seal.chunk_size, chunks)?;
        }
        check_holders(&self.seal.board, self.seal.registry)?;
        Ok(self)
    }

    /// The text of `manifest.json`; the same manifest always gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Encode`], for no reason that is known.
    pub fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n").map_err(|source| Error::Encode { source })
    }

    /// Every chunk's name and size, file by file; what a client fetches.
    pub fn chunks(&self) -> impl Iterator<Item = &ChunkEntry> {
        self.seal.files.values().flatten()
    }

    /// Bytes of ciphertext in all.
    pub fn sealed_size(&self) -> u64 {
        self.chunks().map(|chunk| chunk.size).sum()
    }

    /// Whether the locks are held by these, in this order.
    pub fn is_for(&self, recipients: &Recipients) -> bool {
        let members = self.seal.board.members.iter().map(|member| member.key_id);
        self.seal.board.threshold == recipients.threshold()
            && members.eq(recipients.board().iter().map(|member| member.key_id))
            && self.seal.registry == recipients.registry().key_id
    }
}

fn check_chunks(
    path: &str,
    size: u64,
    chunk_size: ChunkSize,
    chunks: &[ChunkEntry],
) -> Result<(), SealedManifestError> {
    let path = || path.to_owned();
    let (expected, found) = (chunk_size.count(size), chunks.len());
    if expected != found as u64 {
        return Err(SealedManifestError::ChunkCount { path: path(), size, expected, found });
    }
    for (index, chunk) in chunks.iter().enumerate() {
        let expected = chunk_size.length(size, index as u64) + CHUNK_TAG;
        if chunk.size != expected {
            let found = chunk.size;
            return Err(SealedManifestError::ChunkLength { path: path(), index, expected, found });
        }
    }
    Ok(())
}

fn check_holders(board: &Board, registry: KeyId) -> Result<(), SealedManifestError> {
    let (threshold, members) = (board.threshold, board.members.len());
    if threshold == 0 || usize::from(threshold) > members {
        return Err(SealedManifestError::Threshold { threshold, members });
    }
    let numbers = board.members.iter().map(|member| Some(member.index));
    if !numbers.eq((0..members).map(ShareIndex::of_position)) {
        let found = board.members.iter().map(|member| member.index.number()).collect();
        return Err(SealedManifestError::ShareNumbers { found });
    }
    let mut seen = BTreeSet::from([registry]);
    for member in &board.members {
        if !seen.insert(member.key_id) {
            return Err(SealedManifestError::HolderTwice { key_id: member.key_id });
        }
    }
    Ok(())
}
