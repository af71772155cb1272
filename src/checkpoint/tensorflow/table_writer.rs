//! Writes well-formed and hostile tables for tests and fuzzing; the program itself only reads tables.
//!
//! Tests of other crates include this file by its path, so it does not use this crate.

/// How a block is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Snappy,
    /// An unsupported number.
    Unknown(u8),
}

/// Builds a table: blocks, then the footer.
#[derive(Default)]
pub(crate) struct TableWriter {
    bytes: Vec<u8>,
}

/// The offset and size of a block.
pub(crate) type Handle = (u64, u64);

impl TableWriter {
    /// Writes a complete table of `entries`, `per_block` of them in each data block.
    pub(crate) fn table(
        entries: &[(Vec<u8>, Vec<u8>)],
        per_block: usize,
        compression: Compression,
    ) -> Vec<u8> {
        let mut writer = Self::default();
        let mut index = Vec::new();
        for block in entries.chunks(per_block) {
            let handle = writer.block(&contents(block), compression);
            index.push((block[block.len() - 1].0.clone(), handle_bytes(handle)));
        }
        let index = contents(&index);
        writer.finish(&index, compression)
    }

    /// Appends a block with its trailer.
    pub(crate) fn block(&mut self, contents: &[u8], compression: Compression) -> Handle {
        match compression {
            Compression::None => self.stored(contents, 0),
            Compression::Snappy => {
                let packed = snap::raw::Encoder::new().compress_vec(contents);
                self.stored(&packed.unwrap_or_default(), 1)
            }
            Compression::Unknown(number) => self.stored(contents, number),
        }
    }

    /// Appends a block with these stored bytes, valid for `compression` or not.
    pub(crate) fn stored(&mut self, packed: &[u8], compression: u8) -> Handle {
        let handle = (self.bytes.len() as u64, packed.len() as u64);
        self.bytes.extend_from_slice(packed);
        self.bytes.push(compression);
        let crc = crc32c::crc32c_append(crc32c::crc32c(packed), &[compression]);
        let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
        self.bytes.extend_from_slice(&masked.to_le_bytes());
        handle
    }

    /// Ends the table with an empty metaindex, the index block and the footer.
    pub(crate) fn finish(mut self, index: &[u8], compression: Compression) -> Vec<u8> {
        let metaindex = self.block(&contents(&[]), Compression::None);
        let index = self.block(index, compression);
        self.footer(metaindex, index)
    }

    /// Ends the table with a footer of these handles.
    pub(crate) fn footer(mut self, metaindex: Handle, index: Handle) -> Vec<u8> {
        let mut footer = [handle_bytes(metaindex), handle_bytes(index)].concat();
        footer.resize(40, 0);
        self.bytes.extend(footer);
        self.bytes.extend(0xdb47_7524_8b80_fb57_u64.to_le_bytes());
        self.bytes
    }
}

/// Encodes a block: entries that share prefixes, with a restart every 16, then the restart points.
pub(crate) fn contents(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let (mut bytes, mut restarts) = (Vec::new(), vec![0]);
    let mut previous: &[u8] = &[];
    for (number, (key, value)) in entries.iter().enumerate() {
        let restart = number % 16 == 0;
        if restart && number > 0 {
            restarts.push(bytes.len() as u32);
        }
        let alike = previous.iter().zip(key).take_while(|(a, b)| a == b).count();
        let shared = if restart { 0 } else { alike };
        bytes.extend(entry(shared as u64, &key[shared..], value));
        previous = key;
    }
    with_restarts(bytes, &restarts)
}

/// Encodes an entry with a claimed number of shared bytes.
pub(crate) fn entry(shared: u64, suffix: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for length in [shared, suffix.len() as u64, value.len() as u64] {
        varint(&mut bytes, length);
    }
    bytes.extend_from_slice(suffix);
    bytes.extend_from_slice(value);
    bytes
}

/// Appends restart points to entries.
pub(crate) fn with_restarts(mut entries: Vec<u8>, restarts: &[u32]) -> Vec<u8> {
    for number in restarts.iter().chain([&(restarts.len() as u32)]) {
        entries.extend(number.to_le_bytes());
    }
    entries
}

/// Encodes a handle as a value of the index block.
pub(crate) fn handle_bytes((offset, size): Handle) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint(&mut bytes, offset);
    varint(&mut bytes, size);
    bytes
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
