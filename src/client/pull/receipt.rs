//! The receipt of a pull: which chunks were checked, so that the next pull hashes only what changed since.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, write_whole};
use crate::digest::Sha256Digest;
use crate::seal::ChunkEntry;

const NAME: &str = "receipt.json";
/// Longest receipt that is read: a hundred bytes each for half a million chunks.
const MOST_BYTES: u64 = 64 << 20;

/// What was checked, and when.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Receipt {
    /// The boot in which it was checked: what the page cache holds, a kill does not take, and a power cut does.
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

impl Receipt {
    /// The receipt in a folder; an empty one where there is none that can be used.
    pub(super) fn read(folder: &Path) -> Self {
        let path = folder.join(NAME);
        let is_short = fs::metadata(&path).is_ok_and(|meta| meta.len() <= MOST_BYTES);
        let text = if is_short { fs::read(&path).ok() } else { None };
        let receipt: Option<Self> = text.and_then(|text| serde_json::from_slice(&text).ok());
        receipt.filter(|receipt| !receipt.boot.is_empty() && receipt.boot == boot()).unwrap_or_default()
    }

    /// A receipt of chunks that were checked just now.
    pub(super) fn of<'a>(folder: &Path, chunks: impl Iterator<Item = &'a ChunkEntry>) -> Self {
        let fingerprint = |chunk: &ChunkEntry| {
            let meta = fs::metadata(folder.join(chunk.sha256.to_string())).ok()?;
            Some((chunk.sha256, Fingerprint::of(&meta)))
        };
        Self { boot: boot(), chunks: chunks.filter_map(fingerprint).collect() }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        // A map of digests to numbers always has a JSON form.
        write_whole(&folder.join(NAME), &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Whether the file is the very one that was checked.
    pub(super) fn vouches_for(&self, chunk: &ChunkEntry, path: &Path) -> bool {
        let known = self.chunks.get(&chunk.sha256);
        known.is_some_and(|known| {
            known.size == chunk.size && fs::metadata(path).is_ok_and(|meta| Fingerprint::of(&meta) == *known)
        })
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

/// Names this boot of the machine; nothing where the system does not tell, and then no receipt counts.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
