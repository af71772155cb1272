//! An opened checkpoint in one of the published forms, its tensors located but not read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::Dtype;

use super::super::Error;
use super::super::config::ModelConfig;
use super::super::known::Publication;
use super::super::layout;
use super::super::tensor_file::ElementType;
use super::super::verify::{self, TensorProblem};
use super::super::{ForeignFormat, foreign};
use super::notes::Note;
use super::tokenizer::PublishedTokenizer;
use super::{hugging_face, tensorflow};
use crate::digest::{Crc32c, Sha256Digest, Sha256Hasher};

/// Bytes of a weights file in memory at a time.
pub(super) const BLOCK: usize = 8 << 20;

/// A checkpoint in one of the two published forms.
pub(super) struct SourceCheckpoint {
    pub(super) publication: Publication,
    pub(super) config: ModelConfig,
    /// The tensors of the normal form, in its order.
    pub(super) tensors: Vec<SourceTensor>,
    pub(super) element_type: ElementType,
    pub(super) tokenizer: PublishedTokenizer,
    /// The files that are read, weights last.
    pub(super) files: Vec<PathBuf>,
    /// What is left out or stored differently.
    pub(super) notes: Vec<Note>,
}

/// The element type of a published tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceType {
    /// A type of the normal form.
    Stored(ElementType),
    /// IEEE 754 binary64, rounded to binary32 on import.
    F64,
}

impl SourceType {
    /// Converts from the safetensors crate's type, if it is supported.
    pub(super) fn from_safetensors(dtype: Dtype) -> Option<Self> {
        if dtype == Dtype::F64 {
            Some(Self::F64)
        } else {
            ElementType::from_safetensors(dtype).map(Self::Stored)
        }
    }

    /// Converts `bytes` to type `to`, little-endian; returns them unchanged if they have it already.
    pub(super) fn convert<'a>(self, bytes: &'a [u8], to: ElementType, out: &'a mut Vec<u8>) -> &'a [u8] {
        out.clear();
        match self {
            Self::Stored(same) if same == to => return bytes,
            Self::Stored(ElementType::F32) => return bytes,
            Self::Stored(ElementType::F16) => {
                let numbers = bytes.as_chunks::<2>().0.iter();
                out.extend(
                    numbers.flat_map(|number| half::f16::from_le_bytes(*number).to_f32().to_le_bytes()),
                );
            }
            Self::Stored(ElementType::BF16) => {
                let numbers = bytes.as_chunks::<2>().0.iter();
                out.extend(
                    numbers.flat_map(|number| half::bf16::from_le_bytes(*number).to_f32().to_le_bytes()),
                );
            }
            Self::F64 => {
                let numbers = bytes.as_chunks::<8>().0.iter();
                out.extend(numbers.flat_map(|number| (f64::from_le_bytes(*number) as f32).to_le_bytes()));
            }
        }
        out
    }
}

impl fmt::Display for SourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(element_type) => element_type.fmt(f),
            Self::F64 => f.write_str("F64"),
        }
    }
}

/// The tensors in the order of the normal form, and their element type.
pub(super) struct Arrangement {
    pub(super) tensors: Vec<SourceTensor>,
    pub(super) element_type: ElementType,
    /// The note, if the type differs from the published one.
    pub(super) note: Option<Note>,
}

/// The location of a tensor's bytes.
#[derive(Clone)]
pub(super) struct SourceTensor {
    /// The name in the normal form.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: SourceType,
    pub(super) location: Location,
    /// The checksum in the publication, if it has one.
    pub(super) crc: Option<Crc32c>,
}

impl SourceTensor {
    /// Returns its length in bytes as `element_type`.
    pub(super) fn stored_length(&self, element_type: ElementType) -> usize {
        self.shape.iter().product::<usize>() * element_type.size()
    }

    /// Computes the SHA-256 of its numbers as binary32.
    pub(super) fn digest_of_floats(&self) -> Result<Sha256Digest, Error> {
        let mut hasher = Sha256Hasher::default();
        let mut converted = Vec::new();
        self.location.stream(&mut vec![0; BLOCK], |block| {
            hasher.update(self.dtype.convert(block, ElementType::F32, &mut converted));
            Ok(())
        })?;
        Ok(hasher.finish())
    }
}

/// A range of an open file.
#[derive(Clone)]
pub(super) struct Location {
    pub(super) file: Arc<File>,
    pub(super) path: Arc<Path>,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Location {
    /// Passes the range to `visit` in blocks of at most `buffer`'s length.
    pub(super) fn stream(
        &self,
        buffer: &mut [u8],
        mut visit: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut done = 0;
        while done < self.length {
            let max = buffer.len() as u64;
            let block = &mut buffer[..(self.length - done).min(max) as usize];
            self.read(done, block).map_err(Error::io("read", &self.path))?;
            visit(block)?;
            done += block.len() as u64;
        }
        Ok(())
    }

    fn read(&self, position: u64, block: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(block, self.offset + position)
    }
}

impl SourceCheckpoint {
    /// Opens a folder of either form.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        Self::open_as_named(folder).map_err(|error| {
            // An unsupported format explains why a file is malformed.
            let found = error
                .malformed_file()
                .and_then(|path| Some((path.to_owned(), foreign::recognize_file(path)?)));
            found.map_or(error, |(path, found)| Error::OtherFormat { path, found })
        })
    }

    fn open_as_named(folder: &Path) -> Result<Self, Error> {
        // List the folder first: an unreadable folder must not be reported as one without files.
        let listing = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
        let names: Vec<String> =
            listing.take(10_000).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        let has = |name: &str| names.iter().any(|n| n == name);
        if has("hparams.json") || has("model.ckpt.index") {
            return tensorflow::open(folder);
        }
        let adapter = names.iter().find(|name| foreign::recognize_name(name) == Some(ForeignFormat::Adapter));
        if has("model.safetensors") || has("model.safetensors.index.json") {
            // transformers applies an adapter that is beside its base model; ignoring it would import a different model.
            if let Some(name) = adapter {
                return Err(Error::AdapterBesideBase { path: folder.join(name) });
            }
            return hugging_face::open(folder, &names);
        }
        Err(nothing_to_import(folder, &names))
    }

    /// Returns the total size of all tensors in bytes.
    pub(super) fn weights_length(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.location.length).sum()
    }

    /// Orders the tensors as in the normal form, or returns all that are missing, unexpected or of the wrong shape.
    pub(super) fn arrange(
        config: &ModelConfig,
        found: Vec<SourceTensor>,
    ) -> Result<Arrangement, Vec<TensorProblem>> {
        let specs = layout::tensors(config);
        let dtypes: BTreeSet<String> = found.iter().map(|tensor| tensor.dtype.to_string()).collect();
        // A single type is kept. Several become binary32, which represents all of them exactly, except binary64.
        let element_type = match found.first().map(|tensor| tensor.dtype) {
            Some(SourceType::Stored(element_type)) if dtypes.len() == 1 => element_type,
            _ => ElementType::F32,
        };
        let note = (dtypes.len() > 1 || dtypes.contains("F64")).then_some(Note::Widened { from: dtypes });
        let described = found.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), element_type));
        let problems = verify::compare_with_layout(described, config, element_type);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut found: BTreeMap<_, _> = found.into_iter().map(|t| (t.name.clone(), t)).collect();
        let tensors = specs.iter().filter_map(|spec| found.remove(&spec.name)).collect();
        Ok(Arrangement { tensors, element_type, note })
    }
}

/// Makes the error for a folder without a supported checkpoint; it names an unsupported format in the folder, if there is one.
fn nothing_to_import(folder: &Path, names: &[String]) -> Error {
    let mut found: Vec<(&String, ForeignFormat)> =
        names.iter().filter_map(|name| Some((name, foreign::recognize_name(name)?))).collect();
    // Prefer to name unsupported weights over an unsupported tokenizer.
    found.sort_by_key(|(name, foreign)| (is_of_tokenizer(*foreign), name.ends_with(".json"), *name));
    match found.first() {
        Some((name, foreign)) if !is_of_tokenizer(*foreign) => {
            Error::OtherFormat { path: folder.join(name), found: *foreign }
        }
        _ => Error::NotACheckpoint { folder: folder.to_owned() },
    }
}

fn is_of_tokenizer(foreign: ForeignFormat) -> bool {
    matches!(foreign, ForeignFormat::BertVocabulary | ForeignFormat::SentencePiece | ForeignFormat::Tiktoken)
}
