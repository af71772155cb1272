//! The folder in which OpenAI published GPT-2 in 2019, as far as TensorFlow wrote it.
//!
//! `checkpoint` names a prefix, `PREFIX.index` says where each tensor lies in `PREFIX.data-00000-of-00001`. The graph
//! in `PREFIX.meta` is never read: it is a program, and the weights do not need it. The folder is hostile: the prefix
//! must be a plain file name, so that no other folder is reached, the files' sizes are bounded before they are read,
//! and what is returned was checked against the data file's size. The tensors' bytes are *not* compared with their
//! checksums here; whoever reads them must, and can, while they stream.

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

/// An open TensorFlow checkpoint whose index was checked.
#[derive(Debug)]
pub struct Bundle {
    tensors: Vec<BundleTensor>,
    data: File,
    data_path: PathBuf,
    index_path: PathBuf,
}

impl Bundle {
    /// The tensors, in the order of their names.
    pub fn tensors(&self) -> &[BundleTensor] {
        &self.tensors
    }

    /// Another handle to the file that holds the tensors' bytes.
    pub(super) fn data(&self) -> io::Result<File> {
        self.data.try_clone()
    }

    /// The file that says where each tensor lies.
    pub fn index_path(&self) -> &Path {
        &self.index_path
    }

    /// The file that holds the tensors' bytes.
    pub fn data_path(&self) -> &Path {
        &self.data_path
    }

    /// Fills `buffer` from `position` bytes into a tensor. The range must lie inside the tensor; its bytes are worth
    /// something only once all of them were compared with [`BundleTensor::crc`].
    ///
    /// # Errors
    /// What the operating system says; `UnexpectedEof` where the file was cut since it was opened.
    pub fn read_at(&self, tensor: &BundleTensor, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.data.read_exact_at(buffer, tensor.offset + position)
    }
}

/// Opens a folder and checks all but the tensors' bytes.
///
/// # Errors
/// [`Error::Io`] where a file is missing or cannot be read, [`Error::TensorFlow`] where one is not well-formed.
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

/// The prefix that a `checkpoint` file names: `model_checkpoint_path` of TensorFlow's `CheckpointState`, as text.
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

/// What a line `model_checkpoint_path: "..."` has between its quotes; an escape is left in, to be refused.
fn checkpoint_path(line: &str) -> Option<&str> {
    let value = line.trim().strip_prefix("model_checkpoint_path")?;
    let value = value.trim_start().strip_prefix(':')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.strip_prefix(quote)?.strip_suffix(quote)
}
