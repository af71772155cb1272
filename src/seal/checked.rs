//! A cache of verified chunk digests in a sealed folder, so that only changed chunks are hashed again.
//!
//! An entry is valid during one boot of the machine and while the file has the same length, times and inode. An attacker who can edit the
//! cache, or restore the times of an altered file, cannot make a wrong chunk pass: even without hashing, each chunk's tag is verified,
//! and only the holder of both locks' keys can make one.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ChunkEntry;
use crate::digest::Sha256Digest;

/// Longest accepted cache, in bytes: a hundred bytes for each of half a million chunks.
const MAX_BYTES: u64 = 64 << 20;

/// The chunks whose digests were verified since the machine started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckedChunks {
    /// The boot in which they were verified: a power cut can lose written bytes that the page cache still had.
    boot: String,
    chunks: BTreeMap<Sha256Digest, Fingerprint>,
}

/// File metadata that changes whenever the file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fingerprint {
    size: u64,
    /// Times of the last change of contents, and of any change, in nanoseconds since 1970.
    modified: i128,
    changed: i128,
    inode: u64,
}

impl CheckedChunks {
    /// The cache's file name in a sealed folder.
    pub const NAME: &str = "checked.json";

    /// Reads the cache of a sealed folder; an unusable one counts as empty.
    pub fn read(folder: &Path) -> Self {
        let path = folder.join(Self::NAME);
        let is_short = fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_BYTES);
        let text = if is_short { fs::read(&path).ok() } else { None };
        let list: Option<Self> = text.and_then(|text| crate::json::from_slice(&text).ok());
        let current = boot();
        list.filter(|list| !list.boot.is_empty() && list.boot == current)
            .unwrap_or_else(|| Self { boot: current, chunks: BTreeMap::new() })
    }

    /// Makes a cache of chunks that were just verified; `chunks` is their folder.
    pub fn from_entries<'a>(chunks: &Path, entries: impl Iterator<Item = &'a ChunkEntry>) -> Self {
        let mut list = Self { boot: boot(), chunks: BTreeMap::new() };
        for entry in entries {
            if let Ok(meta) = fs::metadata(chunks.join(entry.sha256.to_string())) {
                list.add(entry, &meta);
            }
        }
        list
    }

    /// Adds a verified chunk; `meta` is its file's metadata before it was read.
    pub(super) fn add(&mut self, entry: &ChunkEntry, meta: &Metadata) {
        self.chunks.insert(entry.sha256, Fingerprint::from_metadata(meta));
    }

    /// Serializes the cache.
    pub fn to_json(&self) -> Vec<u8> {
        // A map from digests to numbers always serializes.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether a chunk file is unchanged since it was checked, by its size and times.
    pub fn is_unchanged(&self, chunk: &ChunkEntry, meta: &Metadata) -> bool {
        let known = self.chunks.get(&chunk.sha256);
        known.is_some_and(|known| known.size == chunk.size && Fingerprint::from_metadata(meta) == *known)
    }
}

impl Fingerprint {
    fn from_metadata(meta: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            size: meta.len(),
            modified: nanoseconds(meta.mtime(), meta.mtime_nsec()),
            changed: nanoseconds(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
        }
    }
}

/// An id of the current boot; empty if the system has none, which disables the cache.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
