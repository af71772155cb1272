//! Errors of TensorFlow checkpoints.

use std::fmt;
use std::ops::Range;

use super::table::{FOOTER, MAGIC, MAX_ENTRIES, MAX_KEY, TRAILER};
use crate::digest::Crc32c;

/// Longest accepted `checkpoint` file, in bytes.
pub(super) const MAX_STATE: u64 = 64 << 10;
/// Longest accepted index, in bytes: 2,000 times that of GPT-2 1.5B.
pub(super) const MAX_INDEX: u64 = 64 << 20;
/// Longest accepted description of one tensor, in bytes.
pub(super) const MAX_DESCRIPTION: usize = 4 << 10;
/// Maximum number of dimensions of a tensor.
pub(super) const MAX_RANK: usize = 8;

/// A TensorFlow checkpoint is malformed or not supported.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum BundleError {
    /// The `checkpoint` file does not name exactly one checkpoint.
    #[error("{found} lines `model_checkpoint_path: \"...\"`; exactly one is required")]
    NoPrefix { found: usize },
    /// The prefix could name a file outside the folder; it is cut to 80 characters.
    #[error(
        "the prefix `{}` is not a plain file name (letters, digits, `.`, `-` and `_`, not beginning with `.`)",
        prefix.escape_debug()
    )]
    PrefixEscapes { prefix: String },
    /// The index's table is malformed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The index does not begin with a header.
    #[error("the index has no header: its first key is not empty")]
    NoHeader,
    /// The header is malformed.
    #[error("the index's header is malformed: {0}")]
    Header(prost::DecodeError),
    /// The bundle does not have exactly one data file.
    #[error("the index names {found} data files; only one is supported")]
    Shards { found: i32 },
    /// The byte order is not little-endian.
    #[error("byte order {found} is not supported; only little-endian (0) is")]
    ByteOrder { found: i32 },
    /// The format is newer than supported.
    #[error("the index requires format {needs}; only format 1 is supported")]
    Version { needs: i32 },
    /// The name is not a valid variable name; it is escaped.
    #[error("tensor name `{name}` has other characters than TensorFlow's letters, digits and `_.-/>`")]
    Name { name: String },
    /// A tensor's description exceeds the limit.
    #[error("the description of tensor `{name}` has {length} bytes; at most {MAX_DESCRIPTION} are accepted")]
    DescriptionLength { name: String, length: usize },
    /// A tensor's description is malformed.
    #[error("the description of tensor `{name}` is malformed: {source}")]
    Description { name: String, source: prost::DecodeError },
    /// A weight is not 32-bit floating point.
    #[error("tensor `{name}` has dtype {}; only DT_FLOAT is supported", dtype_name(*dtype))]
    UnsupportedDtype { name: String, dtype: i32 },
    /// The tensor is partitioned over several variables.
    #[error("tensor `{name}` is stored in slices, which is not supported")]
    Sliced { name: String },
    /// The shape is unknown, negative or has too many dimensions.
    #[error("the shape of tensor `{name}` is not known, negative or has more than {MAX_RANK} dimensions")]
    Shape { name: String },
    /// A tensor's length does not match its shape.
    #[error("tensor `{name}` has {length} bytes, which is not the size of DT_FLOAT of shape {shape:?}")]
    Misshapen { name: String, length: i64, shape: Vec<usize> },
    /// The tensor is in a data file that does not exist.
    #[error("tensor `{name}` is in data file {shard}; there is only 0")]
    Shard { name: String, shard: i32 },
    /// The offset is negative.
    #[error("tensor `{name}` begins at byte {offset}, before the data")]
    Offset { name: String, offset: i64 },
    /// The tensor exceeds the data file.
    #[error("tensor `{name}` has {length} bytes at byte {offset} of the data, which has {data_size}")]
    OutsideData { name: String, offset: u64, length: u64, data_size: u64 },
    /// Two tensors overlap.
    #[error(
        "tensor `{name}` begins at byte {offset} of the data, inside tensor `{other}`, which ends at {end}"
    )]
    Overlap { name: String, offset: u64, other: String, end: u64 },
}

/// A block of a table, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// The block that TensorFlow leaves empty.
    Metaindex,
    /// The block that locates the data blocks.
    Index,
    /// A data block, counted from 0.
    Data(usize),
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metaindex => f.write_str("the metaindex block"),
            Self::Index => f.write_str("the index block"),
            Self::Data(number) => write!(f, "data block {number}"),
        }
    }
}

/// A table is malformed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum TableError {
    /// The table is shorter than its footer.
    #[error("the index has {size} bytes, too few for the footer of {FOOTER} bytes")]
    TooShort { size: usize },
    /// The table does not end with the magic number.
    #[error("the index is truncated or not a TensorFlow index: it ends with {found:016x}, not {MAGIC:016x}")]
    Magic { found: u64 },
    /// A block's handle is not an offset and a size.
    #[error("the handle of {block} is not an offset and a size")]
    Handle { block: Block },
    /// The padding of the footer is not zero; `found` is the first other byte.
    #[error("the footer's padding has the byte {found:#04x} instead of zero")]
    Padding { found: u8 },
    /// A block is outside its allowed range `within`, or overlaps another block.
    #[error(
        "{block} claims {size} bytes at byte {offset}; with a trailer of {TRAILER} bytes it must be within bytes {} to {} of the index",
        within.start, within.end
    )]
    Misplaced { block: Block, offset: u64, size: u64, within: Range<u64> },
    /// A block's checksum is wrong.
    #[error("{block} is corrupt: its CRC-32C is {computed}, not {stored}")]
    Checksum { block: Block, stored: Crc32c, computed: Crc32c },
    /// The compression is not supported.
    #[error("{block} has compression {found}; supported are 0 (none) and 1 (snappy)")]
    Compression { block: Block, found: u8 },
    /// The blocks decompress to more than the limit; `left` is the rest of it.
    #[error("{block} decompresses to {claimed} bytes; at most {left} more are accepted")]
    TooLarge { block: Block, claimed: usize, left: usize },
    /// A block is not valid snappy data.
    #[error("cannot decompress {block}: {source}")]
    Snappy { block: Block, source: snap::Error },
    /// The restart points exceed the block.
    #[error("{block} has {size} bytes, which cannot hold its {count} restart points")]
    Restarts { block: Block, size: usize, count: u32 },
    /// An entry exceeds its block, or shares more bytes than the previous key has.
    #[error("{block} has a malformed entry at byte {position}")]
    Entry { block: Block, position: usize },
    /// A key exceeds the limit.
    #[error("{block} has a key of {length} bytes at byte {position}; at most {MAX_KEY} are accepted")]
    KeyTooLong { block: Block, position: usize, length: usize },
    /// A key is not greater than the previous one.
    #[error("{block} has key `{}` after `{}`; keys must increase", key.escape_ascii(), previous.escape_ascii())]
    KeyOrder { block: Block, key: Vec<u8>, previous: Vec<u8> },
    /// The table has too many entries.
    #[error("the index has more than {MAX_ENTRIES} entries at {block}")]
    TooManyEntries { block: Block },
}

/// TensorFlow's name of a dtype (`tensorflow/core/framework/types.proto`), or its number if it is rare.
fn dtype_name(dtype: i32) -> String {
    let name = match dtype {
        1 => "DT_FLOAT",
        2 => "DT_DOUBLE",
        3 => "DT_INT32",
        4 => "DT_UINT8",
        7 => "DT_STRING",
        9 => "DT_INT64",
        10 => "DT_BOOL",
        14 => "DT_BFLOAT16",
        19 => "DT_HALF",
        other => return format!("number {other}"),
    };
    name.to_owned()
}
