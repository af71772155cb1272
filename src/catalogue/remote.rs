//! Sources of a catalogue. Everything that they return is untrusted until it is verified.

use std::path::PathBuf;

use super::{Error, durable};

/// A source that has a catalogue's `metadata/…` and `targets/…`.
pub trait Remote: Send + Sync {
    /// Fetches the file at `path`, relative to the catalogue, or returns `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::TooLong`] if it has more than `max` bytes; errors of the transport.
    fn fetch(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>, Error>;
}

/// A catalogue in a folder.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The catalogue in this folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Remote for Folder {
    fn fetch(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>, Error> {
        // Callers build paths only from checked names; this is a second check.
        if path.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
            return Err(Error::Missing { file: path.to_owned() });
        }
        durable::read(&self.path.join(path), path, max)
    }
}

/// No source: only cached files are available.
#[derive(Debug, Clone, Copy)]
pub struct NoRemote;

impl Remote for NoRemote {
    fn fetch(&self, _path: &str, _most: u64) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }
}
