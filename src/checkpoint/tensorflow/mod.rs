//! TensorFlow checkpoints, as in OpenAI's 2019 release of GPT-2.
//!
//! `checkpoint` names a prefix, and `PREFIX.index` has the location of each tensor in `PREFIX.data-00000-of-00001`. The graph in
//! `PREFIX.meta` is never read: it is a program that the weights do not need. The folder is untrusted: the prefix must be a plain file
//! name, the sizes of files are bounded before they are read, and tensors must be inside the data file. The tensors' checksums are *not*
//! verified here; callers must verify them while they read.

mod bundle;
mod error;
mod table;
#[cfg(test)]
mod table_writer;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

pub use bundle::{BundleTensor, parse_index};
pub use error::{Block, BundleError, TableError};

use self::bundle::refuse_outside;
use self::error::{MAX_INDEX, MAX_STATE};
use super::{Error, bounded};

/// An open TensorFlow checkpoint with a valid index.
#[derive(Debug)]
pub struct Bundle {
    tensors: Vec<BundleTensor>,
    data: File,
    data_path: PathBuf,
    index_path: PathBuf,
}

impl Bundle {
    /// Returns the tensors ordered by name.
    pub fn tensors(&self) -> &[BundleTensor] {
        &self.tensors
    }

    /// Returns another handle to the data file.
    pub(super) fn data(&self) -> io::Result<File> {
        self.data.try_clone()
    }

    /// Returns the path of the index.
    pub fn index_path(&self) -> &Path {
        &self.index_path
    }

    /// Returns the path of the data file.
    pub fn data_path(&self) -> &Path {
        &self.data_path
    }

    /// Fills `buffer` with the bytes at `position` of a tensor. The range must be inside the tensor. Callers must compare the checksum of
    /// all its bytes with [`BundleTensor::crc`].
    ///
    /// # Errors
    /// System errors; `UnexpectedEof` if the file was truncated since it was opened.
    pub fn read_at(&self, tensor: &BundleTensor, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.data.read_exact_at(buffer, tensor.offset + position)
    }
}

/// Opens a folder and checks everything except the tensors' bytes.
///
/// # Errors
/// [`Error::Io`] if a file is missing or cannot be read, [`Error::TensorFlow`] if one is malformed.
pub fn open(folder: &Path) -> Result<Bundle, Error> {
    let state_path = folder.join("checkpoint");
    let state = bounded::read(&state_path, MAX_STATE)?;
    let prefix = parse_state(&state).map_err(refused(&state_path))?;
    let data_path = folder.join(format!("{prefix}.data-00000-of-00001"));
    let index_path = folder.join(format!("{prefix}.index"));
    let index = bounded::read(&index_path, MAX_INDEX)?;
    let tensors = parse_index(&index).map_err(refused(&index_path))?;
    let (data, data_size) = bounded::open(&data_path)?;
    refuse_outside(&tensors, data_size).map_err(refused(&data_path))?;
    Ok(Bundle { tensors, data, data_path, index_path })
}

fn refused<E: Into<BundleError>>(path: &Path) -> impl FnOnce(E) -> Error {
    let path = path.to_owned();
    move |source| Error::TensorFlow { path, source: source.into() }
}

/// Parses the prefix in a `checkpoint` file: `model_checkpoint_path` of TensorFlow's `CheckpointState`, in text form.
///
/// # Errors
/// [`BundleError::NoPrefix`], [`BundleError::PrefixEscapes`].
pub fn parse_state(text: &[u8]) -> Result<String, BundleError> {
    let text = String::from_utf8_lossy(text);
    let paths: Vec<_> = text.lines().filter_map(checkpoint_path).collect();
    let &[prefix] = paths.as_slice() else {
        return Err(BundleError::NoPrefix { found: paths.len() });
    };
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    if prefix.is_empty() || prefix.len() > 200 || prefix.starts_with('.') || !prefix.bytes().all(plain) {
        return Err(BundleError::PrefixEscapes { prefix: prefix.chars().take(80).collect() });
    }
    Ok(prefix.to_owned())
}

/// Returns the quoted value of a line `model_checkpoint_path: "..."`. Escapes stay and are refused later.
fn checkpoint_path(line: &str) -> Option<&str> {
    let value = line.trim().strip_prefix("model_checkpoint_path")?;
    let value = value.trim_start().strip_prefix(':')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.strip_prefix(quote)?.strip_suffix(quote)
}
