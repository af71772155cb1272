//! Where a catalogue is fetched from. Nothing that comes from there is believed before it was verified.

use std::path::PathBuf;

use super::{Error, durable};

/// A place that holds a catalogue: `metadata/…` and `targets/…`.
pub trait Remote: Send + Sync {
    /// The file at `path`, relative to the catalogue; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::TooLong`] where it is longer than `max` bytes; what the transport says.
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
        // Every path is made from checked names; this is the second lock on the door.
        if path.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
            return Err(Error::Missing { file: path.to_owned() });
        }
        durable::read(&self.path.join(path), path, max)
    }
}

/// Nowhere: only what was fetched before is to be had.
#[derive(Debug, Clone, Copy)]
pub struct NoRemote;

impl Remote for NoRemote {
    fn fetch(&self, _path: &str, _most: u64) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }
}
