//! Which chunks of a sealed folder had their digests checked, so that only what changed since is hashed again.
//!
//! It says so of this boot of the machine and of files that are the same by length, times and inode. Whoever can change it, or give an
//! altered file its old times, makes nothing wrong pass for right: where a digest is not worked out again, a chunk's tag is still
//! checked, which nobody can make who has not both locks' keys.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ChunkEntry;
use crate::digest::Sha256Digest;

/// Longest list that is read: a hundred bytes each for half a million chunks.
const MAX_BYTES: u64 = 64 << 20;

/// Chunks whose digests were checked since the machine last started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckedChunks {
    /// The boot in which they were: what the page cache holds, a kill does not take, and a power cut does.
    boot: String,
    chunks: BTreeMap<Sha256Digest, Fingerprint>,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fingerprint {
    size: u64,
    /// Nanoseconds since 1970 of its last change of contents, and of any change.
    modified: i128,
    changed: i128,
    inode: u64,
}

impl CheckedChunks {
    /// The list's name in a sealed folder.
    pub const NAME: &str = "checked.json";

    /// The list in a sealed folder; an empty one where there is none that can be used.
    pub fn read(folder: &Path) -> Self {
        let path = folder.join(Self::NAME);
        let is_short = fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_BYTES);
        let text = if is_short { fs::read(&path).ok() } else { None };
        let list: Option<Self> = text.and_then(|text| crate::json::from_slice(&text).ok());
        let current = boot();
        list.filter(|list| !list.boot.is_empty() && list.boot == current)
            .unwrap_or_else(|| Self { boot: current, chunks: BTreeMap::new() })
    }

    /// A list of those chunks in a folder of chunks, all checked just now.
    pub fn of<'a>(chunks: &Path, entries: impl Iterator<Item = &'a ChunkEntry>) -> Self {
        let mut list = Self { boot: boot(), chunks: BTreeMap::new() };
        for entry in entries {
            if let Ok(meta) = fs::metadata(chunks.join(entry.sha256.to_string())) {
                list.add(entry, &meta);
            }
        }
        list
    }

    /// Adds a chunk that was checked; `meta` is of its file before that.
    pub(super) fn add(&mut self, entry: &ChunkEntry, meta: &Metadata) {
        self.chunks.insert(entry.sha256, Fingerprint::of(meta));
    }

    /// The list as it is written down.
    pub fn to_json(&self) -> Vec<u8> {
        // A map of digests to numbers always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether a chunk file is unchanged since it was checked, by its size and times.
    pub fn is_unchanged(&self, chunk: &ChunkEntry, meta: &Metadata) -> bool {
        let known = self.chunks.get(&chunk.sha256);
        known.is_some_and(|known| known.size == chunk.size && Fingerprint::of(meta) == *known)
    }
}

impl Fingerprint {
    fn of(meta: &Metadata) -> Self {
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

/// Names this boot of the machine; nothing where the system does not tell, and then no list counts.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
