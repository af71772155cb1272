//! The mark of a journal: its length and last digest, stored in the home beside the journal's folder, so that a truncated, emptied, swapped
//! or restored folder is noticed.
//!
//! The mark is a new file after every record, and contains its own inode and birth time, which a copy does not have. So a copied or
//! restored home carries a mark that is not its own. The mark is written after its line, so it is never ahead of the journal; a crash in
//! between leaves it one behind.
//!
//! Editing the mark by hand, moving the original file back, or restoring the whole disk goes unnoticed; see the threat model.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::usage::record::first_link;
use crate::usage::{Error, JournalId};

/// Maximum size of a mark.
const MAX_BYTES: u64 = 4 << 10;

/// The location of a home's journal and its mark.
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

/// The identity of a file; a copy has another.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileId {
    inode: u64,
    /// Nanoseconds since 1970, if the file system stores birth times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    born: Option<String>,
}

impl JournalPlace {
    /// The location in this home.
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

    /// The id of the marked journal, even if the mark is a copy.
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

    /// Replaces the mark atomically.
    pub(super) fn keep(&self, mark: &Mark) -> io::Result<()> {
        let home = self.mark.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(home)?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(home)?;
        let Mark { journal, records, head } = *mark;
        let id = FileId::from_metadata(&file.as_file().metadata()?);
        serde_json::to_writer(&mut file, &MarkFile { schema: 1, journal, records, head, file: id })?;
        file.flush()?;
        // After a power cut there is the old or the new mark, never an empty one.
        file.as_file().sync_data()?;
        file.persist(&self.mark).map_err(|error| error.error)?;
        Ok(())
    }

    /// Moves an existing folder aside, for the journal `next`.
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
    /// The mark of an empty journal.
    pub(super) fn first(journal: JournalId) -> Self {
        Self { journal, records: 0, head: first_link(journal) }
    }
}

impl FileId {
    fn from_metadata(file: &Metadata) -> Self {
        let born = file.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Self { inode: inode(file), born: born.map(|born| born.as_nanos().to_string()) }
    }

    /// Whether this is the file. Inodes are reused, birth times are not; some file systems have no birth times.
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
