//! Recovery of unfinished generations: a crashed process's generations end with the stored text; the owner explains the others.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};

use super::{Journal, LIVE};
use crate::identity::{OpeningKey, Signer};
use crate::name::Prose;
use crate::time::Timestamp;
use crate::usage::live::{PartialText, Salvage, salvage};
use crate::usage::{Begin, End, Error, Event, Finish, SignedRecord};

/// A generation of a process that crashed.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug)]
pub struct UnfinishedGeneration<'a> {
    /// The record with which it began.
    pub seq: u64,
    pub begin: &'a Begin,
    /// The stored text.
    pub written: &'a PartialText,
}

impl Journal {
    /// Records the end of each generation of a crashed process, as `end` makes it; returns their number.
    ///
    /// # Errors
    /// [`Error::Unended`] if nothing was stored although nothing could have been lost: its owner has to explain it. Those of `end` and of
    /// [`Self::end`].
    pub fn recover(
        &mut self,
        key: &OpeningKey,
        signer: &dyn Signer,
        now: Timestamp,
        end: &dyn Fn(&UnfinishedGeneration<'_>) -> Result<End, Error>,
    ) -> Result<usize, Error> {
        let _lock = self.lock()?;
        self.refresh()?;
        let found = self.read_salvage(Some(key))?;
        let orphans: Vec<u64> =
            self.known.open.iter().copied().filter(|seq| !found.under_way.contains(seq)).collect();
        let begun = self.read_beginnings(&orphans)?;
        let (mut ended, mut lost) = (0, None);
        let nothing = PartialText::default();
        for seq in orphans {
            let written = found.written.get(&seq).or_else(|| found.lost_power.then_some(&nothing));
            let (Some(written), Some(begin)) = (written, begun.get(&seq)) else {
                lost = lost.or(Some(seq));
                continue;
            };
            let end = end(&UnfinishedGeneration { seq, begin, written })?;
            self.append(Event::End(end), signer, now.max(self.known.at))?;
            ended += 1;
        }
        for path in found.dead {
            // Already removed is fine.
            drop(fs::remove_file(path));
        }
        lost.map_or(Ok(ended), |begin| Err(Error::Unended { begin }))
    }

    /// Records the end of a generation without stored text, with its owner's reason. It counts in full.
    ///
    /// # Errors
    /// [`Error::NothingToExplain`], and those of [`Self::end`].
    pub fn explain(
        &mut self,
        seq: u64,
        reason: Prose,
        signer: &dyn Signer,
        now: Timestamp,
    ) -> Result<(), Error> {
        let _lock = self.lock()?;
        self.refresh()?;
        let is_open = self.known.open.contains(&seq) && !self.read_salvage(None)?.under_way.contains(&seq);
        let begun = self.read_beginnings(&[seq])?.remove(&seq);
        let begin = begun.filter(|_| is_open).ok_or(Error::NothingToExplain { begin: seq })?;
        let end = End {
            begin: seq,
            tokens: begin.max_tokens,
            finish: Finish::Killed,
            output: None,
            hits: Vec::new(),
            explanation: Some(reason),
        };
        self.append(Event::End(end), signer, now.max(self.known.at)).map(drop)
    }

    /// Generations of running processes, by the records with which they began.
    pub(super) fn under_way(&self) -> Result<Vec<u64>, Error> {
        let mut under_way = self.read_salvage(None)?.under_way;
        under_way.retain(|seq| self.known.open.contains(seq));
        under_way.sort_unstable();
        Ok(under_way)
    }

    fn read_salvage(&self, key: Option<&OpeningKey>) -> Result<Salvage, Error> {
        salvage(&self.place.folder.join(LIVE), key).map_err(|source| self.refused("read", source))
    }

    /// The beginnings at these places.
    fn read_beginnings(&self, places: &[u64]) -> Result<BTreeMap<u64, Begin>, Error> {
        let mut found = BTreeMap::new();
        if places.is_empty() {
            return Ok(found);
        }
        let file = File::open(self.path()).map_err(|source| self.refused("read", source))?;
        for (seq, line) in (0..).zip(BufReader::new(file).lines()) {
            let line = line.map_err(|source| self.refused("read", source))?;
            if places.contains(&seq)
                && let Event::Begin(begin) = SignedRecord::parse(&line, seq)?.into_record().event
            {
                found.insert(seq, *begin);
            }
        }
        Ok(found)
    }
}
