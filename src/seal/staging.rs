//! A working folder beside the destination, so that one rename makes the destination appear completely.
//!
//! `<to>.partial/` has `lock`, `session` (while sealing), and `folder/`, which becomes the destination. Atomicity follows from the order:
//! every file of `folder/` is synced, then `folder/`, then the session is removed, then `folder/` is renamed to the destination, then the
//! parent is synced, then the rest is removed. A kill at any time leaves no destination or a complete one. The next run compares
//! everything in `folder/` byte for byte with what it must be.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::Error;

/// A working folder, locked by one process.
pub(super) struct Staging {
    destination: PathBuf,
    partial: PathBuf,
    _lock: File,
}

impl Staging {
    /// Creates and locks the working folder of `destination`, or that of an earlier run.
    pub(super) fn open(destination: &Path) -> Result<Self, Error> {
        let Some(name) = destination.file_name() else {
            return Err(Error::NotAFolderName { destination: destination.to_owned() });
        };
        let mut name = name.to_owned();
        name.push(".partial");
        let partial = destination.with_file_name(name);
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
        let folder = staging.folder();
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        Ok(staging)
    }

    /// The folder that becomes the destination.
    pub(super) fn folder(&self) -> PathBuf {
        self.partial.join("folder")
    }

    /// The file with the keys of an unfinished sealing.
    pub(super) fn session(&self) -> PathBuf {
        self.partial.join("session")
    }

    /// Empties the working folder and deletes the session's keys.
    pub(super) fn clear(&self) -> Result<(), Error> {
        remove_file(&self.session())?;
        let folder = self.folder();
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", &folder)(error))?,
            _ => fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?,
        }
        sync_folder(&self.partial)
    }

    /// Renames the folder to the destination. All files in it must be synced.
    pub(super) fn publish(&self) -> Result<(), Error> {
        let folder = self.folder();
        sync_folder(&folder)?;
        remove_file(&self.session())?;
        sync_folder(&self.partial)?;
        fs::rename(&folder, &self.destination).map_err(|source| match source.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                Error::DestinationExists { destination: self.destination.clone() }
            }
            _ => Error::io("rename to", &self.destination)(source),
        })?;
        match self.destination.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
            _ => sync_folder(Path::new(".")),
        }
    }

    /// Removes the working folder.
    pub(super) fn discard(self) -> Result<(), Error> {
        // The keys first, in case of a kill in between.
        remove_file(&self.session())?;
        fs::remove_dir_all(&self.partial).map_err(Error::io("remove", &self.partial))
    }
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", path))
}

/// Writes `bytes` to `path` durably. Returns whether the file already had these bytes.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    let file = open_for_writing(path)?;
    let write = || {
        let held = file.metadata()?.len() == bytes.len() as u64 && has_bytes_at(&file, bytes, 0)?;
        if !held {
            file.write_all_at(bytes, 0)?;
            file.set_len(bytes.len() as u64)?;
        }
        file.sync_all().map(|()| held)
    };
    write().map_err(Error::io("write", path))
}

/// Opens a file for comparison and correction; creates it if it does not exist.
pub(super) fn open_for_writing(path: &Path) -> Result<File, Error> {
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    options.map_err(Error::io("create", path))
}

/// Whether a file has `bytes` at `position`.
pub(super) fn has_bytes_at(file: &File, bytes: &[u8], position: u64) -> io::Result<bool> {
    /// Compared in pieces, to avoid a second copy of a chunk in memory.
    const PIECE: usize = 1 << 16;
    let mut scratch = [0; PIECE];
    for (i, piece) in bytes.chunks(PIECE).enumerate() {
        let scratch = &mut scratch[..piece.len()];
        match file.read_exact_at(scratch, position + (i * PIECE) as u64) {
            Ok(()) if scratch == piece => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Reads a regular file of at most `max` bytes, or returns `None` if it does not exist.
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<Option<Vec<u8>>, Error> {
    let metadata = match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(Error::io("open", path))?,
    };
    // Refuse other kinds of files before opening: a pipe would block.
    if !metadata.is_file() || metadata.len() > max {
        let refusal = format!("not a regular file of at most {max} bytes");
        return Err(Error::io("open", path)(io::Error::new(ErrorKind::InvalidInput, refusal)));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(max).read_to_end(&mut bytes))
        .map_err(Error::io("read", path))?;
    Ok(Some(bytes))
}
