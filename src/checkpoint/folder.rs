//! Opens a checkpoint in the normal form; everything that it returns was verified against the manifest (P6).

use std::path::{Path, PathBuf};

use super::config::ModelConfig;
use super::manifest::{self, Manifest};
use super::tensor_file::TensorFile;
use super::tokenizer_files::{TokenizerBytes, TokenizerFiles};
use super::verify::{self, FileProblem};
use super::{Error, bounded};
use crate::digest::Sha256Digest;
use crate::progress::Progress;

/// An imported checkpoint whose manifest and configuration agree.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    manifest: Manifest,
    config: ModelConfig,
}

impl Checkpoint {
    /// Opens a folder in the normal form. Verifies only the configuration's digest.
    ///
    /// # Errors
    /// [`Error::NotImported`], [`Error::Manifest`], [`Error::Altered`], [`Error::Config`], [`Error::Io`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let manifest = verify::read_manifest(folder)?;
        let json = read_checked(folder, &manifest, manifest::CONFIG, bounded::CONFIG)?;
        let config = ModelConfig::from_hugging_face(&json)
            .map_err(|source| Error::Config { path: folder.join(manifest::CONFIG), source })?;
        Ok(Self { folder: folder.to_owned(), manifest, config })
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Reads the tokenizer's files and verifies their digests.
    ///
    /// # Errors
    /// [`Error::Altered`], [`Error::Tokenizer`], [`Error::TooLong`], [`Error::Io`].
    pub fn tokenizer_files(&self) -> Result<TokenizerFiles, Error> {
        let read = |name| read_checked(&self.folder, &self.manifest, name, bounded::TOKENIZER);
        let (vocabulary, merges) = (read(manifest::VOCABULARY)?, read(manifest::MERGES)?);
        let has_tokenizer = self.manifest.file(manifest::TOKENIZER).is_some();
        let tokenizer = has_tokenizer.then(|| read(manifest::TOKENIZER)).transpose()?;
        let bytes =
            TokenizerBytes { vocabulary: &vocabulary, merges: &merges, tokenizer: tokenizer.as_deref() };
        TokenizerFiles::parse_folder(&self.folder, &self.config, bytes)
    }

    /// Opens the weights and compares their shapes with the configuration. It does not verify their digest: also call
    /// [`Self::check_files`], possibly at the same time, before the weights are used.
    ///
    /// # Errors
    /// [`Error::Weights`], [`Error::Tensors`], [`Error::Io`].
    pub fn weights(&self) -> Result<TensorFile, Error> {
        let weights = TensorFile::open(&self.folder.join(manifest::WEIGHTS))?;
        let problems = verify::compare_file(&weights, &self.config, self.manifest.dtype);
        if problems.is_empty() {
            Ok(weights)
        } else {
            Err(Error::Tensors { folder: self.folder.clone(), problems })
        }
    }

    /// Verifies the digests of all files.
    ///
    /// # Errors
    /// [`Error::Altered`] with the first wrong file.
    pub fn check_files(&self, progress: &dyn Progress) -> Result<(), Error> {
        let problem =
            verify::check_files(&self.folder, &self.manifest, progress).into_iter().flatten().next();
        problem.map_or(Ok(()), |problem| Err(altered(&self.folder, problem)))
    }
}

fn altered(folder: &Path, problem: FileProblem) -> Error {
    Error::Altered { folder: folder.to_owned(), problem }
}

/// Reads a small file and verifies it against the manifest.
fn read_checked(folder: &Path, manifest: &Manifest, name: &str, max: u64) -> Result<Vec<u8>, Error> {
    let bytes = bounded::read(&folder.join(name), max)?;
    let found = Sha256Digest::compute(&bytes);
    match manifest.file(name) {
        Some(entry) if entry.sha256 != found => {
            let (name, expected) = (name.to_owned(), entry.sha256);
            Err(altered(folder, FileProblem::WrongDigest { name, expected, found }))
        }
        _ => Ok(bytes),
    }
}
