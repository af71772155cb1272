//! Paths of tiles, and bundles of entries (C2SP tlog-tiles).

use std::fmt;
use std::str::FromStr;

use super::{Error, MAX_ENTRIES};

/// The number of hashes in a full tile and of entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Longest entry, in bytes: its length has 16 bits.
pub const MAX_ENTRY_BYTES: usize = 65_535;
/// Maximum number of levels: 256^6 is [`MAX_ENTRIES`].
const MAX_LEVELS: u8 = 6;

/// A file of the log: a tile of hashes, or a bundle of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// The level of the hashes, 0 for leaf hashes; `None` for a bundle of entries.
    pub level: Option<u8>,
    /// The index in the level, from 0.
    pub index: u64,
    /// The number of hashes or entries, 1 to 256.
    pub width: u64,
}

impl Part {
    /// A tile of hashes.
    pub fn tile(level: u8, index: u64, width: u64) -> Self {
        Self { level: Some(level), index, width }
    }

    /// A bundle of entries.
    pub fn entries(index: u64, width: u64) -> Self {
        Self { level: None, index, width }
    }

    /// Whether it has [`TILE_WIDTH`] hashes or entries.
    pub fn is_whole(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The width of the part at `index` of a level in a log of `size` entries; 0 if the log does not have it.
    pub fn width_in(level: u8, index: u64, size: u64) -> u64 {
        let hashes = size >> (8 * u32::from(level));
        hashes.saturating_sub(index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH)
    }
}

/// `tile/0/x001/234`, `tile/entries/000.p/17`.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "tile/{level}/")?,
            None => f.write_str("tile/entries/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            match groups.is_empty() {
                true => write!(f, "{group:03}")?,
                false => write!(f, "x{group:03}/")?,
            }
        }
        if self.is_whole() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for Part {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::Path { text: text.chars().take(80).collect() };
        let part = parse(text).ok_or_else(refused)?;
        // Each part has exactly one path.
        if part.to_string() == text { Ok(part) } else { Err(refused()) }
    }
}

fn parse(text: &str) -> Option<Part> {
    let (path, width) = match text.split_once(".p/") {
        Some((path, width)) => (path, width.parse().ok().filter(|width| (1..TILE_WIDTH).contains(width))?),
        None => (text, TILE_WIDTH),
    };
    let (level, place) = path.strip_prefix("tile/")?.split_once('/')?;
    let level = match level {
        "entries" => None,
        level => Some(level.parse().ok().filter(|level| *level < MAX_LEVELS)?),
    };
    let mut index: u64 = 0;
    for group in place.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        let value: u64 = digits.parse().ok().filter(|_| digits.len() == 3)?;
        index = index.checked_mul(1000)?.checked_add(value).filter(|index| *index < MAX_ENTRIES)?;
    }
    Some(Part { level, index, width })
}

/// Consecutive entries, each preceded by its length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The entries in the log's order.
    pub entries: Vec<Vec<u8>>,
}

impl Bundle {
    /// Parses a bundle of at most 256 entries.
    ///
    /// # Errors
    /// [`Error::Bundle`].
    pub fn parse(mut bytes: &[u8]) -> Result<Self, Error> {
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            if entries.len() as u64 == TILE_WIDTH {
                return Err(Error::Bundle { reason: format!("it has more than {TILE_WIDTH} entries") });
            }
            let cut = || Error::Bundle { reason: format!("it ends within entry {}", entries.len()) };
            let (length, rest) = bytes.split_first_chunk::<2>().ok_or_else(cut)?;
            let (entry, rest) =
                rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(cut)?;
            entries.push(entry.to_vec());
            bytes = rest;
        }
        Ok(Self { entries })
    }

    /// Serializes the bundle.
    ///
    /// # Errors
    /// [`Error::TooLong`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for entry in &self.entries {
            let length = u16::try_from(entry.len())
                .map_err(|_| Error::TooLong { size: entry.len(), max: MAX_ENTRY_BYTES })?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(entry);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_as_tlog_tiles_has_it() {
        for (part, name) in [
            (Part::tile(0, 0, 256), "tile/0/000"),
            (Part::tile(1, 1_234_067, 256), "tile/1/x001/x234/067"),
            (Part::entries(17, 3), "tile/entries/017.p/3"),
            (Part::tile(0, 1000, 255), "tile/0/x001/000.p/255"),
        ] {
            assert_eq!(part.to_string(), name);
            assert_eq!(name.parse::<Part>().unwrap(), part);
        }
        for bad in [
            "",
            "tile/0/0",
            "tile/0/x000/001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/01",
            "tile/00/001",
            "tile/6/000",
            "tile/8/0/000",
            "tile/0/+01",
            "tile/0/../000",
            "tile/0/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert!(bad.parse::<Part>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bundle_reads_back_and_a_cut_one_is_refused() {
        let bundle = Bundle { entries: vec![b"first".to_vec(), Vec::new(), vec![7; MAX_ENTRY_BYTES]] };
        let bytes = bundle.to_bytes().unwrap();
        assert_eq!(&bytes[..9], b"\0\x05first\0\0");
        assert_eq!(Bundle::parse(&bytes).unwrap(), bundle);
        let refusal = |bytes: &[u8]| Bundle::parse(bytes).unwrap_err().to_string();
        assert_eq!(refusal(&bytes[..8]), "the bundle of entries is malformed: it ends within entry 1");
        assert_eq!(refusal(&[0; 514]), "the bundle of entries is malformed: it has more than 256 entries");
        let long = Bundle { entries: vec![vec![0; MAX_ENTRY_BYTES + 1]] };
        assert_eq!(
            long.to_bytes().unwrap_err().to_string(),
            "the entry has 65536 bytes; at most 65535 are accepted"
        );
    }
}
