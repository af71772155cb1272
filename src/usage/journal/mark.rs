//! What a home keeps of its journal beside the journal's folder: how far it went, so that a folder that was cut, emptied, swapped or put back from
//! a copy is noticed.
//!
//! The mark is a new file after every record, and names itself: its place on the disk and its time of birth, which no copy has and nobody can
//! set. A home that was copied, or put back from a copy, carries a mark that is not its own. A mark is written behind its line, so it is never
//! ahead of the journal; a kill between the two leaves it one behind.
//!
//! Whoever edits the mark by hand, keeps the very file aside and moves it back, or sets back the whole disk, gets past it: the threat model says so.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::usage::record::first_link;
use crate::usage::{Error, JournalId};

/// Longest mark that is read.
const MAX_BYTES: u64 = 4 << 10;

/// Where a home has its journal, and the mark of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalPlace {
    pub(super) folder: PathBuf,
    mark: PathBuf,
}

/// How far a journal went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) journal: JournalId,
    pub(super) records: u64,
    /// The link that the next record cites.
    pub(super) head: Sha256Digest,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkFile {
    schema: u32,
    journal: JournalId,
    records: u64,
    head: Sha256Digest,
    file: FileId,
}

/// Which file it is: a copy of it is another.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileId {
    inode: u64,
    /// Nanoseconds since 1970, if the file system keeps a time of birth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    born: Option<String>,
}

impl JournalPlace {
    /// The journal of the home in this folder.
    pub fn in_home(home: &Path) -> Self {
        Self { folder: home.join("usage"), mark: home.join("usage-mark.json") }
    }

    /// The folder with the records.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The mark, if there is one.
    pub(super) fn mark(&self) -> Result<Option<Mark>, Error> {
        let Some((written, file)) = self.read()? else { return Ok(None) };
        let MarkFile { journal, records, head, .. } = written;
        if !written.file.is_of(&file) {
            return Err(Error::Copied { journal, records });
        }
        Ok(Some(Mark { journal, records, head }))
    }

    /// Which journal the mark is of, whether or not it is a copy.
    pub(super) fn marked_journal(&self) -> Result<Option<JournalId>, Error> {
        Ok(self.read()?.map(|(written, _)| written.journal))
    }

    fn read(&self) -> Result<Option<(MarkFile, Metadata)>, Error> {
        let refused = |source| Error::Io { action: "use", path: self.mark.clone(), source };
        let file = match File::open(&self.mark) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(refused)?,
        };
        let metadata = file.metadata().map_err(refused)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(refused)?;
        let written = crate::json::from_slice(&bytes).map_err(|error| refused(io::Error::other(error)))?;
        Ok(Some((written, metadata)))
    }

    /// Puts a new mark in the place of the last, whole or not at all.
    pub(super) fn keep(&self, mark: &Mark) -> io::Result<()> {
        let home = self.mark.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(home)?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(home)?;
        let Mark { journal, records, head } = *mark;
        let id = FileId::from_metadata(&file.as_file().metadata()?);
        serde_json::to_writer(&mut file, &MarkFile { schema: 1, journal, records, head, file: id })?;
        file.flush()?;
        // After a power cut there is this mark or the one before, never an empty one.
        file.as_file().sync_data()?;
        file.persist(&self.mark).map_err(|error| error.error)?;
        Ok(())
    }

    /// Moves the folder aside, if it is there, to make room for the journal `next`.
    pub(super) fn make_room(&self, next: JournalId) -> io::Result<()> {
        let mut name = self.folder.file_name().unwrap_or_default().to_owned();
        let digits: String = next.to_string().chars().take(12).collect();
        name.push(format!(".before-{digits}"));
        match fs::rename(&self.folder, self.folder.with_file_name(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            moved => moved,
        }
    }
}

impl Mark {
    /// The mark of a journal without a record.
    pub(super) fn first(journal: JournalId) -> Self {
        Self { journal, records: 0, head: first_link(journal) }
    }
}

impl FileId {
    fn from_metadata(file: &Metadata) -> Self {
        let born = file.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Self { inode: inode(file), born: born.map(|born| born.as_nanos().to_string()) }
    }

    /// Whether it is this file. A number can be given again once a file is gone, a time of birth cannot; some file systems keep none.
    fn is_of(&self, file: &Metadata) -> bool {
        let found = Self::from_metadata(file);
        match (&self.born, &found.born) {
            (Some(born), Some(found)) => born == found,
            _ => self.inode == found.inode,
        }
    }
}

#[cfg(unix)]
fn inode(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}
