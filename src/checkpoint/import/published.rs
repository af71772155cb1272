//! A checkpoint as it was published, opened and understood but not yet read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::Error;
use super::super::config::ModelConfig;
use super::super::known::Publication;
use super::super::layout;
use super::super::tensor_file::ElementType;
use super::super::verify::{self, TensorProblem};
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
    pub(super) vocabulary: PathBuf,
    pub(super) merges: PathBuf,
    /// Every file that is read, weights last.
    pub(super) files: Vec<PathBuf>,
}

/// Where a tensor's bytes lie.
#[derive(Clone)]
pub(super) struct SourceTensor {
    /// Its name in the normal form.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) element_type: ElementType,
    pub(super) location: Location,
    /// The checksum that the publication itself carries.
    pub(super) crc: Option<Crc32c>,
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
            let most = buffer.len() as u64;
            let block = &mut buffer[..(self.length - done).min(most) as usize];
            self.read(done, block).map_err(Error::io("read", &self.path))?;
            visit(block)?;
            done += block.len() as u64;
        }
        Ok(())
    }

    /// The SHA-256 of the range.
    pub(super) fn digest(&self) -> Result<Sha256Digest, Error> {
        let mut hasher = Sha256Hasher::default();
        self.stream(&mut vec![0; BLOCK], |block| {
            hasher.update(block);
            Ok(())
        })?;
        Ok(hasher.finish())
    }

    fn read(&self, position: u64, block: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(block, self.offset + position)
    }
}

/// Weights that can run code when they are loaded, or that need another framework to read.
const REFUSED: [&str; 6] = [
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
    "flax_model.msgpack",
    "rust_model.ot",
    "model.ckpt.pt",
];

impl Published {
    /// Opens a folder of either form.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        // A listing first: a folder that may not be read is named as such, not as one that lacks files.
        let listing = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
        let names: Vec<String> =
            listing.take(10_000).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        let has = |name: &str| names.iter().any(|n| n == name);
        if has("hparams.json") || has("model.ckpt.index") {
            return tensorflow::open(folder);
        }
        if has("model.safetensors") || has("model.safetensors.index.json") {
            return hugging_face::open(folder);
        }
        let pickle = REFUSED.iter().find(|name| has(name)).map(|name| (*name).to_owned());
        let pickle = pickle.or_else(|| names.iter().find(|name| is_pickle(name)).cloned());
        match pickle {
            Some(name) => Err(Error::RefusedFormat { path: folder.join(name) }),
            None => Err(Error::NotACheckpoint { folder: folder.to_owned() }),
        }
    }

    /// Bytes of all tensors.
    pub(super) fn weights_length(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.location.length).sum()
    }

    /// Puts the tensors found into the normal form's order, or names every one that is missing, extra or misshapen.
    pub(super) fn arrange(
        config: &ModelConfig,
        found: Vec<SourceTensor>,
    ) -> Result<(Vec<SourceTensor>, ElementType), Vec<TensorProblem>> {
        let specs = layout::tensors(config);
        let first = specs.first().and_then(|spec| found.iter().find(|tensor| tensor.name == spec.name));
        let element_type = first.map_or(ElementType::F32, |first| first.element_type);
        let described = found.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), t.element_type));
        let problems = verify::compare_with_layout(described, config, element_type);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut found: BTreeMap<_, _> = found.into_iter().map(|t| (t.name.clone(), t)).collect();
        let arranged = specs.iter().filter_map(|spec| found.remove(&spec.name)).collect();
        Ok((arranged, element_type))
    }
}

fn is_pickle(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|e| e.to_str());
    matches!(extension, Some("bin" | "pt" | "pth" | "pkl" | "ckpt" | "h5" | "msgpack" | "ot"))
}
