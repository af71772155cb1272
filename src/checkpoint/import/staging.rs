//! A working folder beside the destination, so that one rename makes the destination appear completely.
//!
//! `<to>.partial/` has `lock`, `source/` (fetched files) and `folder/` (which becomes the destination). Atomicity follows from the order:
//! all files are synced, then `folder/`, then it is renamed to the destination, then the parent is synced, then the rest is removed. A
//! kill at any time leaves no destination or a complete one. The next run compares what is left in `<to>.partial/` byte for byte and
//! keeps what is right.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::super::Error;
use super::super::fetch::FetchedFile;
use super::super::manifest::FileEntry;
use crate::digest::Sha256Hasher;

/// An import's working folder, locked by one process.
pub(super) struct Staging {
    destination: PathBuf,
    partial: PathBuf,
    _lock: File,
}

impl Staging {
    /// Creates and locks the working folder of `destination`, or that of an earlier run.
    pub(super) fn open(destination: &Path) -> Result<Self, Error> {
        let partial = partial_beside(destination)?;
        fs::create_dir_all(&partial).map_err(Error::io("create", &partial))?;
        let path = partial.join("lock");
        let lock = File::create(&path).map_err(Error::io("create", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Busy { destination: destination.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
        }
        let staging = Self { destination: destination.to_owned(), partial, _lock: lock };
        for folder in [staging.folder(), staging.source()] {
            fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        }
        Ok(staging)
    }

    /// The folder that becomes the destination.
    pub(super) fn folder(&self) -> PathBuf {
        self.partial.join("folder")
    }

    /// The folder for fetched files.
    pub(super) fn source(&self) -> PathBuf {
        self.partial.join("source")
    }

    /// Removes files of another revision that an earlier run fetched, so that they are not imported.
    pub(super) fn keep_fetched(&self, fetched: &[FetchedFile]) -> Result<(), Error> {
        let source = self.source();
        for entry in fs::read_dir(&source).map_err(Error::io("read", &source))? {
            let path = entry.map_err(Error::io("read", &source))?.path();
            // Keep the fetcher's files, which begin with a dot: they identify the fetched files.
            let is_note = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !is_note && !fetched.iter().any(|file| file.path == path) {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Renames the folder to the destination. All files in it must be synced.
    pub(super) fn publish(&self) -> Result<(), Error> {
        let folder = self.folder();
        sync_folder(&folder)?;
        fs::rename(&folder, &self.destination).map_err(|source| match source.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => {
                Error::DestinationExists { destination: self.destination.clone() }
            }
            _ => Error::io("rename to", &self.destination)(source),
        })?;
        let parent = match self.destination.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        sync_folder(parent)
    }

    /// Whether it has nothing that a later run could use.
    pub(super) fn is_unused(&self) -> bool {
        let is_empty = |folder| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        is_empty(self.folder()) && is_empty(self.source())
    }

    /// Removes the working folder.
    pub(super) fn discard(self) -> Result<(), Error> {
        fs::remove_dir_all(&self.partial).map_err(Error::io("remove", &self.partial))
    }
}

/// Returns `<destination>.partial`, also if the destination ends with a slash.
fn partial_beside(destination: &Path) -> Result<PathBuf, Error> {
    let Some(name) = destination.file_name() else {
        return Err(Error::NotAFolderName { destination: destination.to_owned() });
    };
    let mut name = name.to_owned();
    name.push(".partial");
    Ok(destination.with_file_name(name))
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", path))
}

/// Rewrites a file of an interrupted run and keeps the bytes that are equal.
pub(super) struct StagedFile {
    file: File,
    path: PathBuf,
    position: u64,
    comparing: bool,
    scratch: Vec<u8>,
    hasher: Sha256Hasher,
}

impl StagedFile {
    /// Opens a file in the working folder.
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("create", &path))?;
        Ok(Self {
            file,
            path,
            position: 0,
            comparing: true,
            scratch: Vec::new(),
            hasher: Sha256Hasher::default(),
        })
    }

    /// Appends a block. Returns whether the file already had it.
    pub(super) fn write(&mut self, block: &[u8]) -> Result<bool, Error> {
        self.hasher.update(block);
        self.comparing = self.comparing && self.holds(block).map_err(Error::io("read", &self.path))?;
        if !self.comparing {
            self.file.write_all_at(block, self.position).map_err(Error::io("write", &self.path))?;
        }
        self.position += block.len() as u64;
        Ok(self.comparing)
    }

    /// Truncates the file to its new length and syncs it.
    pub(super) fn finish(self) -> Result<FileEntry, Error> {
        self.file
            .set_len(self.position)
            .and_then(|()| self.file.sync_all())
            .map_err(Error::io("write", &self.path))?;
        let name = self.path.file_name().unwrap_or_default();
        Ok(FileEntry {
            name: name.to_string_lossy().into_owned(),
            size: self.position,
            sha256: self.hasher.finish(),
        })
    }

    fn holds(&mut self, block: &[u8]) -> io::Result<bool> {
        self.scratch.resize(block.len(), 0);
        match self.file.read_exact_at(&mut self.scratch, self.position) {
            Ok(()) => Ok(self.scratch == block),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Writes a small file in the working folder.
pub(super) fn write_whole(path: PathBuf, bytes: &[u8]) -> Result<FileEntry, Error> {
    let mut file = StagedFile::open(path)?;
    file.write(bytes)?;
    file.finish()
}
