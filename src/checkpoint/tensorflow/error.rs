//! What can be wrong with a folder that TensorFlow wrote.

use std::fmt;
use std::ops::Range;

use super::table::{FOOTER, MAGIC, MAX_ENTRIES, MAX_KEY, TRAILER};
use crate::digest::Crc32c;

/// Longest accepted `checkpoint` file.
pub(super) const MAX_STATE: u64 = 64 << 10;
/// Longest accepted index: 2,000 times that of GPT-2 1.5B.
pub(super) const MAX_INDEX: u64 = 64 << 20;
/// Longest accepted description of one tensor.
pub(super) const MAX_DESCRIPTION: usize = 4 << 10;
/// Most dimensions of a tensor.
pub(super) const MAX_RANK: usize = 8;

/// A TensorFlow checkpoint is not well-formed, or not one that GPT-2 can be read from.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The `checkpoint` file does not say which checkpoint is meant, or says it twice.
    #[error("{found} lines `model_checkpoint_path: \"...\"` found; there must be one")]
    NoPrefix {
        /// How many it has.
        found: usize,
    },
    /// A prefix that could name a file outside the folder.
    #[error(
        "the prefix `{}` is not a plain file name (letters, digits, `.`, `-` and `_`, not beginning with `.`)",
        prefix.escape_debug()
    )]
    PrefixEscapes {
        /// The prefix, cut to 80 characters.
        prefix: String,
    },
    /// The index's table is broken.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The index does not begin with a bundle's header.
    #[error("the index has no header: its first key is not empty")]
    NoHeader,
    /// The header is not the message that it should be.
    #[error("the index's header is malformed: {0}")]
    Header(prost::DecodeError),
    /// Data in several files, or in none.
    #[error("the index speaks of {found} data files; supported is one")]
    Shards {
        /// `num_shards`.
        found: i32,
    },
    /// Written on another kind of machine.
    #[error("the tensors are big-endian (or of byte order {found}); supported is little-endian (0)")]
    ByteOrder {
        /// `endianness`.
        found: i32,
    },
    /// A format from the future.
    #[error("the index needs a reader of format {needs}; this is one of format 1")]
    Version {
        /// `min_consumer`.
        needs: i32,
    },
    /// A name that no variable has.
    #[error("tensor `{name}` has a name with other characters than TensorFlow's letters, digits and `_.-/>`")]
    Name {
        /// The name, escaped.
        name: String,
    },
    /// A tensor's description is longer than is accepted.
    #[error("tensor `{name}` is described in {length} bytes; at most {MAX_DESCRIPTION} are accepted")]
    DescriptionLength {
        /// The tensor.
        name: String,
        /// The description's length.
        length: usize,
    },
    /// A tensor's description is not the message that it should be.
    #[error("the description of tensor `{name}` is malformed: {source}")]
    Description {
        /// The tensor.
        name: String,
        /// Why.
        source: prost::DecodeError,
    },
    /// Not 32-bit floating point, which is all that GPT-2 was published in.
    #[error("tensor `{name}` has dtype {}; supported is DT_FLOAT", dtype_name(*dtype))]
    UnsupportedDtype {
        /// The tensor.
        name: String,
        /// TensorFlow's number of its dtype.
        dtype: i32,
    },
    /// A tensor that was partitioned over several variables.
    #[error("tensor `{name}` is stored in slices, which is not supported")]
    Sliced {
        /// The tensor.
        name: String,
    },
    /// A shape that is unknown, negative or of too many dimensions.
    #[error("tensor `{name}` has no shape of at most {MAX_RANK} dimensions, none of them negative")]
    Shape {
        /// The tensor.
        name: String,
    },
    /// A tensor's length is not its shape's.
    #[error("tensor `{name}` takes {length} bytes, which is not what DT_FLOAT of shape {shape:?} takes")]
    Misshapen {
        /// The tensor.
        name: String,
        /// Its length in bytes.
        length: i64,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A tensor in a data file that there is not.
    #[error("tensor `{name}` lies in data file {shard}; there is only 0")]
    Shard {
        /// The tensor.
        name: String,
        /// `shard_id`.
        shard: i32,
    },
    /// A tensor that begins before its file.
    #[error("tensor `{name}` begins at byte {offset}, before the data does")]
    Offset {
        /// The tensor.
        name: String,
        /// Where it begins.
        offset: i64,
    },
    /// The data file is cut, or the index claims too much.
    #[error("tensor `{name}` takes {length} bytes at byte {offset} of the data, which has {data_size}")]
    OutsideData {
        /// The tensor.
        name: String,
        /// Where it begins.
        offset: u64,
        /// Its length in bytes.
        length: u64,
        /// The data file's size.
        data_size: u64,
    },
    /// Two tensors share bytes.
    #[error(
        "tensor `{name}` begins at byte {offset} of the data, inside tensor `{other}`, which ends at {end}"
    )]
    Overlap {
        /// The tensor.
        name: String,
        /// Where it begins.
        offset: u64,
        /// The tensor that it lies in.
        other: String,
        /// Where that one ends.
        end: u64,
    },
}

/// One of a table's blocks, as messages name it.
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

/// A table is not well-formed.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Too short for its footer.
    #[error("the index has {size} bytes, too few for a table, which ends with a footer of {FOOTER}")]
    TooShort {
        /// The table's size.
        size: usize,
    },
    /// Cut, or no table at all.
    #[error("the index is cut or is no TensorFlow index: it ends with {found:016x}, not {MAGIC:016x}")]
    Magic {
        /// What stands where the magic number should.
        found: u64,
    },
    /// A block's handle is not two numbers.
    #[error("the handle of {block} is not an offset and a size")]
    Handle {
        /// Whose handle.
        block: Block,
    },
    /// Something hides where nothing should be.
    #[error("the footer has {found:#04x} where zeros pad it")]
    Padding {
        /// The first byte that is not zero.
        found: u8,
    },
    /// A block outside the file, larger than it, or over another block.
    #[error(
        "{block} claims {size} bytes at byte {offset}; with a trailer of {TRAILER} it must lie within bytes {} to {} of the index",
        within.start, within.end
    )]
    Misplaced {
        /// The block.
        block: Block,
        /// Where its handle says that it begins.
        offset: u64,
        /// How long its handle says that it is.
        size: u64,
        /// Where it may lie.
        within: Range<u64>,
    },
    /// A block's bytes are not those that were written.
    #[error("{block} is corrupt: its CRC-32C is {computed}, the index says {stored}")]
    Checksum {
        /// The block.
        block: Block,
        /// What the index says.
        stored: Crc32c,
        /// What its bytes have.
        computed: Crc32c,
    },
    /// Neither plain nor snappy.
    #[error("{block} has compression {found}; supported are 0 (none) and 1 (snappy)")]
    Compression {
        /// The block.
        block: Block,
        /// The compression's number.
        found: u8,
    },
    /// A block would unpack to more than is accepted.
    #[error("{block} would unpack to {claimed} bytes; at most {left} more are accepted")]
    TooLarge {
        /// The block.
        block: Block,
        /// What it claims.
        claimed: usize,
        /// What the blocks before it left of the bound.
        left: usize,
    },
    /// A block is not what snappy writes.
    #[error("{block} does not unpack: {source}")]
    Snappy {
        /// The block.
        block: Block,
        /// Why.
        source: snap::Error,
    },
    /// The array at a block's end does not fit into the block.
    #[error("{block} has {size} bytes, which cannot hold its {count} restart points")]
    Restarts {
        /// The block.
        block: Block,
        /// Its size, unpacked.
        size: usize,
        /// How many restart points it claims.
        count: u32,
    },
    /// An entry runs over its block's end or shares more than there is.
    #[error("{block} has a malformed entry at byte {position}")]
    Entry {
        /// The block.
        block: Block,
        /// Where in the unpacked block.
        position: usize,
    },
    /// A key longer than is accepted.
    #[error("{block} has a key of {length} bytes at byte {position}; at most {MAX_KEY} are accepted")]
    KeyTooLong {
        /// The block.
        block: Block,
        /// Where in the unpacked block.
        position: usize,
        /// The key's length.
        length: usize,
    },
    /// A key that is not greater than the one before it.
    #[error("{block} has key `{}` after `{}`; keys must increase", key.escape_ascii(), previous.escape_ascii())]
    KeyOrder {
        /// The block.
        block: Block,
        /// The key.
        key: Vec<u8>,
        /// The one before it.
        previous: Vec<u8>,
    },
    /// More entries than are accepted.
    #[error("{block} brings the index to more than {MAX_ENTRIES} entries")]
    TooManyEntries {
        /// The block.
        block: Block,
    },
}

/// TensorFlow's name of a dtype (`tensorflow/core/framework/types.proto`); its number where the name is rare.
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
