//! Reads the index of a TensorBundle.
//!
//! Format: TensorBundle V2 (`tensorflow/core/protobuf/tensor_bundle.proto`, `tensor_bundle.cc`): a table whose first key is empty and has
//! the header as its value; each other key is a variable's name with the location of its bytes. The index is untrusted: tensors may not
//! overlap, be outside the data file, or have another length than their shape requires. An attacker who can write the index can rename,
//! swap or omit tensors; later checks compare them with the configuration and the known digests.

use prost::Message;

use super::error::{BundleError, MAX_DESCRIPTION, MAX_RANK};
use super::table::{self, Entry};
use crate::digest::Crc32c;

/// The supported format.
const FORMAT: i32 = 1;
/// DT_FLOAT, IEEE 754 binary32, in `tensorflow/core/framework/types.proto`.
const DT_FLOAT: i32 = 1;

/// A tensor in a bundle's data file: little-endian binary32 if it is a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleTensor {
    /// The variable's name as published, such as `model/h0/attn/c_attn/w`.
    pub name: String,
    /// The shape as published, outermost dimension first; GPT-2's projections begin with a dimension of 1.
    pub shape: Vec<usize>,
    /// The offset of its first byte in the data file.
    pub offset: u64,
    /// The length in bytes; for binary32, four times the product of `shape`.
    pub length: u64,
    /// The checksum in the index, not yet compared.
    pub crc: Crc32c,
    /// TensorFlow's number of the type.
    dtype: i32,
}

impl BundleTensor {
    /// Requires binary32, as for all weights; other variables may have other types.
    ///
    /// # Errors
    /// [`BundleError::UnsupportedDtype`].
    pub fn require_floats(&self) -> Result<(), BundleError> {
        if self.dtype == DT_FLOAT {
            return Ok(());
        }
        Err(BundleError::UnsupportedDtype { name: self.name.clone(), dtype: self.dtype })
    }

    /// The offset after its last byte; both numbers come from an `int64`, so the sum does not overflow.
    fn end(&self) -> u64 {
        self.offset + self.length
    }
}

/// `BundleHeaderProto`.
#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(int32, tag = "1")]
    num_shards: i32,
    #[prost(int32, tag = "2")]
    endianness: i32,
    #[prost(message, optional, tag = "3")]
    version: Option<Version>,
}

/// `VersionDef`.
#[derive(Clone, Copy, PartialEq, Message)]
struct Version {
    #[prost(int32, tag = "2")]
    min_consumer: i32,
}

/// `BundleEntryProto`.
#[derive(Clone, PartialEq, Message)]
struct Description {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
    #[prost(int32, tag = "3")]
    shard_id: i32,
    #[prost(int64, tag = "4")]
    offset: i64,
    #[prost(int64, tag = "5")]
    size: i64,
    #[prost(fixed32, tag = "6")]
    masked_crc: u32,
    #[prost(bytes = "vec", repeated, tag = "7")]
    slices: Vec<Vec<u8>>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "2")]
    dimensions: Vec<Dimension>,
    #[prost(bool, tag = "3")]
    unknown_rank: bool,
}

/// `TensorShapeProto.Dim`.
#[derive(Clone, Copy, PartialEq, Message)]
struct Dimension {
    #[prost(int64, tag = "1")]
    size: i64,
}

/// Parses an index; returns its tensors ordered by name.
///
/// # Errors
/// The variants of [`BundleError`] about the index.
pub fn parse_index(index: &[u8]) -> Result<Vec<BundleTensor>, BundleError> {
    let entries = table::parse(index)?;
    match entries.split_first() {
        Some((header, tensors)) if header.key.is_empty() => {
            check_header(&header.value)?;
            let tensors: Vec<_> = tensors.iter().map(parse_tensor).collect::<Result<_, _>>()?;
            refuse_overlap(&tensors)?;
            Ok(tensors)
        }
        _ => Err(BundleError::NoHeader),
    }
}

fn check_header(value: &[u8]) -> Result<(), BundleError> {
    let header = Header::decode(value).map_err(BundleError::Header)?;
    if header.num_shards != 1 {
        return Err(BundleError::Shards { found: header.num_shards });
    }
    if header.endianness != 0 {
        return Err(BundleError::ByteOrder { found: header.endianness });
    }
    match header.version {
        Some(Version { min_consumer }) if min_consumer > FORMAT => {
            Err(BundleError::Version { needs: min_consumer })
        }
        _ => Ok(()),
    }
}

/// Parses and checks one entry.
fn parse_tensor(entry: &Entry) -> Result<BundleTensor, BundleError> {
    let name = parse_name(&entry.key)?;
    if entry.value.len() > MAX_DESCRIPTION {
        let length = entry.value.len();
        return Err(BundleError::DescriptionLength { name, length });
    }
    let described = match Description::decode(entry.value.as_slice()) {
        Ok(described) => described,
        Err(source) => return Err(BundleError::Description { name, source }),
    };
    if !described.slices.is_empty() {
        return Err(BundleError::Sliced { name });
    }
    if described.shard_id != 0 {
        let shard = described.shard_id;
        return Err(BundleError::Shard { name, shard });
    }
    let Some(shape) = described.shape.as_ref().and_then(parse_shape) else {
        return Err(BundleError::Shape { name });
    };
    let of_shape = shape.iter().try_fold(4, |length: u64, &n| length.checked_mul(n as u64));
    let claimed = u64::try_from(described.size).ok();
    // Tensors of other types are never read; they only must not overlap others.
    let fits = |length: &u64| described.dtype != DT_FLOAT || of_shape == Some(*length);
    let Some(length) = claimed.filter(fits) else {
        let length = described.size;
        return Err(BundleError::Misshapen { name, length, shape });
    };
    let Ok(offset) = u64::try_from(described.offset) else {
        let offset = described.offset;
        return Err(BundleError::Offset { name, offset });
    };
    let (crc, dtype) = (Crc32c::from_masked(described.masked_crc), described.dtype);
    Ok(BundleTensor { name, shape, offset, length, crc, dtype })
}

/// Parses a variable's name (`tensorflow/python/framework/ops.py`): printable, so that messages can contain it.
fn parse_name(key: &[u8]) -> Result<String, BundleError> {
    let allowed = |c: &u8| c.is_ascii_alphanumeric() || b"_.-/>".contains(c);
    match str::from_utf8(key) {
        Ok(name) if key.iter().all(allowed) => Ok(name.to_owned()),
        _ => Err(BundleError::Name { name: key.escape_ascii().to_string() }),
    }
}

/// Returns the dimensions of a shape, if they are known and not too many.
fn parse_shape(shape: &Shape) -> Option<Vec<usize>> {
    if shape.unknown_rank || shape.dimensions.len() > MAX_RANK {
        return None;
    }
    let sizes = shape.dimensions.iter();
    sizes.map(|n| usize::try_from(n.size).ok()).collect()
}

/// Requires that tensors do not overlap; gaps are allowed, since they are never read.
fn refuse_overlap(tensors: &[BundleTensor]) -> Result<(), BundleError> {
    let mut by_offset: Vec<_> = tensors.iter().filter(|tensor| tensor.length > 0).collect();
    by_offset.sort_by_key(|tensor| tensor.offset);
    let mut neighbours = by_offset.iter().zip(by_offset.iter().skip(1));
    match neighbours.find(|(before, tensor)| tensor.offset < before.end()) {
        Some((before, tensor)) => Err(BundleError::Overlap {
            name: tensor.name.clone(),
            offset: tensor.offset,
            other: before.name.clone(),
            end: before.end(),
        }),
        None => Ok(()),
    }
}

/// Requires that all tensors are inside a data file of `data_size` bytes.
pub(super) fn refuse_outside(tensors: &[BundleTensor], data_size: u64) -> Result<(), BundleError> {
    match tensors.iter().find(|tensor| tensor.end() > data_size) {
        Some(tensor) => Err(BundleError::OutsideData {
            name: tensor.name.clone(),
            offset: tensor.offset,
            length: tensor.length,
            data_size,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table_writer::{Compression, TableWriter};
    use super::*;

    const GOOD_HEADER: Header = Header { num_shards: 1, endianness: 0, version: None };

    /// A description of `shape` at `offset`.
    fn described(shape: &[i64], offset: i64) -> Description {
        let dimensions: Vec<_> = shape.iter().map(|&size| Dimension { size }).collect();
        Description {
            dtype: DT_FLOAT,
            size: shape.iter().product::<i64>() * 4,
            shape: Some(Shape { dimensions, unknown_rank: false }),
            offset,
            ..Description::default()
        }
    }

    fn index(header: &Header, tensors: &[(&str, Description)]) -> Vec<u8> {
        let mut entries = vec![(vec![], header.encode_to_vec())];
        for (name, description) in tensors {
            entries.push((name.as_bytes().to_vec(), description.encode_to_vec()));
        }
        TableWriter::table(&entries, 2, Compression::Snappy)
    }

    fn refusal(header: &Header, tensors: &[(&str, Description)]) -> String {
        let parsed = parse_index(&index(header, tensors));
        let parsed = parsed.and_then(|tensors| tensors.iter().try_for_each(BundleTensor::require_floats));
        parsed.unwrap_err().to_string()
    }

    #[test]
    fn a_well_formed_index_reads_in_the_order_of_names() {
        let tensors =
            [("a", described(&[1, 2, 3], 40)), ("b", described(&[], 0)), ("c", described(&[0, 5], 44))];
        let read = parse_index(&index(&GOOD_HEADER, &tensors)).unwrap();
        let places: Vec<_> =
            read.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), t.offset, t.length)).collect();
        let expected: [(_, &[usize], _, _); 3] =
            [("a", &[1, 2, 3], 40, 24), ("b", &[], 0, 4), ("c", &[0, 5], 44, 0)];
        assert_eq!(places, expected);
    }

    #[test]
    fn headers_of_other_bundles_are_refused() {
        let with = |change: fn(&mut Header)| {
            let mut header = GOOD_HEADER;
            change(&mut header);
            refusal(&header, &[])
        };
        let no_header = TableWriter::table(&[(b"a".to_vec(), vec![])], 1, Compression::None);
        let malformed = TableWriter::table(&[(vec![], vec![0x08])], 1, Compression::None);
        insta::assert_snapshot!([
            with(|header| header.num_shards = 2),
            with(|header| header.num_shards = 0),
            with(|header| header.endianness = 1),
            with(|header| header.version = Some(Version { min_consumer: 2 })),
            parse_index(&no_header).unwrap_err().to_string(),
            parse_index(&TableWriter::table(&[], 1, Compression::None)).unwrap_err().to_string(),
            parse_index(&malformed).unwrap_err().to_string(),
        ].join("\n"), @"
        the index names 2 data files; only one is supported
        the index names 0 data files; only one is supported
        byte order 1 is not supported; only little-endian (0) is
        the index requires format 2; only format 1 is supported
        the index has no header: its first key is not empty
        the index has no header: its first key is not empty
        the index's header is malformed: failed to decode Protobuf message: Header.num_shards: invalid varint
        ");
    }

    #[test]
    fn tensors_that_cannot_be_read_are_refused_by_name() {
        let with = |change: fn(&mut Description)| {
            let mut description = described(&[2, 3], 0);
            change(&mut description);
            refusal(&GOOD_HEADER, &[("model/wte", description)])
        };
        let shape = |sizes: &[i64]| refusal(&GOOD_HEADER, &[("model/wte", described(sizes, 0))]);
        insta::assert_snapshot!([
            with(|tensor| tensor.dtype = 19),
            with(|tensor| tensor.dtype = 101),
            with(|tensor| tensor.slices = vec![vec![]]),
            with(|tensor| tensor.slices = vec![vec![7; MAX_DESCRIPTION]]),
            with(|tensor| tensor.shard_id = 1),
            with(|tensor| tensor.shape = None),
            with(|tensor| tensor.shape = Some(Shape { dimensions: vec![], unknown_rank: true })),
            shape(&[-1]),
            shape(&[1; MAX_RANK + 1]),
            with(|tensor| tensor.size += 1),
            with(|tensor| tensor.size = -24),
            with(|tensor| tensor.shape.as_mut().unwrap().dimensions[0].size = i64::MAX),
            with(|tensor| tensor.offset = -4),
            refusal(&GOOD_HEADER, &[("\u{1b}[2J", described(&[1], 0))]),
            refusal(&GOOD_HEADER, &[("a", described(&[3], 8)), ("b", described(&[3], 0))]),
        ].join("\n"), @r"
        tensor `model/wte` has dtype DT_HALF; only DT_FLOAT is supported
        tensor `model/wte` has dtype number 101; only DT_FLOAT is supported
        tensor `model/wte` is stored in slices, which is not supported
        the description of tensor `model/wte` has 4113 bytes; at most 4096 are accepted
        tensor `model/wte` is in data file 1; there is only 0
        the shape of tensor `model/wte` is not known, negative or has more than 8 dimensions
        the shape of tensor `model/wte` is not known, negative or has more than 8 dimensions
        the shape of tensor `model/wte` is not known, negative or has more than 8 dimensions
        the shape of tensor `model/wte` is not known, negative or has more than 8 dimensions
        tensor `model/wte` has 25 bytes, which is not the size of DT_FLOAT of shape [2, 3]
        tensor `model/wte` has -24 bytes, which is not the size of DT_FLOAT of shape [2, 3]
        tensor `model/wte` has 24 bytes, which is not the size of DT_FLOAT of shape [9223372036854775807, 3]
        tensor `model/wte` begins at byte -4, before the data
        tensor name `\x1b[2J` has other characters than TensorFlow's letters, digits and `_.-/>`
        tensor `a` begins at byte 8 of the data, inside tensor `b`, which ends at 12
        ");
    }

    #[test]
    fn a_malformed_description_is_refused_by_name() {
        let entries =
            [(vec![], GOOD_HEADER.encode_to_vec()), (b"model/wte".to_vec(), vec![0x12, 0x05, 0x01])];
        let table = TableWriter::table(&entries, 2, Compression::None);
        insta::assert_snapshot!(parse_index(&table).unwrap_err(), @"the description of tensor `model/wte` is malformed: failed to decode Protobuf message: Description.shape: buffer underflow");
    }

    #[test]
    fn a_tensor_that_ends_behind_the_data_is_refused() {
        let tensors = [("a", described(&[2], 0)), ("b", described(&[2], i64::MAX - 7))];
        let tensors = parse_index(&index(&GOOD_HEADER, &tensors)).unwrap();
        assert!(refuse_outside(&tensors, u64::MAX).is_ok());
        insta::assert_snapshot!([
            refuse_outside(&tensors, 7).unwrap_err().to_string(),
            refuse_outside(&tensors, 8).unwrap_err().to_string(),
        ].join("\n"), @"
        tensor `a` has 8 bytes at byte 0 of the data, which has 7
        tensor `b` has 8 bytes at byte 9223372036854775800 of the data, which has 8
        ");
    }
}
