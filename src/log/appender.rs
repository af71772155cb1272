//! Appending to a log: from a head and its right edge to the next head, with the tiles that are new or wider.

use std::collections::BTreeMap;

use super::proof::{from_tlog, to_tlog};
use super::tile::{Part, TILE_WIDTH};
use super::{Bundle, Error, MAX_ENTRIES, Tiles, TreeHead, leaf_hash};
use crate::digest::Sha256Digest;

/// Appends entries to a log. It keeps the last, partial tile of each level in memory.
#[derive(Debug, Clone)]
pub struct LogAppender {
    size: u64,
    /// For each level, the hashes of its last, partial tile.
    edge: Vec<Vec<Sha256Digest>>,
    entries: Bundle,
    parts: BTreeMap<(Option<u8>, u64), (u64, Vec<u8>)>,
}

/// The files to write for appended entries, in this order: parts, then the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogUpdate {
    /// New or wider parts with their bytes.
    pub parts: Vec<(Part, Vec<u8>)>,
    /// The new head.
    pub head: TreeHead,
}

impl LogAppender {
    /// Opens the log of `head`; reads its right edge from `tiles` and verifies it.
    ///
    /// # Errors
    /// [`Error::Tile`] if the edge does not match the head; errors of `tiles`.
    pub fn open(head: &TreeHead, tiles: &dyn Tiles) -> Result<Self, Error> {
        let mut appender =
            Self { size: head.size(), edge: Vec::new(), entries: Bundle::default(), parts: BTreeMap::new() };
        let mut level: u8 = 0;
        while head.size() >> (8 * u32::from(level)) > 0 {
            let index = (head.size() >> (8 * u32::from(level))) / TILE_WIDTH;
            let width = (head.size() >> (8 * u32::from(level))) % TILE_WIDTH;
            let hashes = if width == 0 { Vec::new() } else { read(Part::tile(level, index, width), tiles)? };
            appender.edge.push(hashes);
            level += 1;
        }
        if appender.root() != head.root() {
            let path = Part::tile(0, head.size() / TILE_WIDTH, (head.size() % TILE_WIDTH).max(1)).to_string();
            return Err(Error::Tile { path, reason: "the log's right edge has another root".to_owned() });
        }
        let width = head.size() % TILE_WIDTH;
        if width > 0 {
            appender.entries = super::require_entries(head, head.size() / TILE_WIDTH, tiles)?;
        }
        Ok(appender)
    }

    /// Returns the number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends an entry and returns its index.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Size`] if the log is full.
    pub fn append(&mut self, entry: &[u8]) -> Result<u64, Error> {
        if self.size == MAX_ENTRIES {
            return Err(Error::Size { size: MAX_ENTRIES + 1 });
        }
        if entry.len() > super::MAX_ENTRY_BYTES {
            return Err(Error::TooLong { size: entry.len(), max: super::MAX_ENTRY_BYTES });
        }
        let index = self.size;
        self.entries.entries.push(entry.to_vec());
        if self.entries.entries.len() as u64 == TILE_WIDTH {
            let bundle = std::mem::take(&mut self.entries).to_bytes()?;
            self.parts.insert((None, index / TILE_WIDTH), (TILE_WIDTH, bundle));
        }
        self.push(0, leaf_hash(entry), index);
        self.size += 1;
        Ok(index)
    }

    /// Adds a hash to a level; a tile that becomes full adds its root to the level above.
    fn push(&mut self, level: u8, hash: Sha256Digest, place: u64) {
        let depth = usize::from(level);
        if self.edge.len() <= depth {
            self.edge.push(Vec::new());
        }
        self.edge[depth].push(hash);
        if self.edge[depth].len() as u64 == TILE_WIDTH {
            let whole = bytes(&std::mem::take(&mut self.edge[depth]));
            let above = from_tlog(tlog_tiles::Tile::subtree_hash(&whole));
            self.parts.insert((Some(level), place / TILE_WIDTH), (TILE_WIDTH, whole));
            self.push(level + 1, above, place / TILE_WIDTH);
        }
    }

    /// Computes the root from each level's complete subtrees, right to left.
    fn root(&self) -> Sha256Digest {
        let mut root: Option<tlog_tiles::Hash> = None;
        for hashes in &self.edge {
            let mut end = hashes.len();
            while end > 0 {
                // The smallest complete subtree is the rightmost.
                let width = 1 << end.trailing_zeros();
                let subtree = tlog_tiles::Tile::subtree_hash(&bytes(&hashes[end - width..end]));
                root = Some(root.map_or(subtree, |root| tlog_tiles::node_hash(subtree, root)));
                end -= width;
            }
        }
        root.map_or(TreeHead::EMPTY.root(), from_tlog)
    }

    /// Returns what must be written since the last call.
    ///
    /// # Errors
    /// Only those that [`Self::append`] returns.
    pub fn take_update(&mut self) -> Result<LogUpdate, Error> {
        let mut parts: Vec<_> = std::mem::take(&mut self.parts)
            .into_iter()
            .map(|((level, index), (width, bytes))| (Part { level, index, width }, bytes))
            .collect();
        let width = self.size % TILE_WIDTH;
        if width > 0 {
            parts.push((Part::entries(self.size / TILE_WIDTH, width), self.entries.to_bytes()?));
        }
        for (level, hashes) in (0..).zip(&self.edge) {
            if !hashes.is_empty() {
                let index = (self.size >> (8 * u32::from(level))) / TILE_WIDTH;
                parts.push((Part::tile(level, index, hashes.len() as u64), bytes(hashes)));
            }
        }
        Ok(LogUpdate { parts, head: TreeHead::new(self.size, self.root())? })
    }
}

fn read(part: Part, tiles: &dyn Tiles) -> Result<Vec<Sha256Digest>, Error> {
    let bytes = tiles.read(part)?;
    let hashes = bytes.as_chunks::<32>().0;
    let width = usize::try_from(part.width).unwrap_or(usize::MAX);
    let hashes = hashes.get(..width).ok_or_else(|| Error::Tile {
        path: part.to_string(),
        reason: format!("it has {} bytes, not {}", bytes.len(), width.saturating_mul(32)),
    })?;
    Ok(hashes.iter().map(|hash| Sha256Digest::from_bytes(*hash)).collect())
}

fn bytes(hashes: &[Sha256Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| to_tlog(*hash).0).collect()
}
