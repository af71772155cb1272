//! Checks that the folder holds the journal that the home marked, at full length.

use std::fs;
use std::io::ErrorKind;

use serde::{Deserialize, Serialize};

use super::mark::Mark;
use super::{Journal, JournalPlace, read_json, refused};
use crate::digest::Sha256Digest;
use crate::usage::{Error, JournalId};

/// The file with the journal's id.
const ID: &str = "id.json";
/// The file with the length, in journals of earlier versions without a mark.
const TAIL: &str = "tail.json";

/// The journal in a folder.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum FolderJournal {
    /// A journal with a mark outside.
    Marked { journal: JournalId, marked: bool },
    /// A journal of an earlier version.
    Before(JournalId),
}

#[derive(Debug, Serialize, Deserialize)]
struct Tail {
    records: u64,
    link: Sha256Digest,
}

impl Journal {
    /// The id of a home's journal, if it has one, without verification.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn id_in(place: &JournalPlace) -> Result<Option<JournalId>, Error> {
        match read_json::<FolderJournal>(&place.folder.join(ID))? {
            Some(found) => Ok(Some(found.id())),
            None => place.marked_journal(),
        }
    }

    /// Whether this home has, or had, this journal.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn is_of(place: &JournalPlace, journal: JournalId) -> Result<bool, Error> {
        Ok(Self::id_in(place)? == Some(journal) || place.marked_journal()? == Some(journal))
    }

    /// Moves the rest of a home's journal aside, and begins a new one under this id.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn replace(place: &JournalPlace, journal: JournalId) -> Result<Self, Error> {
        let marked = place.keep(&Mark::first(journal));
        marked.map_err(|source| refused(&place.folder, "replace", source))?;
        // Once the mark is stored, opening completes the move, also after a crash.
        Self::open(place, *journal.as_bytes())
    }

    /// The journal of an incomplete replacement: its mark is stored, but the folder is another's.
    pub(super) fn replacing(&self) -> Result<Option<JournalId>, Error> {
        let Some(mark) = self.place.mark()?.filter(|mark| mark.records == 0) else { return Ok(None) };
        let here = self.read_json::<FolderJournal>(ID)?.map(FolderJournal::id);
        let is_its_own = here == Some(mark.journal) || here.is_none() && self.is_empty();
        Ok((!is_its_own).then_some(mark.journal))
    }

    /// The journal in the folder, if it is the marked one; a home without a journal gets `fresh`.
    pub(super) fn identify(&self, fresh: JournalId) -> Result<FolderJournal, Error> {
        let found = match (self.read_json::<FolderJournal>(ID)?, self.place.mark()?) {
            (Some(found), Some(Mark { journal: known, .. })) if found.id() == known => return Ok(found),
            (Some(found @ FolderJournal::Before(_)), None) => return Ok(found),
            (Some(found), Some(Mark { journal: known, records, .. })) => {
                return Err(Error::Replaced { found: found.id(), known, records });
            }
            (Some(found), None) => return Err(Error::Unmarked { journal: found.id() }),
            (None, Some(Mark { journal, records: records @ 1.., .. })) if self.is_empty() => {
                return Err(Error::Gone { journal, records });
            }
            (None, Some(Mark { journal, .. })) => journal,
            (None, None) if !self.is_empty() => return Err(Error::Unmarked { journal: fresh }),
            // Concurrent openers choose the same id.
            (None, None) => {
                self.place.keep(&Mark::first(fresh)).map_err(|source| self.refused("write", source))?;
                fresh
            }
        };
        let found = FolderJournal::Marked { journal: found, marked: true };
        self.write_json(ID, &found, true)?;
        Ok(found)
    }

    /// Adopts a journal of an earlier version if its stored end matches.
    pub(super) fn adopt(&mut self) -> Result<(), Error> {
        let mark = Mark { journal: self.journal, records: self.known.seq, head: self.known.link };
        if self.place.mark()?.is_none() {
            match self.read_json::<Tail>(TAIL)? {
                Some(Tail { records, link }) => {
                    self.require_reaches(&Mark { records, head: link, ..mark })?
                }
                None if self.known.seq == 0 => {}
                None => return Err(Error::Unmarked { journal: self.journal }),
            }
            self.place.keep(&mark).map_err(|source| self.refused("write", source))?;
        }
        self.write_json(ID, &FolderJournal::Marked { journal: self.journal, marked: true }, true)?;
        drop(fs::remove_file(self.place.folder.join(TAIL)));
        self.adopted = true;
        Ok(())
    }

    /// Refuses a journal that is shorter than the mark, or has another history.
    pub(super) fn require_marked(&self) -> Result<(), Error> {
        let mark = self.place.mark()?.ok_or(Error::Unmarked { journal: self.journal })?;
        if mark.journal != self.journal {
            let Mark { journal: known, records, .. } = mark;
            return Err(Error::Replaced { found: self.journal, known, records });
        }
        self.require_reaches(&mark)
    }

    pub(super) fn require_reaches(&self, mark: &Mark) -> Result<(), Error> {
        if self.known.seq < mark.records {
            return Err(Error::Truncated { found: self.known.seq, known: mark.records });
        }
        let found = self.link_at(mark.records)?;
        if found == mark.head {
            Ok(())
        } else {
            Err(Error::Forked { seq: mark.records.saturating_sub(1), found, known: mark.head })
        }
    }

    /// Whether there are no lines. A failed check does not count as empty.
    fn is_empty(&self) -> bool {
        match fs::metadata(self.path()) {
            Ok(file) => file.len() == 0,
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }
}

impl FolderJournal {
    pub(super) fn id(self) -> JournalId {
        let (Self::Marked { journal, .. } | Self::Before(journal)) = self;
        journal
    }
}
