//! Reads the sorted string table of a TensorFlow checkpoint's index.
//!
//! Format: LevelDB's table (`tensorflow/core/lib/io/format.cc`, `block_builder.cc`). The last 48 bytes point to an index block, which
//! points to the data blocks; after each block follow its compression and a masked CRC-32C. Keys share prefixes with the previous key.
//! The table is untrusted: each block must follow the previous one and precede the footer, so that blocks cannot form cycles or overlap;
//! the decompressed size, the number of entries and the length of keys are bounded before memory is allocated. The checksums detect
//! accidents, not attacks.

use std::borrow::Cow;
use std::ops::Range;

use super::error::{Block, TableError};
use crate::digest::Crc32c;

/// The length of the footer in bytes: two handles, padded to 40 bytes, and the magic number.
pub(super) const FOOTER: usize = 48;
/// The magic number at the end of a table, little-endian.
pub(super) const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// Bytes after a block that its handle does not count: the compression and the checksum.
pub(super) const TRAILER: u64 = 5;
/// Maximum number of entries: 100 times that of GPT-2 1.5B.
pub(super) const MAX_ENTRIES: usize = 1 << 16;
/// Longest key, in bytes.
pub(super) const MAX_KEY: usize = 1 << 10;
/// Maximum decompressed size of all blocks of a table, in bytes.
const MAX_UNPACKED: usize = 64 << 20;

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Parses a table; the keys of the returned entries are strictly increasing.
///
/// # Errors
/// All variants of [`TableError`].
pub(super) fn parse(file: &[u8]) -> Result<Vec<Entry>, TableError> {
    let (body, metaindex, index) = parse_footer(file)?;
    let mut reader = Reader { body, unpacked: MAX_UNPACKED };
    // TensorFlow writes data, metaindex, index, footer, in this order.
    let metaindex_at = reader.place(Block::Metaindex, metaindex, 0..body.len() as u64)?;
    reader.read_verified(Block::Metaindex, &metaindex_at)?;
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

/// The offset and size of a block, without its trailer.
#[derive(Debug, Clone, Copy)]
struct Handle {
    offset: u64,
    size: u64,
}

impl Handle {
    fn parse(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { offset: varint(bytes)?, size: varint(bytes)? })
    }
}

/// Returns the bytes before the footer, and the handles of the metaindex and the index.
fn parse_footer(file: &[u8]) -> Result<(&[u8], Handle, Handle), TableError> {
    let (body, footer) =
        file.split_last_chunk::<FOOTER>().ok_or(TableError::TooShort { size: file.len() })?;
    let (mut handles, magic) =
        footer.split_last_chunk::<8>().ok_or(TableError::TooShort { size: file.len() })?;
    let found = u64::from_le_bytes(*magic);
    if found != MAGIC {
        return Err(TableError::Magic { found });
    }
    let mut handle = |block| Handle::parse(&mut handles).ok_or(TableError::Handle { block });
    let (metaindex, index) = (handle(Block::Metaindex)?, handle(Block::Index)?);
    match handles.iter().find(|&&byte| byte != 0) {
        Some(&found) => Err(TableError::Padding { found }),
        None => Ok((body, metaindex, index)),
    }
}

struct Reader<'a> {
    /// The table without its footer.
    body: &'a [u8],
    /// The remaining limit of the decompressed size.
    unpacked: usize,
}

impl<'a> Reader<'a> {
    /// Returns the range of a block with its trailer, which must be `within`; that must be within the body.
    fn place(&self, block: Block, handle: Handle, within: Range<u64>) -> Result<Range<u64>, TableError> {
        let Handle { offset, size } = handle;
        let end = offset.checked_add(size).and_then(|end| end.checked_add(TRAILER));
        match end {
            Some(end) if offset >= within.start && end <= within.end => Ok(offset..end),
            _ => Err(TableError::Misplaced { block, offset, size, within }),
        }
    }

    /// Verifies a block's checksum; returns its stored bytes and its compression.
    fn read_verified(&self, block: Block, at: &Range<u64>) -> Result<(&'a [u8], u8), TableError> {
        let stored =
            self.body.get(at.start as usize..at.end as usize).and_then(|bytes| bytes.split_last_chunk::<4>());
        let Some((covered, checksum)) = stored else {
            return Err(TableError::Handle { block });
        };
        let (stored, computed) =
            (Crc32c::from_masked(u32::from_le_bytes(*checksum)), Crc32c::compute(covered));
        match covered.split_last() {
            Some((&compression, contents)) if stored == computed => Ok((contents, compression)),
            _ => Err(TableError::Checksum { block, stored, computed }),
        }
    }

    /// Returns a block's decompressed contents.
    fn contents(&mut self, block: Block, at: &Range<u64>) -> Result<Cow<'a, [u8]>, TableError> {
        let (contents, compression) = self.read_verified(block, at)?;
        match compression {
            0 => Ok(Cow::Borrowed(contents)),
            1 => {
                let failed = |source| TableError::Snappy { block, source };
                let claimed = snap::raw::decompress_len(contents).map_err(failed)?;
                let left = self.unpacked;
                self.unpacked =
                    left.checked_sub(claimed).ok_or(TableError::TooLarge { block, claimed, left })?;
                let unpacked = snap::raw::Decoder::new().decompress_vec(contents);
                unpacked.map(Cow::Owned).map_err(failed)
            }
            found => Err(TableError::Compression { block, found }),
        }
    }

    /// Appends a block's entries to those of the previous blocks.
    fn entries(&mut self, block: Block, at: &Range<u64>, all: &mut Vec<Entry>) -> Result<(), TableError> {
        let contents = self.contents(block, at)?;
        let stored = without_restarts(block, &contents)?;
        let mut rest = stored;
        let mut prefix: &[u8] = &[];
        while !rest.is_empty() {
            let position = stored.len() - rest.len();
            let raw =
                RawEntry::parse(&mut rest, prefix.len()).ok_or(TableError::Entry { block, position })?;
            let length = raw.shared + raw.suffix.len();
            if length > MAX_KEY {
                return Err(TableError::KeyTooLong { block, position, length });
            }
            let key = [&prefix[..raw.shared], raw.suffix].concat();
            if let Some(previous) = all.last().map(|entry| &entry.key)
                && *previous >= key
            {
                let previous = previous.clone();
                return Err(TableError::KeyOrder { block, key, previous });
            }
            if all.len() == MAX_ENTRIES {
                return Err(TableError::TooManyEntries { block });
            }
            all.push(Entry { key, value: raw.value.to_vec() });
            prefix = all.last().map_or(&[], |entry| &entry.key);
        }
        Ok(())
    }
}

/// An entry as stored: the length of the prefix shared with the previous key, the rest of the key, the value.
struct RawEntry<'a> {
    shared: usize,
    suffix: &'a [u8],
    value: &'a [u8],
}

impl<'a> RawEntry<'a> {
    /// `available` is the length of the previous key.
    fn parse(bytes: &mut &'a [u8], available: usize) -> Option<Self> {
        let mut length = || usize::try_from(varint(bytes)?).ok();
        let (shared, suffix, value) = (length()?, length()?, length()?);
        if shared > available {
            return None;
        }
        Some(Self { shared, suffix: bytes.split_off(..suffix)?, value: bytes.split_off(..value)? })
    }
}

/// Returns the part of a block before the restart points, which only a search needs.
fn without_restarts(block: Block, contents: &[u8]) -> Result<&[u8], TableError> {
    let size = contents.len();
    let (rest, count) =
        contents.split_last_chunk::<4>().ok_or(TableError::Restarts { block, size, count: 0 })?;
    let count = u32::from_le_bytes(*count);
    (count as usize)
        .checked_mul(4)
        .and_then(|array| rest.len().checked_sub(array))
        .map(|end| &rest[..end])
        .ok_or(TableError::Restarts { block, size, count })
}

/// Takes a varint of at most 64 bits, in its shortest form, from the front of `bytes`.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        let bits = u64::from(byte & 0x7f);
        value |= bits << shift;
        let overlong = byte == 0 && shift > 0;
        if overlong || (bits << shift) >> shift != bits {
            return None;
        }
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::super::table_writer::{self as writer, Compression, TableWriter};
    use super::*;

    fn refusal(table: &[u8]) -> String {
        parse(table).unwrap_err().to_string()
    }

    /// A table of one plain data block of these contents.
    fn of_block(contents: &[u8]) -> Vec<u8> {
        of_blocks(|table| vec![table.block(contents, Compression::None)])
    }

    /// A table whose index holds the handles that `data` returns.
    fn of_blocks(data: impl FnOnce(&mut TableWriter) -> Vec<writer::Handle>) -> Vec<u8> {
        let mut table = TableWriter::default();
        let handles = data(&mut table).into_iter().enumerate();
        let index: Vec<_> =
            handles.map(|(n, handle)| (vec![n as u8], writer::handle_bytes(handle))).collect();
        table.finish(&writer::contents(&index), Compression::None)
    }

    fn pair(key: &str) -> (Vec<u8>, Vec<u8>) {
        (key.as_bytes().to_vec(), vec![1])
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            entries in btree_map(vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..200), 0..100),
            per_block in 1_usize..50,
            snappy: bool,
        ) {
            let entries: Vec<_> = entries.into_iter().collect();
            let compression = if snappy { Compression::Snappy } else { Compression::None };
            let table = TableWriter::table(&entries, per_block, compression);
            let read: Vec<_> = parse(&table)
                .unwrap()
                .into_iter()
                .map(|entry| (entry.key, entry.value))
                .collect();
            prop_assert_eq!(read, entries);
        }

        #[test]
        fn arbitrary_blocks_never_panic(contents in vec(any::<u8>(), 0..200)) {
            let _ = parse(&contents);
            let _ = parse(&of_block(&contents));
            let _ = parse(&of_blocks(|table| vec![table.stored(&contents, 1)]));
        }
    }

    #[test]
    fn a_snappy_block_takes_less_than_it_holds() {
        let entries = [(vec![b'k'; 100], vec![b'v'; 4000])];
        let table = TableWriter::table(&entries, 1, Compression::Snappy);
        assert!(table.len() < 1000, "{}", table.len());
        assert_eq!(parse(&table).unwrap()[0].value, entries[0].1);
    }

    #[test]
    fn a_table_without_its_end_is_refused() {
        let table = TableWriter::table(&[pair("a")], 1, Compression::None);
        let mut endless = table.clone();
        let handles = table.len() - FOOTER;
        endless[handles..handles + 40].fill(0xff);
        let mut padded = table.clone();
        padded[handles + 39] = 1;
        insta::assert_snapshot!([
            refusal(&[]),
            refusal(&table[..47]),
            refusal(&table[..table.len() - 1]),
            refusal(&endless),
            refusal(&padded),
        ].join("\n"), @"
        the index has 0 bytes, too few for the footer of 48 bytes
        the index has 47 bytes, too few for the footer of 48 bytes
        the index is truncated or not a TensorFlow index: it ends with 4775248b80fb5700, not db4775248b80fb57
        the handle of the metaindex block is not an offset and a size
        the footer's padding has the byte 0x01 instead of zero
        ");
    }

    #[test]
    fn a_block_must_lie_after_the_one_before_it_and_inside_the_file() {
        let block = writer::contents(&[pair("a")]);
        let data = |handle: fn(writer::Handle) -> Vec<writer::Handle>| {
            refusal(&of_blocks(|table| handle(table.block(&block, Compression::None))))
        };
        let tail = |metaindex, index| {
            let mut table = TableWriter::default();
            table.block(&writer::contents(&[]), Compression::None);
            refusal(&table.footer(metaindex, index))
        };
        insta::assert_snapshot!([
            data(|handle| vec![handle, handle]),
            data(|(_, size)| vec![(size + 5, 8)]),
            data(|(offset, size)| vec![(offset, size + 1)]),
            data(|(_, size)| vec![(u64::MAX, size)]),
            tail((0, 8), (0, 8)),
            tail((0, 1 << 40), (0, 8)),
            tail((0, u64::MAX), (0, 8)),
            tail((0, 8), (13, 0)),
        ].join("\n"), @"
        data block 1 claims 13 bytes at byte 0; with a trailer of 5 bytes it must be within bytes 18 to 18 of the index
        data block 0 claims 8 bytes at byte 18; with a trailer of 5 bytes it must be within bytes 0 to 18 of the index
        data block 0 claims 14 bytes at byte 0; with a trailer of 5 bytes it must be within bytes 0 to 18 of the index
        data block 0 claims 13 bytes at byte 18446744073709551615; with a trailer of 5 bytes it must be within bytes 0 to 18 of the index
        the index block claims 8 bytes at byte 0; with a trailer of 5 bytes it must be within bytes 13 to 13 of the index
        the metaindex block claims 1099511627776 bytes at byte 0; with a trailer of 5 bytes it must be within bytes 0 to 13 of the index
        the metaindex block claims 18446744073709551615 bytes at byte 0; with a trailer of 5 bytes it must be within bytes 0 to 13 of the index
        the index block claims 0 bytes at byte 13; with a trailer of 5 bytes it must be within bytes 13 to 13 of the index
        ");
    }

    #[test]
    fn a_block_must_be_as_it_was_written() {
        let block = writer::contents(&[pair("a")]);
        let mut flipped = of_block(&block);
        flipped[3] ^= 1;
        let stored =
            |packed: &[u8], compression| refusal(&of_blocks(|table| vec![table.stored(packed, compression)]));
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f];
        let mut handle = TableWriter::default();
        handle.block(&block, Compression::None);
        let index = writer::contents(&[(b"a".to_vec(), vec![0x80])]);
        insta::assert_snapshot!([
            refusal(&flipped),
            refusal(&of_blocks(|table| vec![table.block(&block, Compression::Unknown(2))])),
            stored(&bomb, 1),
            stored(&[9, 0], 1),
            stored(&[], 0),
            refusal(&handle.finish(&index, Compression::None)),
        ].join("\n"), @"
        data block 0 is corrupt: its CRC-32C is 4c00362a, not db71c1eb
        data block 0 has compression 2; supported are 0 (none) and 1 (snappy)
        data block 0 decompresses to 4294967295 bytes; at most 67108864 more are accepted
        cannot decompress data block 0: snappy: corrupt input (expected literal read of length 1; remaining src: 0; remaining dst: 9)
        data block 0 has 0 bytes, which cannot hold its 0 restart points
        the handle of data block 0 is not an offset and a size
        ");
    }

    #[test]
    fn snappy_blocks_share_one_bound() {
        let half = snap::raw::Encoder::new()
            .compress_vec(&writer::contents(&[(vec![], vec![0; MAX_UNPACKED / 2])]))
            .unwrap();
        let other = snap::raw::Encoder::new()
            .compress_vec(&writer::contents(&[(b"a".to_vec(), vec![0; MAX_UNPACKED / 2])]))
            .unwrap();
        let table = of_blocks(|table| vec![table.stored(&half, 1), table.stored(&other, 1)]);
        insta::assert_snapshot!(refusal(&table), @"data block 1 decompresses to 33554447 bytes; at most 33554418 more are accepted");
    }

    #[test]
    fn entries_must_fit_and_increase() {
        let entries =
            |entries: &[Vec<u8>]| refusal(&of_block(&writer::with_restarts(entries.concat(), &[0])));
        let mut restarts = writer::contents(&[pair("a")]);
        let count = restarts.len() - 4;
        restarts[count..].fill(0xff);
        let keys: Vec<_> = (0..=MAX_ENTRIES as u32).map(|n| (n.to_be_bytes().to_vec(), vec![])).collect();
        insta::assert_snapshot!([
            refusal(&of_block(&restarts)),
            entries(&[writer::entry(1, b"a", b"")]),
            entries(&[writer::entry(0, b"a", b""), vec![0, 9, 0, b'b']]),
            entries(&[vec![0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, b'a']]),
            entries(&[writer::entry(0, b"b", b""), writer::entry(0, b"a", b"")]),
            entries(&[writer::entry(0, b"b", b""), writer::entry(1, b"", b"")]),
            entries(&[writer::entry(0, &[b'a'; MAX_KEY + 1], b"")]),
            refusal(&TableWriter::table(&[pair("b"), pair("a")], 1, Compression::None)),
            refusal(&TableWriter::table(&keys, 4096, Compression::None)),
        ].join("\n"), @"
        data block 0 has 13 bytes, which cannot hold its 4294967295 restart points
        data block 0 has a malformed entry at byte 0
        data block 0 has a malformed entry at byte 4
        data block 0 has a malformed entry at byte 0
        data block 0 has key `a` after `b`; keys must increase
        data block 0 has key `b` after `b`; keys must increase
        data block 0 has a key of 1025 bytes at byte 0; at most 1024 are accepted
        the index block has key `a` after `b`; keys must increase
        the index has more than 65536 entries at data block 16
        ");
    }
}
