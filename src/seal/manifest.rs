//! The sealed manifest: describes the plain checkpoint and how it was sealed.
//!
//! Grants name the digest of its bytes, so signatures cover every byte of a checkpoint. A manifest is untrusted until its digest is
//! compared, and its size is bounded before it is parsed; a forged one can only choose the names of chunks (digests, never paths).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::chunk::{CHUNK_TAG, ChunkSize};
use super::{Error, Recipients, ShareIndex};
use crate::checkpoint::manifest::{FILES, Manifest, ManifestError};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;

/// Longest accepted sealed manifest, in bytes; that of GPT-2 1.5B has about 200 kB.
pub(super) const MAX_SIZE: u64 = 16 << 20;

const SCHEMA: u32 = 1;

/// A sealed checkpoint's `manifest.json`. Invariants: each file has the chunks that its size requires; shares are numbered from 1 in
/// order; the threshold is between 1 and the number of members; key ids are unique.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedManifest {
    schema: u32,
    /// The manifest of the plain checkpoint.
    pub plain: Manifest,
    /// How it was sealed.
    pub seal: Seal,
}

/// How a checkpoint was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The bytes of plaintext in a chunk.
    pub chunk_size: ChunkSize,
    /// The commitment to the content key.
    pub key_commitment: Sha256Digest,
    /// The holders of the board's lock.
    pub board: Board,
    /// The key id of the registry, which holds the other lock.
    pub registry: KeyId,
    /// The chunks of each file, by path, in order.
    pub files: BTreeMap<String, Vec<ChunkEntry>>,
}

/// The holders of shares of the board's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// How many shares open the lock.
    pub threshold: u8,
    /// All members, in the order of their shares.
    pub members: Vec<Member>,
}

impl Board {
    /// Returns the holder of a share.
    pub fn member(&self, index: ShareIndex) -> Option<&Member> {
        self.members.iter().find(|member| member.index == index)
    }
}

/// A board member and the commitment to their share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The id of the member's signing key.
    pub key_id: KeyId,
    /// The index of the member's share.
    pub index: ShareIndex,
    /// The commitment that the share must match ([`super::Share::commitment`]).
    pub commitment: Sha256Digest,
}

/// A chunk's ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkEntry {
    /// The ciphertext's SHA-256, also the chunk's file name.
    pub sha256: Sha256Digest,
    /// The ciphertext's size in bytes, with the tag.
    pub size: u64,
}

/// A sealed manifest is invalid.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum SealedManifestError {
    /// It is not JSON, or does not have these fields.
    #[error("not a sealed manifest: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It exceeds the limit.
    #[error("it has {size} bytes; at most {MAX_SIZE} are accepted")]
    TooLong { size: u64 },
    /// A later version of the program wrote it.
    #[error("schema {found} is not supported; this version reads schema {SCHEMA}")]
    UnsupportedSchema { found: u32 },
    /// The manifest of the plain checkpoint is invalid.
    #[error("the plain checkpoint: {0}")]
    Plain(#[from] ManifestError),
    /// It lists chunks of other files than the checkpoint's; `found` has at most eight of them.
    #[error("it lists chunks of {found:?}, not of {FILES:?}")]
    WrongFiles { found: Vec<String> },
    /// A file has too few or too many chunks for its size.
    #[error("{path} of {size} bytes has {found} chunks, not {expected}")]
    ChunkCount { path: String, size: u64, expected: u64, found: usize },
    /// A chunk does not have the size that its position requires.
    #[error("chunk {index} of {path} has {found} bytes, not {expected}")]
    ChunkLength { path: String, index: usize, expected: u64, found: u64 },
    /// The shares are not numbered from 1 in order.
    #[error("the board's shares are numbered {found:?}, not from 1 in order")]
    ShareNumbers { found: Vec<u8> },
    /// The threshold is zero or exceeds the number of members.
    #[error("invalid threshold: {threshold} of {members} members")]
    Threshold { threshold: u8, members: usize },
    /// A key holds several parts of the locks.
    #[error("the key {key_id} holds more than one part of the locks")]
    HolderTwice { key_id: KeyId },
}

impl SealedManifest {
    /// Makes a manifest and validates it.
    pub(super) fn new(plain: Manifest, seal: Seal) -> Result<Self, SealedManifestError> {
        Self { schema: SCHEMA, plain, seal }.validate()
    }

    /// Parses a sealed `manifest.json`.
    ///
    /// # Errors
    /// Every variant of [`SealedManifestError`].
    pub fn parse(json: &[u8]) -> Result<Self, SealedManifestError> {
        /// Parsed first, so that the error for a later schema does not name an unknown field.
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
        crate::json::from_slice::<Self>(json)?.validate()
    }

    fn validate(mut self) -> Result<Self, SealedManifestError> {
        self.plain = self.plain.validate()?;
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

    /// Serializes `manifest.json`; equal manifests give equal bytes.
    ///
    /// # Errors
    /// [`Error::Encode`], without a known cause.
    pub fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n").map_err(|source| Error::Encode { source })
    }

    /// Iterates over the chunks of all files, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &ChunkEntry> {
        self.seal.files.values().flatten()
    }

    /// Returns the total ciphertext size in bytes.
    pub fn sealed_size(&self) -> u64 {
        self.chunks().map(|chunk| chunk.size).sum()
    }

    /// Whether these recipients hold the locks, in this order.
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
    if !numbers.eq((0..members).map(ShareIndex::from_position)) {
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
