//! Reads the header of a safetensors file and provides positioned access to its tensors.
//!
//! Format: <https://github.com/huggingface/safetensors#format>. The file is untrusted: the header's length is bounded before memory is
//! allocated, the tensors must cover the data exactly, without overlap or gap, and the data must end at the end of the file. Headers of
//! OpenAI's repackaged files are neither padded nor ordered by name, so only `data_offsets` are used.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorInfo};
use serde::{Deserialize, Serialize};

use super::Error;

/// Longest accepted header, in bytes: 1,000 times that of GPT-2 1.5B.
const MAX_HEADER: u64 = 64 << 20;

/// The element type of a tensor, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ElementType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper half of a binary32.
    BF16,
}

impl ElementType {
    /// Returns the size of an element in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// Converts from the safetensors crate's type, if the normal form has it.
    pub(super) fn from_safetensors(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    /// Converts to the safetensors crate's type.
    pub(super) fn to_safetensors(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::BF16 => Dtype::BF16,
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A safetensors file is malformed or not supported.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum TensorFileError {
    /// The file is shorter than the length field of the header.
    #[error("the file has {size} bytes, too few for a safetensors header")]
    TooShort { size: u64 },
    /// The header exceeds the file or the limit.
    #[error(
        "the header claims {claimed} bytes; the file has {available} after its length field and at most {MAX_HEADER} are accepted"
    )]
    HeaderLength { claimed: u64, available: u64 },
    /// The header is not JSON of the expected form.
    #[error("the header is malformed: {0}")]
    HeaderJson(#[from] serde_json::Error),
    /// A tensor does not begin where the previous one ends; offsets in the data.
    #[error("tensor `{name}` begins at byte {begins} of the data, {} byte {expected}", if begins < expected { "overlapping the previous one, which ends at" } else { "leaving a gap after" })]
    Misplaced { name: String, begins: u64, expected: u64 },
    /// A tensor's length does not match its type and shape.
    #[error("tensor `{name}` has {length} bytes, which is not the size of {dtype} of shape {shape:?}")]
    Misshapen { name: String, length: u64, shape: Vec<usize>, dtype: String },
    /// The file is truncated, or has bytes outside all tensors.
    #[error("the tensors have {claimed} bytes, but the file has {available}")]
    DataLength { claimed: u64, available: u64 },
    /// The element type is not supported.
    #[error("tensor `{name}` has dtype {dtype}; supported are F32, F16 and BF16, and for imports F64")]
    UnsupportedDtype { name: String, dtype: String },
}

/// The location of a tensor in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// The element type.
    pub element_type: ElementType,
    /// The shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// The offset of its first byte in the file.
    pub offset: u64,
    /// The length in bytes: the product of `shape` times the element size.
    pub length: u64,
}

/// The location of a tensor of any type in a published file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublishedEntry {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// The offset of its first byte in the file.
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// An open safetensors file with a valid header.
#[derive(Debug)]
pub struct TensorFile {
    file: File,
    entries: BTreeMap<String, TensorEntry>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    _metadata: Option<HashMap<String, String>>,
    #[serde(flatten)]
    tensors: HashMap<String, TensorInfo>,
}

impl TensorFile {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Weights`] if it is malformed.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let entries = published_entries(path, &file)?
            .and_then(stored_entries)
            .map_err(|source| Error::Weights { path: path.to_owned(), source })?;
        Ok(Self { file, entries })
    }

    /// Returns the tensors by name.
    pub fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        &self.entries
    }

    /// Fills `buffer` with the bytes at `position` of a tensor. The range must be inside the tensor.
    ///
    /// # Errors
    /// System errors; `UnexpectedEof` if the file was truncated since it was opened.
    pub fn read_at(&self, entry: &TensorEntry, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, entry.offset + position)
    }
}

type Parsed<T> = Result<T, TensorFileError>;

/// Fills a buffer with the bytes at a position of a file.
type ReadExactAt<'a> = &'a dyn Fn(&mut [u8], u64) -> io::Result<()>;

/// Returns the tensors of an open file, of any type.
pub(super) fn published_entries(
    path: &Path,
    file: &File,
) -> Result<Parsed<BTreeMap<String, PublishedEntry>>, Error> {
    let size = file.metadata().map_err(Error::io("read", path))?.len();
    let header = read_header(size, &|buffer, position| file.read_exact_at(buffer, position))
        .map_err(Error::io("read", path))?;
    Ok(header.and_then(|header| parse_header(&header, size)))
}

/// Returns the tensors of a safetensors file of `size` bytes that is not on disk; `read_exact_at` reads it.
pub(crate) fn read_entries(
    size: u64,
    read_exact_at: ReadExactAt<'_>,
) -> io::Result<Parsed<BTreeMap<String, TensorEntry>>> {
    let header = read_header(size, read_exact_at)?;
    Ok(header.and_then(|header| parse_header(&header, size)).and_then(stored_entries))
}

fn read_header(size: u64, read_exact_at: ReadExactAt<'_>) -> io::Result<Parsed<Vec<u8>>> {
    if size < 8 {
        return Ok(Err(TensorFileError::TooShort { size }));
    }
    let mut length = [0; 8];
    read_exact_at(&mut length, 0)?;
    let claimed = u64::from_le_bytes(length);
    let available = size - 8;
    if claimed > available || claimed > MAX_HEADER {
        return Ok(Err(TensorFileError::HeaderLength { claimed, available }));
    }
    let mut header = vec![0; claimed as usize];
    read_exact_at(&mut header, 8)?;
    Ok(Ok(header))
}

/// Parses the header of a file of `size` bytes.
fn parse_header(json: &[u8], size: u64) -> Parsed<BTreeMap<String, PublishedEntry>> {
    let header: Header = crate::json::from_slice(json)?;
    let mut tensors: Vec<_> = header.tensors.into_iter().collect();
    tensors.sort_by(|(a, left), (b, right)| (left.data_offsets, a).cmp(&(right.data_offsets, b)));
    let data_start = 8 + json.len() as u64;
    let mut claimed = 0;
    let mut entries = BTreeMap::new();
    for (name, info) in tensors {
        let (begins, length) = (claimed, length(&name, &info, claimed)?);
        claimed += length;
        if claimed > size {
            break; // prevents overflow of later sums
        }
        let entry =
            PublishedEntry { dtype: info.dtype, shape: info.shape, offset: data_start + begins, length };
        entries.insert(name, entry);
    }
    let available = size - data_start;
    if claimed == available { Ok(entries) } else { Err(TensorFileError::DataLength { claimed, available }) }
}

/// Requires the element types of the normal form.
fn stored_entries(entries: BTreeMap<String, PublishedEntry>) -> Parsed<BTreeMap<String, TensorEntry>> {
    let stored = |(name, entry): (String, PublishedEntry)| {
        let PublishedEntry { dtype, shape, offset, length } = entry;
        match ElementType::from_safetensors(dtype) {
            Some(element_type) => Ok((name, TensorEntry { element_type, shape, offset, length })),
            None => Err(TensorFileError::UnsupportedDtype { name, dtype: dtype.to_string() }),
        }
    };
    entries.into_iter().map(stored).collect()
}

/// Returns the length of a tensor, which must begin `expected` bytes into the data and have the size of its shape.
fn length(name: &str, info: &TensorInfo, expected: u64) -> Parsed<u64> {
    let name = || name.to_owned();
    let (begins, ends) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
    if begins != expected {
        return Err(TensorFileError::Misplaced { name: name(), begins, expected });
    }
    let length = ends.saturating_sub(begins);
    let bits = info.shape.iter().try_fold(info.dtype.bitsize() as u64, |n, &d| n.checked_mul(d as u64));
    if bits.is_none_or(|bits| bits % 8 != 0 || bits / 8 != length) {
        let (shape, dtype) = (info.shape.clone(), info.dtype.to_string());
        return Err(TensorFileError::Misshapen { name: name(), length, shape, dtype });
    }
    Ok(length)
}

/// Parses the header of a file in memory and returns the number of tensors; for fuzzing.
#[doc(hidden)]
pub fn parse_bytes(bytes: &[u8]) -> Result<usize, TensorFileError> {
    let size = bytes.len() as u64;
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(TensorFileError::TooShort { size })?;
    let (claimed, available) = (u64::from_le_bytes(*length), rest.len() as u64);
    if claimed > available {
        return Err(TensorFileError::HeaderLength { claimed, available });
    }
    let entries = parse_header(&rest[..claimed as usize], size)?;
    stored_entries(entries).map(|entries| entries.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with `header` and `data` zero bytes behind it.
    fn refusal(header: &str, data: usize) -> String {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        parse_bytes(&bytes).unwrap_err().to_string()
    }

    #[test]
    fn hostile_headers_are_refused_with_the_reason() {
        let a = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
        let overlap = format!(r#"{{{a},"b":{{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}}}"#);
        let hole = format!(r#"{{{a},"b":{{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}}}"#);
        let misfit = r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#;
        let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#;
        let integer = r#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
        insta::assert_snapshot!([
            refusal(&overlap, 12),
            refusal(&hole, 16),
            refusal(misfit, 8),
            refusal(huge, 8),
            refusal(integer, 8),
            refusal(&format!("{{{a}}}"), 7),
            refusal(&format!("{{{a}}}"), 9),
            refusal("[]", 0),
            parse_bytes(&(1u64 << 63).to_le_bytes()).unwrap_err().to_string(),
            parse_bytes(b"short").unwrap_err().to_string(),
        ].join("\n"), @"
        tensor `b` begins at byte 4 of the data, overlapping the previous one, which ends at byte 8
        tensor `b` begins at byte 12 of the data, leaving a gap after byte 8
        tensor `a` has 8 bytes, which is not the size of F32 of shape [3]
        tensor `a` has 8 bytes, which is not the size of F32 of shape [4294967296, 4294967296]
        tensor `a` has dtype I64; supported are F32, F16 and BF16, and for imports F64
        the tensors have 8 bytes, but the file has 7
        the tensors have 8 bytes, but the file has 9
        the header is malformed: invalid type: sequence, expected struct Header at line 1 column 0
        the header claims 9223372036854775808 bytes; the file has 0 after its length field and at most 67108864 are accepted
        the file has 5 bytes, too few for a safetensors header
        ");
    }
}
