//! Chunks: how a file is divided, and AES-256-GCM over one chunk.
//!
//! The nonce is the chunk's index as 96 bits, big-endian. Each file has its own key ([`super::content`]), so no pair of key and nonce
//! encrypts two plaintexts. The associated data name the checkpoint, the path, the index and whether the chunk is the last: chunks cannot
//! be moved, swapped between files or removed from the end. An empty file is one empty chunk.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use super::buffer::Buffer;
use super::encoding::encode;
use super::{ContentKey, Error};
use crate::name::CheckpointId;

/// How many bytes a chunk's ciphertext is longer than its plaintext.
pub const CHUNK_TAG: u64 = 16;

const DOMAIN: &[u8] = b"portcullis/v1/chunk";

/// The bytes of plaintext in each chunk except a file's last: a power of two from 64 KiB to 64 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct ChunkSize(u64);

/// A number is not a valid chunk size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a chunk size of {0} bytes is not a power of two from 65536 to 67108864")]
pub struct ChunkSizeError(u64);

impl ChunkSize {
    /// 8 MiB.
    pub const DEFAULT: Self = Self(8 << 20);

    /// Returns the size in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Returns how many chunks a file of `size` bytes has.
    pub(super) fn count(self, size: u64) -> u64 {
        size.div_ceil(self.0).max(1)
    }

    /// Returns the plaintext length of the chunk at `index` of such a file; 0 beyond its end.
    pub(super) fn length(self, size: u64, index: u64) -> u64 {
        size.saturating_sub(index.saturating_mul(self.0)).min(self.0)
    }
}

impl TryFrom<u64> for ChunkSize {
    type Error = ChunkSizeError;

    fn try_from(bytes: u64) -> Result<Self, ChunkSizeError> {
        let accepted = bytes.is_power_of_two() && (64 << 10..=64 << 20).contains(&bytes);
        if accepted { Ok(Self(bytes)) } else { Err(ChunkSizeError(bytes)) }
    }
}

impl From<ChunkSize> for u64 {
    fn from(size: ChunkSize) -> Self {
        size.0
    }
}

impl Default for ChunkSize {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A chunk's position in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: u64,
    pub(super) is_last: bool,
}

/// Seals and opens the chunks of one file.
pub(super) struct FileCipher {
    key: LessSafeKey,
    checkpoint: CheckpointId,
    path: String,
}

impl FileCipher {
    pub(super) fn new(content: &ContentKey, checkpoint: &CheckpointId, path: &str) -> Result<Self, Error> {
        let key = UnboundKey::new(&AES_256_GCM, content.file_key(path).bytes()).map_err(|_| Error::Cipher)?;
        Ok(Self { key: LessSafeKey::new(key), checkpoint: checkpoint.clone(), path: path.to_owned() })
    }

    /// Encrypts a chunk in place and appends the tag.
    pub(super) fn seal(&self, place: Place, chunk: &mut Buffer) -> Result<(), Error> {
        let aad = Aad::from(self.associated_data(place));
        let tag = self.key.seal_in_place_separate_tag(nonce(place.index), aad, chunk);
        chunk.append_tag(tag.map_err(|_| Error::Cipher)?.as_ref());
        Ok(())
    }

    /// Decrypts a chunk with its tag in place and returns the plaintext length, or `None` if the tag is invalid.
    #[must_use]
    pub(super) fn open(&self, place: Place, chunk: &mut [u8]) -> Option<usize> {
        let aad = Aad::from(self.associated_data(place));
        self.key.open_in_place(nonce(place.index), aad, chunk).ok().map(|plain| plain.len())
    }

    fn associated_data(&self, place: Place) -> Vec<u8> {
        let (checkpoint, path) = (self.checkpoint.as_str().as_bytes(), self.path.as_bytes());
        let last = [u8::from(place.is_last)];
        encode(&[DOMAIN, checkpoint, path, &place.index.to_be_bytes(), &last])
    }
}

impl fmt::Debug for FileCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileCipher({})", self.path)
    }
}

fn nonce(index: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&index.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{BoardKey, RegistryKey};
    use rand::SeedableRng as _;
    use rand::rngs::ChaCha20Rng;

    fn cipher(seed: u64, checkpoint: &str, path: &str) -> FileCipher {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let checkpoint = checkpoint.parse().unwrap();
        let (board, registry) = (BoardKey::random(&mut rng), RegistryKey::random(&mut rng));
        FileCipher::new(&ContentKey::derive(&board, &registry, &checkpoint), &checkpoint, path).unwrap()
    }

    #[test]
    fn a_chunk_opens_in_its_own_place_only() {
        let place = Place { index: 1, is_last: false };
        let mut sealed = Buffer::from_bytes(b"some weights");
        cipher(1, "gpt2", "a").seal(place, &mut sealed).unwrap();
        assert_eq!(sealed.len() as u64, 12 + CHUNK_TAG);
        let open = |cipher: FileCipher, place| {
            let mut buffer = Buffer::from_bytes(&sealed);
            cipher.open(place, &mut buffer).map(|length| buffer[..length].to_vec())
        };
        let opened = open(cipher(1, "gpt2", "a"), place);
        assert_eq!(opened.as_deref(), Some(&b"some weights"[..]));
        assert!(open(cipher(1, "gpt2", "a"), Place { index: 2, ..place }).is_none());
        assert!(open(cipher(1, "gpt2", "a"), Place { is_last: true, ..place }).is_none());
        assert!(open(cipher(1, "gpt2", "b"), place).is_none());
        assert!(open(cipher(1, "gpt3", "a"), place).is_none());
        assert!(open(cipher(2, "gpt2", "a"), place).is_none());
    }

    #[test]
    fn files_are_cut_without_overlap_or_hole() {
        let size = ChunkSize::try_from(64 << 10).unwrap();
        for bytes in [0, 1, 65_535, 65_536, 65_537, 131_072, u64::MAX] {
            let count = size.count(bytes);
            assert!(count >= 1);
            let last = size.length(bytes, count - 1);
            assert_eq!((count - 1) * size.bytes() + last, bytes);
            assert!(bytes == 0 || last > 0);
            assert_eq!(size.length(bytes, count), 0);
        }
    }

    #[test]
    fn odd_chunk_sizes_are_refused() {
        for bytes in [0, 1, 65_535, 32 << 10, 128 << 20, 3 << 16] {
            assert!(ChunkSize::try_from(bytes).is_err(), "{bytes}");
        }
        insta::assert_snapshot!(ChunkSize::try_from(5).unwrap_err(), @"a chunk size of 5 bytes is not a power of two from 65536 to 67108864");
    }
}
