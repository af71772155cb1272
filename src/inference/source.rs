//! Sources of weights, and reading them as numbers.
//!
//! Names and shapes are compared with the configuration before any allocation, so a tampered file can neither cause an allocation beyond
//! its size nor give a model another shape. Bytes are read with positioned reads into small buffers, not mapped: mapped pages would count
//! as memory twice, and could change after the check.

use std::collections::BTreeMap;
use std::io;

use half::{bf16, f16};

use super::Error;
use super::kernels::pack::Numbers;
use crate::checkpoint::config::ModelConfig;
use crate::checkpoint::layout::{self, TensorSpec};
use crate::checkpoint::tensor_file::{ElementType, TensorEntry, TensorFile};
use crate::progress::Progress;
use crate::seal::{OpenedBytes, OpenedWeights};

/// Tensors that several threads can read at once, in pieces.
///
/// Altered bytes of a source can make loading fail or change numbers, nothing else: entries are compared with the configuration before
/// any allocation.
pub trait TensorSource: Sync {
    /// The tensors by name.
    fn entries(&self) -> &BTreeMap<String, TensorEntry>;

    /// Fills `buffer` with the bytes of a tensor from `position` on; positions count from the tensor's first byte.
    ///
    /// # Errors
    /// The error of the medium, or `UnexpectedEof`.
    fn read_at(&self, entry: &TensorEntry, position: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Borrows `length` bytes of a tensor from `position` on without a copy; `None` if the source does not hold them contiguously.
    ///
    /// # Errors
    /// The error of the medium.
    fn try_borrow(
        &self,
        _entry: &TensorEntry,
        _position: u64,
        _length: usize,
    ) -> io::Result<Option<OpenedBytes>> {
        Ok(None)
    }
}

impl TensorSource for TensorFile {
    fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        TensorFile::entries(self)
    }

    fn read_at(&self, entry: &TensorEntry, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        TensorFile::read_at(self, entry, position, buffer)
    }
}

impl TensorSource for OpenedWeights {
    fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        OpenedWeights::entries(self)
    }

    fn read_at(&self, entry: &TensorEntry, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        OpenedWeights::read_at(self, entry, position, buffer)
    }

    fn try_borrow(
        &self,
        entry: &TensorEntry,
        position: u64,
        length: usize,
    ) -> io::Result<Option<OpenedBytes>> {
        OpenedWeights::try_borrow(self, entry, position, length)
    }
}

/// A reader for every tensor that `config` requires. The source must have exactly these names and shapes.
pub(super) fn require_all<'a>(
    config: &ModelConfig,
    source: &'a dyn TensorSource,
    progress: &'a dyn Progress,
) -> Result<Vec<TensorReader<'a>>, Error> {
    let entries = source.entries();
    let mut readers = Vec::with_capacity(entries.len());
    for spec in layout::tensors(config) {
        let Some(entry) = entries.get(&spec.name) else {
            return Err(Error::MissingTensor { name: spec.name });
        };
        if entry.shape != spec.shape {
            let found = entry.shape.clone();
            return Err(Error::Misshapen { name: spec.name, found, expected: spec.shape });
        }
        readers.push(TensorReader { spec, entry, source, progress });
    }
    if readers.len() < entries.len() {
        let known = |name: &str| readers.iter().any(|reader| reader.spec.name == name);
        let name = entries.keys().find(|name| !known(name)).cloned().unwrap_or_default();
        return Err(Error::UnexpectedTensor { name });
    }
    progress.begin("loading weights", Some(entries.values().map(|entry| entry.length).sum()));
    Ok(readers)
}

/// The bytes that were read last: a copy, or borrowed from the source.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    copied: Vec<u32>,
    borrowed: Option<OpenedBytes>,
}

/// Reads one tensor, whose shape was checked.
pub(super) struct TensorReader<'a> {
    spec: TensorSpec,
    entry: &'a TensorEntry,
    source: &'a dyn TensorSource,
    progress: &'a dyn Progress,
}

impl TensorReader<'_> {
    pub(super) fn name(&self) -> &str {
        &self.spec.name
    }

    /// Offset of the tensor in its file.
    pub(super) fn offset(&self) -> u64 {
        self.entry.offset
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.spec.shape
    }

    /// Reads all numbers as f32.
    ///
    /// # Errors
    /// [`Error::Read`], and [`Error::WeightNotFinite`] if a number is not finite as stored or in `dtype`.
    pub(super) fn read_all(&self, dtype: ElementType) -> Result<Vec<f32>, Error> {
        /// Numbers to read at a time.
        const STRIP: usize = 1 << 18;
        let mut numbers = vec![0.0; self.shape().iter().product()];
        let mut buffer = Buffer::default();
        for (i, strip) in numbers.chunks_mut(STRIP).enumerate() {
            self.read(i * STRIP, strip.len(), &mut buffer)?.widen(strip);
        }
        if numbers.iter().all(|&x| is_finite_as(dtype, x)) {
            return Ok(numbers);
        }
        let as_stored = numbers.iter().all(|x| x.is_finite());
        Err(if as_stored { self.error_for(dtype) } else { self.error_for(self.entry.element_type) })
    }

    /// Reads `count` stored numbers from index `first` on; `buffer` holds them.
    pub(super) fn read<'b>(
        &self,
        first: usize,
        count: usize,
        buffer: &'b mut Buffer,
    ) -> Result<Numbers<'b>, Error> {
        let size = self.entry.element_type.size();
        let (position, length) = ((first * size) as u64, count * size);
        let failed = |source| Error::Read { name: self.spec.name.clone(), source };
        let Buffer { copied, borrowed } = buffer;
        *borrowed = None;
        if cfg!(target_endian = "little") {
            let bytes = self.source.try_borrow(self.entry, position, length).map_err(failed)?;
            *borrowed = bytes.filter(|bytes| bytes.as_ptr().addr().is_multiple_of(size));
        }
        let bytes: &[u8] = if let Some(borrowed) = borrowed {
            borrowed
        } else {
            copied.resize(length.div_ceil(4), 0);
            let bytes = &mut bytemuck::cast_slice_mut(copied)[..length];
            self.source.read_at(self.entry, position, bytes).map_err(failed)?;
            #[cfg(target_endian = "big")]
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
            bytes
        };
        self.progress.advance(length as u64);
        Ok(match self.entry.element_type {
            ElementType::F32 => Numbers::F32(bytemuck::cast_slice(bytes)),
            ElementType::F16 => Numbers::F16(bytemuck::cast_slice(bytes)),
            ElementType::BF16 => Numbers::BF16(bytemuck::cast_slice(bytes)),
        })
    }

    /// The error for `numbers` of which one is not finite as stored or in `format`.
    pub(super) fn not_finite_error(&self, numbers: Numbers<'_>, format: impl ToString) -> Error {
        if numbers.are_finite() { self.error_for(format) } else { self.error_for(self.entry.element_type) }
    }

    /// The error for a number that is not finite in `format`.
    fn error_for(&self, format: impl ToString) -> Error {
        Error::WeightNotFinite { name: self.spec.name.clone(), format: format.to_string() }
    }
}

/// Whether a number is finite after rounding to `dtype`.
fn is_finite_as(dtype: ElementType, x: f32) -> bool {
    match dtype {
        ElementType::F32 => x.is_finite(),
        ElementType::F16 => f16::from_f32(x).is_finite(),
        ElementType::BF16 => bf16::from_f32(x).is_finite(),
    }
}
