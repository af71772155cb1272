//! Inclusion and consistency proofs (RFC 6962, 2.1.1 and 2.1.2).
//!
//! The crate `tlog_tiles`, a port of Go's `sumdb/tlog`, does the arithmetic; sizes are bounded before they reach it.

use serde::{Deserialize, Serialize};
use tlog_tiles::{HashReader as _, TileReader};

use super::tile::{Part, TILE_WIDTH};
use super::{Bundle, Error, TreeHead};
use crate::digest::Sha256Digest;

/// The height of a tile: 2^8 hashes.
const HEIGHT: u8 = 8;

/// A source of tiles. Its bytes are untrusted until they match a verified head.
pub trait Tiles {
    /// Reads a part: `width` hashes of 32 bytes, or entries with their lengths. The result may be wider than requested.
    ///
    /// # Errors
    /// Errors of the source.
    fn read(&self, part: Part) -> Result<Vec<u8>, Error>;
}

/// Hashes an entry: SHA-256 of a zero byte and the entry (RFC 6962, 2.1).
pub fn leaf_hash(entry: &[u8]) -> Sha256Digest {
    from_tlog(tlog_tiles::record_hash(entry))
}

/// A proof that an entry is in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionProof {
    /// The entry's index, from 0.
    pub index: u64,
    /// The sibling hashes from the entry to the root, lowest first.
    pub path: Vec<Sha256Digest>,
}

impl InclusionProof {
    /// Verifies that the entry with this hash is in the log of `head`.
    ///
    /// # Errors
    /// [`Error::NotIncluded`].
    pub fn verify(&self, leaf: Sha256Digest, head: &TreeHead) -> Result<(), Error> {
        let path = self.path.iter().copied().map(to_tlog).collect();
        tlog_tiles::check_record(&path, head.size(), to_tlog(head.root()), self.index, to_tlog(leaf))
            .map_err(|_| Error::NotIncluded { index: self.index, size: head.size() })
    }
}

/// A proof that a log continues an earlier state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyProof {
    /// The hashes from which both roots are computed, in the order of RFC 6962.
    pub path: Vec<Sha256Digest>,
}

impl ConsistencyProof {
    /// Verifies that the log of `new` begins with the log of `old`. An empty log needs no proof.
    ///
    /// # Errors
    /// [`Error::Shrunk`], [`Error::NotConsistent`].
    pub fn verify(&self, old: &TreeHead, new: &TreeHead) -> Result<(), Error> {
        if new.size() < old.size() {
            return Err(Error::Shrunk { old: old.size(), new: new.size() });
        }
        if old.size() == 0 && self.path.is_empty() {
            return Ok(());
        }
        let path = self.path.iter().copied().map(to_tlog).collect();
        tlog_tiles::check_tree(&path, new.size(), to_tlog(new.root()), old.size(), to_tlog(old.root()))
            .map_err(|_| Error::NotConsistent { old: old.size(), new: new.size() })
    }
}

/// Proves that the entry at `index` is in the log of `head`; verifies every tile against the head.
///
/// # Errors
/// [`Error::NotIncluded`] if the log has no such entry, [`Error::Tile`], errors of `tiles`.
pub fn prove_inclusion(head: &TreeHead, index: u64, tiles: &dyn Tiles) -> Result<InclusionProof, Error> {
    if index >= head.size() {
        return Err(Error::NotIncluded { index, size: head.size() });
    }
    let reader = Reader::new(tiles);
    let hashes = tlog_tiles::TileHashReader::new(head.size(), to_tlog(head.root()), &reader);
    let path = tlog_tiles::prove_record(head.size(), index, &hashes);
    let path = path.map_err(|error| reader.refusal(&error))?;
    Ok(InclusionProof { index, path: path.into_iter().map(from_tlog).collect() })
}

/// Proves that the log of `head` continues its first `old` entries; verifies every tile against the head.
///
/// # Errors
/// [`Error::Shrunk`], [`Error::Tile`], errors of `tiles`.
pub fn prove_consistency(head: &TreeHead, old: u64, tiles: &dyn Tiles) -> Result<ConsistencyProof, Error> {
    if old > head.size() {
        return Err(Error::Shrunk { old, new: head.size() });
    }
    if old == 0 {
        return Ok(ConsistencyProof { path: Vec::new() });
    }
    let reader = Reader::new(tiles);
    let hashes = tlog_tiles::TileHashReader::new(head.size(), to_tlog(head.root()), &reader);
    let path = tlog_tiles::prove_tree(head.size(), old, &hashes).map_err(|error| reader.refusal(&error))?;
    Ok(ConsistencyProof { path: path.into_iter().map(from_tlog).collect() })
}

/// Reads a bundle and verifies that each of its entries is in the log of `head`.
///
/// # Errors
/// [`Error::Tile`], which names the bundle, [`Error::Bundle`], errors of `tiles`.
pub fn require_entries(head: &TreeHead, index: u64, tiles: &dyn Tiles) -> Result<Bundle, Error> {
    let part = Part::entries(index, Part::width_in(0, index, head.size()));
    let refused = |reason: &str| Error::Tile { path: part.to_string(), reason: reason.to_owned() };
    let mut bundle = Bundle::parse(&tiles.read(part)?)?;
    bundle.entries.truncate(usize::try_from(part.width).unwrap_or(usize::MAX));
    let reader = Reader::new(tiles);
    let hashes = tlog_tiles::TileHashReader::new(head.size(), to_tlog(head.root()), &reader);
    let first = index * TILE_WIDTH;
    let places: Vec<_> = (0..part.width).map(|n| tlog_tiles::stored_hash_index(0, first + n)).collect();
    let expected = hashes.read_hashes(&places).map_err(|error| reader.refusal(&error))?;
    for (n, (entry, expected)) in bundle.entries.iter().zip(expected).enumerate() {
        if leaf_hash(entry) != from_tlog(expected) {
            return Err(refused(&format!("entry {} is not the log's", first + n as u64)));
        }
    }
    let count = bundle.entries.len() as u64;
    if count < part.width || count == 0 {
        return Err(refused(&format!("entry {} is missing", first + count)));
    }
    Ok(bundle)
}

/// Reads tiles for `tlog_tiles` and records which one was refused and why.
struct Reader<'a> {
    tiles: &'a dyn Tiles,
    refused: std::cell::RefCell<Option<Error>>,
    last: std::cell::Cell<Option<Part>>,
}

impl<'a> Reader<'a> {
    fn new(tiles: &'a dyn Tiles) -> Self {
        Self { tiles, refused: std::cell::RefCell::default(), last: std::cell::Cell::default() }
    }

    fn refusal(&self, error: &tlog_tiles::Error) -> Error {
        let path = || self.last.get().map_or_else(|| "tile".to_owned(), |part| part.to_string());
        let other = || Error::Tile { path: path(), reason: error.to_string() };
        self.refused.borrow_mut().take().unwrap_or_else(other)
    }

    fn read(&self, part: Part) -> Result<Vec<u8>, Error> {
        self.last.set(Some(part));
        let mut bytes = self.tiles.read(part)?;
        let wanted = usize::try_from(part.width).unwrap_or(usize::MAX).saturating_mul(32);
        if bytes.len() < wanted {
            let reason = format!("it has {} bytes, not {wanted}", bytes.len());
            return Err(Error::Tile { path: part.to_string(), reason });
        }
        bytes.truncate(wanted);
        Ok(bytes)
    }
}

impl TileReader for Reader<'_> {
    fn height(&self) -> u8 {
        HEIGHT
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &tlog_tiles::Tile| {
            self.read(Part::tile(tile.level(), tile.level_index(), tile.width().into())).map_err(|error| {
                self.refused.replace(Some(error));
                tlog_tiles::Error::InvalidTile
            })
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _tiles: &[tlog_tiles::Tile], _data: &[Vec<u8>]) {}
}

pub(super) fn from_tlog(hash: tlog_tiles::Hash) -> Sha256Digest {
    Sha256Digest::from_bytes(hash.0)
}

pub(super) fn to_tlog(digest: Sha256Digest) -> tlog_tiles::Hash {
    tlog_tiles::Hash(*digest.as_bytes())
}
