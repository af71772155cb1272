//! Reads the sorted string table that TensorFlow keeps a checkpoint's index in.
//!
//! Format: LevelDB's table (`tensorflow/core/lib/io/format.cc`, `block_builder.cc`). The last 48 bytes point at an index
//! block, which points at the data blocks; every block is followed by its compression and a masked CRC-32C. Keys share
//! prefixes with the key before them. The bytes are hostile: a block must lie after the one before it and before the
//! table's tail, so no handle can lead in a circle or count a byte twice; what snappy unpacks, the number of entries and
//! the length of a key are bounded before anything is allocated for them. A checksum finds accidents, not attackers:
//! someone who can rewrite the index can write any table that these rules admit, and no more.

use std::borrow::Cow;
use std::ops::Range;

use super::error::{Block, TableError};
use crate::digest::Crc32c;

/// Bytes of the footer: two handles, padded to 40 bytes, and the magic number.
pub(super) const FOOTER: usize = 48;
/// What a table ends with, little-endian.
pub(super) const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// Bytes behind a block that its handle does not count: the compression and the checksum.
pub(super) const TRAILER: u64 = 5;
/// Most entries: 100 times those of GPT-2 1.5B.
pub(super) const MAX_ENTRIES: usize = 1 << 16;
/// Longest key.
pub(super) const MAX_KEY: usize = 1 << 10;
/// Most bytes that all of a table's snappy blocks may unpack to.
const MAX_UNPACKED: usize = 64 << 20;

/// One key and what is stored under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Reads a whole table: its entries, their keys strictly increasing.
///
/// # Errors
/// Every variant of [`TableError`].
pub(super) fn parse(file: &[u8]) -> Result<Vec<Entry>, TableError> {
    let (body, metaindex, index) = parse_footer(file)?;
    let mut reader = Reader {
        body,
        unpacked: MAX_UNPACKED,
    };
    // TensorFlow writes data, metaindex, index, footer, in this order.
    let metaindex_at = reader.place(Block::Metaindex, metaindex, 0..body.len() as u64)?;
    reader.checked(Block::Metaindex, &metaindex_at)?;
    let index_at = reader.place(Block::Index, index, metaindex_at.end..body.len() as u64)?;
    let mut handles = Vec::new();
    reader.entries(Block::Index, &index_at, &mut handles)?;

    let mut entries = Vec::new();
    let mut free = 0;
    for (number, Entry { value, .. }) in handles.iter().enumerate() {
        let block = Block::Data(number);
        let handle = Handle::parse(&mut value.as_slice()).ok_or(TableError::Handle { block })?;
        let at = reader.place(block, handle, free..metaindex_at.start)?;
        reader.entries(block, &at, &mut entries)?;
        free = at.end;
    }
    Ok(entries)
}

/// Where a block lies; its trailer is not counted.
#[derive(Debug, Clone, Copy)]
struct Handle {
    offset: u64,
    size: u64,
}

impl Handle {
    fn parse(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            offset: varint(bytes)?,
            size: varint(bytes)?,
        })
    }
}

/// What comes before the footer, and the handles of the metaindex and the index.
fn parse_footer(file: &[u8]) -> Result<(&[u8], Handle, Handle), TableError> {
    let (body, footer) = file
        .split_last_chunk::<FOOTER>()
        .ok_or(TableError::TooShort { size: file.len() })?;
    let (mut handles, magic) = footer
        .split_last_chunk::<8>()
        .ok_or(TableError::TooShort { size: file.len() })?;
    let found = u64::from_le_bytes(*magic);
    if found != MAGIC {
        return Err(TableError::Magic { found });
    }
    let mut handle = |block| Handle::parse(&mut handles).ok_or(TableError::Handle { block });
    Ok((body, handle(Block::Metaindex)?, handle(Block::Index)?))
}

struct Reader<'a> {
    /// The table without its footer.
    body: &'a [u8],
    /// How many bytes snappy blocks may still unpack to.
    unpacked: usize,
}

impl<'a> Reader<'a> {
    /// The range of a block and its trailer, which must lie `within`; that must lie within the body.
    fn place(
        &self,
        block: Block,
        handle: Handle,
        within: Range<u64>,
    ) -> Result<Range<u64>, TableError> {
        let Handle { offset, size } = handle;
        let end = offset
            .checked_add(size)
            .and_then(|end| end.checked_add(TRAILER));
        match end {
            Some(end) if offset >= within.start && end <= within.end => Ok(offset..end),
            _ => Err(TableError::Misplaced {
                block,
                offset,
                size,
                within,
            }),
        }
    }

    /// A block's stored bytes and its compression, once the checksum over both was compared.
    fn checked(&self, block: Block, at: &Range<u64>) -> Result<(&'a [u8], u8), TableError> {
        let stored = self
            .body
            .get(at.start as usize..at.end as usize)
            .and_then(|bytes| bytes.split_last_chunk::<4>());
        let Some((covered, checksum)) = stored else {
            return Err(TableError::Handle { block });
        };
        let (stored, computed) = (
            Crc32c::from_masked(u32::from_le_bytes(*checksum)),
            Crc32c::of(covered),
        );
        match covered.split_last() {
            Some((&compression, contents)) if stored == computed => Ok((contents, compression)),
            _ => Err(TableError::Checksum {
                block,
                stored,
                computed,
            }),
        }
    }

    /// A block's contents, unpacked.
    fn contents(&mut self, block: Block, at: &Range<u64>) -> Result<Cow<'a, [u8]>, TableError> {
        let (contents, compression) = self.checked(block, at)?;
        match compression {
            0 => Ok(Cow::Borrowed(contents)),
            1 => {
                let failed = |source| TableError::Snappy { block, source };
                let claimed = snap::raw::decompress_len(contents).map_err(failed)?;
                let left = self.unpacked;
                self.unpacked = left.checked_sub(claimed).ok_or(TableError::TooLarge {
                    block,
                    claimed,
                    left,
                })?;
                let unpacked = snap::raw::Decoder::new().decompress_vec(contents);
                unpacked.map(Cow::Owned).map_err(failed)
            }
            found => Err(TableError::Compression { block, found }),
        }
    }

    /// Appends a block's entries to those of the blocks before it.
    fn entries(
        &mut self,
        block: Block,
        at: &Range<u64>,
        all: &mut Vec<Entry>,
    ) -> Result<(), TableError> {
        let contents = self.contents(block, at)?;
        let stored = without_restarts(block, &contents)?;
        let mut rest = stored;
        let mut prefix: &[u8] = &[];
        while !rest.is_empty() {
            let position = stored.len() - rest.len();
            let raw = RawEntry::parse(&mut rest, prefix.len())
                .ok_or(TableError::Entry { block, position })?;
            let length = raw.shared + raw.suffix.len();
            if length > MAX_KEY {
                return Err(TableError::KeyTooLong {
                    block,
                    position,
                    length,
                });
            }
            let key = [&prefix[..raw.shared], raw.suffix].concat();
            if let Some(previous) = all.last().map(|entry| &entry.key)
                && *previous >= key
            {
                let previous = previous.clone();
                return Err(TableError::KeyOrder {
                    block,
                    key,
                    previous,
                });
            }
            if all.len() == MAX_ENTRIES {
                return Err(TableError::TooManyEntries { block });
            }
            all.push(Entry {
                key,
                value: raw.value.to_vec(),
            });
            prefix = all.last().map_or(&[], |entry| &entry.key);
        }
        Ok(())
    }
}

/// An entry as stored: how much of the key before it its own repeats, the rest of the key, the value.
struct RawEntry<'a> {
    shared: usize,
    suffix: &'a [u8],
    value: &'a [u8],
}

impl<'a> RawEntry<'a> {
    /// `available` is the length of the key before it.
    fn parse(bytes: &mut &'a [u8], available: usize) -> Option<Self> {
        let mut length = || usize::try_from(varint(bytes)?).ok();
        let (shared, suffix, value) = (length()?, length()?, length()?);
        if shared > available {
            return None;
        }
        Some(Self {
            shared,
            suffix: bytes.split_off(..suffix)?,
            value: bytes.split_off(..value)?,
        })
    }
}

/// A block's entries: what stands before the restart points, which only a search would need.
fn without_restarts(block: Block, contents: &[u8]) -> Result<&[u8], TableError> {
    let size = contents.len();
    let (rest, count) = contents
        .split_last_chunk::<4>()
        .ok_or(TableError::Restarts {
            block,
            size,
            count: 0,
        })?;
    let count = u32::from_le_bytes(*count);
    (count as usize)
        .checked_mul(4)
        .and_then(|array| rest.len().checked_sub(array))
        .map(|end| &rest[..end])
        .ok_or(TableError::Restarts { block, size, count })
}

/// A base-128 number of at most 64 bits, cut off the front of `bytes`.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        let bits = u64::from(byte & 0x7f);
        value |= bits << shift;
        if (bits << shift) >> shift != bits {
            return None;
        }
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
