//! A checkpoint as it was published, opened and understood but not yet read.

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
use super::super::{Foreign, foreign};
use super::notes::Note;
use super::tokenizer::PublishedTokenizer;
use super::{hugging_face, tensorflow};
use crate::digest::{Crc32c, Sha256Digest, Sha256Hasher};

/// How much of a weights file is in memory at a time.
pub(super) const BLOCK: usize = 8 << 20;

/// A checkpoint in one of the two published forms.
pub(super) struct Published {
    pub(super) publication: Publication,
    pub(super) config: ModelConfig,
    /// The tensors of the normal form, in its order.
    pub(super) tensors: Vec<SourceTensor>,
    pub(super) element_type: ElementType,
    pub(super) tokenizer: PublishedTokenizer,
    /// Every file that is read, weights last.
    pub(super) files: Vec<PathBuf>,
    /// What was left out or is stored otherwise.
    pub(super) notes: Vec<Note>,
}

/// How a published tensor's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceType {
    /// As the normal form may have them.
    Stored(ElementType),
    /// IEEE 754 binary64, which is rounded to binary32.
    F64,
}

impl SourceType {
    /// What the safetensors crate calls so, if it can be read.
    pub(super) fn from_safetensors(dtype: Dtype) -> Option<Self> {
        if dtype == Dtype::F64 {
            Some(Self::F64)
        } else {
            ElementType::from_safetensors(dtype).map(Self::Stored)
        }
    }

    /// The numbers of `bytes` as binary32, little-endian; what `as_is` stores is left as it is.
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

/// The tensors of the normal form in its order, and how it stores them.
pub(super) struct Arranged {
    pub(super) tensors: Vec<SourceTensor>,
    pub(super) element_type: ElementType,
    /// Where they are stored otherwise than they were published.
    pub(super) note: Option<Note>,
}

/// Where a tensor's bytes lie.
#[derive(Clone)]
pub(super) struct SourceTensor {
    /// Its name in the normal form.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: SourceType,
    pub(super) location: Location,
    /// The checksum that the publication itself carries.
    pub(super) crc: Option<Crc32c>,
}

impl SourceTensor {
    /// Its length in bytes once it is stored as `element_type`.
    pub(super) fn stored_length(&self, element_type: ElementType) -> usize {
        self.shape.iter().product::<usize>() * element_type.size()
    }

    /// The SHA-256 of its numbers in binary32.
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
    /// Hands the range to `visit` in blocks of at most `buffer`'s length.
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

impl Published {
    /// Opens a folder of either form.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        Self::open_as_named(folder).map_err(|error| {
            // Something else under a file's name explains why it is malformed.
            let found =
                error.malformed_file().and_then(|path| Some((path.to_owned(), foreign::of_file(path)?)));
            found.map_or(error, |(path, found)| Error::OtherFormat { path, found })
        })
    }

    fn open_as_named(folder: &Path) -> Result<Self, Error> {
        // A listing first: a folder that may not be read is named as such, not as one that lacks files.
        let listing = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
        let names: Vec<String> =
            listing.take(10_000).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        let has = |name: &str| names.iter().any(|n| n == name);
        if has("hparams.json") || has("model.ckpt.index") {
            return tensorflow::open(folder);
        }
        let adapter = names.iter().find(|name| foreign::of_name(name) == Some(Foreign::Adapter));
        if has("model.safetensors") || has("model.safetensors.index.json") {
            // transformers applies an adapter that lies beside its base; here that would be in silence, or not at all.
            if let Some(name) = adapter {
                return Err(Error::AdapterBesideBase { path: folder.join(name) });
            }
            return hugging_face::open(folder, &names);
        }
        Err(nothing_to_import(folder, &names))
    }

    /// Bytes of all tensors.
    pub(super) fn weights_length(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.location.length).sum()
    }

    /// Puts the tensors found into the normal form's order, or names every one that is missing, extra or misshapen.
    pub(super) fn arrange(
        config: &ModelConfig,
        found: Vec<SourceTensor>,
    ) -> Result<Arranged, Vec<TensorProblem>> {
        let specs = layout::tensors(config);
        let dtypes: BTreeSet<String> = found.iter().map(|tensor| tensor.dtype.to_string()).collect();
        // One dtype stays as it is; of several, binary32 holds every number as it is, but for binary64.
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
        Ok(Arranged { tensors, element_type, note })
    }
}

/// Why a folder without safetensors and without OpenAI's files is refused: what it holds in their place, or nothing.
fn nothing_to_import(folder: &Path, names: &[String]) -> Error {
    let mut found: Vec<(&String, Foreign)> =
        names.iter().filter_map(|name| Some((name, foreign::of_name(name)?))).collect();
    // Weights of another format say more than a tokenizer of another kind.
    found.sort_by_key(|(name, foreign)| (is_of_tokenizer(*foreign), name.ends_with(".json"), *name));
    match found.first() {
        Some((name, foreign)) if !is_of_tokenizer(*foreign) => {
            Error::OtherFormat { path: folder.join(name), found: *foreign }
        }
        _ => Error::NotACheckpoint { folder: folder.to_owned() },
    }
}

fn is_of_tokenizer(foreign: Foreign) -> bool {
    matches!(foreign, Foreign::BertVocabulary | Foreign::SentencePiece | Foreign::Tiktoken)
}
