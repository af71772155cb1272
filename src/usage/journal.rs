//! The journal on this machine: an append-only file of lines under a lock. A record counts once its line is durable.
//!
//! ```text
//! id.json         the journal's id
//! journal.jsonl   one line per record: signature, space, JSON
//! synced.json     what the registry has: the starting point for reading and sending
//! outgoing.json   the last batch sent, for sending again if its response was lost
//! live/           texts of running generations, by process
//! lock
//! ```
//!
//! A mark in the home beside the folder stores how far the journal went ([`JournalPlace`]). Journals of earlier versions had `tail.json` in
//! the folder instead; they are adopted once.
//!
//! A truncated last line was never acknowledged and is removed. Any other damage is an error.

mod identity;
mod mark;
mod outgoing;
mod recovery;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::live::LiveFile;
use super::record::{ChainPosition, first_link};
use super::token_use::TokenUse;
use super::{Begin, End, Error, Event, JournalId, JournalMark, Record, SignedRecord};
use crate::digest::Sha256Digest;
use crate::identity::{SealingKey, Signer, VerifyingKey};
use crate::name::CheckpointId;
use crate::time::Timestamp;

use identity::FolderJournal;
pub use mark::JournalPlace;
use mark::Mark;
use outgoing::SYNCED;
pub use outgoing::{OutgoingBatch, SyncState};
pub use recovery::UnfinishedGeneration;

const JOURNAL: &str = "journal.jsonl";
const LIVE: &str = "live";
/// Bytes that [`Journal::recent`] reads.
const MAX_RECENT: u64 = 8 << 20;

/// A person's journal on this machine.
#[derive(Debug)]
pub struct Journal {
    place: JournalPlace,
    journal: JournalId,
    known: Position,
    /// Stores texts while they are generated.
    live: Option<LiveFile>,
    /// Whether it was just adopted from an earlier version.
    adopted: bool,
}

/// The verified state of the journal up to a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// The offset of the next line.
    offset: u64,
    /// The place of the next record.
    seq: u64,
    /// The digest of the last record.
    link: Sha256Digest,
    /// The time of the last record.
    at: Timestamp,
    token_use: TokenUse,
    /// Unfinished generations.
    #[serde(default)]
    open: BTreeSet<u64>,
}

/// A durable record.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendedRecord {
    /// Its place.
    pub seq: u64,
    pub digest: Sha256Digest,
}

/// A summary of a journal.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub journal: JournalId,
    pub records: u64,
    /// Records that the registry has.
    pub synced: u64,
    /// The link that the next record will cite.
    pub head: Sha256Digest,
    /// Unfinished generations.
    pub open: usize,
    /// Running generations, by the records with which they began.
    pub under_way: Vec<u64>,
}

impl Journal {
    /// Opens or creates a home's journal, and verifies the records that are not synced.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`], [`Error::Broken`], [`Error::Truncated`], [`Error::Forked`], each with the place; [`Error::Gone`],
    /// [`Error::Replaced`], [`Error::Copied`], [`Error::Unmarked`] if it is not the one that this home kept.
    pub fn open(place: &JournalPlace, random: [u8; 16]) -> Result<Self, Error> {
        let fresh = JournalId::from_bytes(random);
        let mut this = Self::from_start(place, fresh);
        let mut lock = this.lock()?;
        if let Some(next) = this.replacing()? {
            this.place.make_room(next).map_err(|source| this.refused("move", source))?;
            lock = this.lock()?;
        }
        let found = this.identify(fresh)?;
        this = Self::from_start(place, found.id());
        if let Some(synced) = this.read_json::<SyncState>(SYNCED)? {
            this.known = synced.known;
        }
        this.catch_up(&mut |_| Ok(()))?;
        if matches!(found, FolderJournal::Before(_)) {
            this.adopt()?;
        }
        this.require_marked()?;
        drop(lock);
        Ok(this)
    }

    /// Opens a home's journal if there is one.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_existing(place: &JournalPlace) -> Result<Option<Self>, Error> {
        if Self::id_in(place)?.is_none() {
            return Ok(None);
        }
        Self::open(place, [0; 16]).map(Some)
    }

    /// Whether it was adopted from an earlier version when it was opened.
    pub fn was_adopted(&self) -> bool {
        self.adopted
    }

    fn from_start(place: &JournalPlace, journal: JournalId) -> Self {
        Self { place: place.clone(), journal, known: Position::first(journal), live: None, adopted: false }
    }

    /// The same journal at another position.
    fn at_position(&self, known: Position) -> Self {
        Self { known, ..Self::from_start(&self.place, self.journal) }
    }

    /// The journal's id.
    pub fn id(&self) -> JournalId {
        self.journal
    }

    /// Records the beginning of a generation durably, if the limit of tokens in 24 hours allows it.
    ///
    /// # Errors
    /// [`Error::OverLimit`], [`Error::Io`], [`Error::Signer`], and those of [`Self::open`] for what others appended meanwhile.
    pub fn begin(
        &mut self,
        begin: Begin,
        limit: Option<u64>,
        signer: &dyn Signer,
        now: Timestamp,
    ) -> Result<AppendedRecord, Error> {
        let _lock = self.lock()?;
        self.refresh()?;
        // A clock that was set back does not renew the limit.
        let now = now.max(self.known.at);
        if let Some(limit) = limit.filter(|_| !begin.blocked) {
            let (spent, reserved) = self.known.token_use.total(&begin.checkpoint, now);
            let asked = begin.max_tokens;
            if spent.saturating_add(reserved).saturating_add(asked) > limit {
                return Err(Error::OverLimit { limit, spent, reserved, asked });
            }
        }
        let (seq, blocked) = (self.known.seq, begin.blocked);
        // Stored before the record, so that every record's text is known to be stored or lost.
        if let Some(live) = self.live.as_mut().filter(|_| !blocked) {
            live.begin(seq).map_err(|source| refused(&self.place.folder, "write", source))?;
        }
        let appended = self.append(Event::Begin(Box::new(begin)), signer, now);
        if let (Err(_), Some(live)) = (&appended, &mut self.live) {
            live.end(seq);
        }
        appended
    }

    /// Stores generated texts from now on, sealed to the journal's owner.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn keep_live(&mut self, owner: SealingKey) -> Result<(), Error> {
        let _lock = self.lock()?;
        let live = LiveFile::create(&self.place.folder.join(LIVE), owner);
        self.live = Some(live.map_err(|source| refused(&self.place.folder, "write", source))?);
        Ok(())
    }

    /// Stores a further piece of text before it is shown; `tokens` is the total so far.
    ///
    /// # Errors
    /// [`Error::Io`]: nothing more may be written then.
    pub fn store_text(&mut self, begin: u64, text: &str, tokens: u64) -> Result<(), Error> {
        let Some(live) = &mut self.live else { return Ok(()) };
        live.append_text(begin, text, tokens).map_err(|source| refused(&self.place.folder, "write", source))
    }

    /// Takes over the stored texts of another handle of the same journal.
    pub fn continue_live(&mut self, other: &mut Self) {
        if let Some(live) = other.live.take() {
            self.live = Some(live);
        }
    }

    /// Refuses a journal that does not continue the state for which a lease was issued.
    ///
    /// # Errors
    /// [`Error::OtherJournal`], [`Error::Truncated`], [`Error::Forked`].
    pub fn require_continues(&self, mark: &JournalMark) -> Result<(), Error> {
        let JournalMark { journal: known, records, head } = *mark;
        if known != self.journal {
            return Err(Error::OtherJournal { found: self.journal, known, records });
        }
        self.require_reaches(&Mark { journal: known, records, head })
    }

    /// The link that the record at this place cites.
    fn link_at(&self, records: u64) -> Result<Sha256Digest, Error> {
        if records == self.known.seq {
            return Ok(self.known.link);
        }
        let mut from = self.at_synced()?;
        if from.known.seq > records {
            from.known = Position::first(self.journal);
        }
        let mut link = (from.known.seq == records).then_some(from.known.link);
        from.catch_up(&mut |record| {
            if record.record().seq + 1 == records {
                link = Some(record.digest());
            }
            Ok(())
        })?;
        link.ok_or(Error::Truncated { found: from.known.seq, known: records })
    }

    /// Records the end of a generation durably.
    ///
    /// # Errors
    /// Those of [`Self::begin`], but for the limit.
    pub fn end(&mut self, end: End, signer: &dyn Signer, now: Timestamp) -> Result<AppendedRecord, Error> {
        let _lock = self.lock()?;
        self.refresh()?;
        let now = now.max(self.known.at);
        let begin = end.begin;
        let appended = self.append(Event::End(end), signer, now)?;
        if let Some(live) = &mut self.live {
            live.end(begin);
        }
        Ok(appended)
    }

    /// Spent and reserved tokens of a checkpoint in the last 24 hours.
    pub fn spent(&self, checkpoint: &CheckpointId, now: Timestamp) -> (u64, u64) {
        self.known.token_use.total(checkpoint, now.max(self.known.at))
    }

    /// Records since `since` from the last 8 MiB, without verification.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn recent(&self, since: Timestamp) -> Result<Vec<Record>, Error> {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.path())?;
            let begin = file.metadata()?.len().saturating_sub(MAX_RECENT);
            file.seek(SeekFrom::Start(begin))?;
            let mut bytes = Vec::new();
            file.take(MAX_RECENT).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = match read() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            bytes => bytes.map_err(|source| self.refused("read", source))?,
        };
        let text = String::from_utf8_lossy(&bytes);
        // The first line may be truncated and is skipped.
        let records =
            text.lines().filter_map(|line| Some(SignedRecord::parse(line, 0).ok()?.record().clone()));
        Ok(records.filter(|record| record.at >= since).collect())
    }

    /// Verifies all records with their signatures, and passes each to `each`.
    ///
    /// # Errors
    /// Those of [`Self::open`]; [`Error::Unsigned`].
    pub fn verify(&self, key: &VerifyingKey, each: &mut dyn FnMut(&SignedRecord)) -> Result<Summary, Error> {
        let _lock = self.lock()?;
        let mut from = self.at_position(Position::first(self.journal));
        let synced: Option<SyncState> = self.read_json(SYNCED)?;
        let mut at_synced = None;
        from.catch_up(&mut |record| {
            record.require_signed(key)?;
            if synced.as_ref().is_some_and(|synced| synced.known.seq == record.record().seq + 1) {
                at_synced = Some(record.digest());
            }
            each(record);
            Ok(())
        })?;
        from.require_marked()?;
        if let Some(SyncState { known }) = &synced {
            if from.known.seq < known.seq {
                return Err(Error::Truncated { found: from.known.seq, known: known.seq });
            }
            if let Some(found) = at_synced.filter(|found| *found != known.link) {
                return Err(Error::Forked { seq: known.seq - 1, found, known: known.link });
            }
        }
        from.summary()
    }

    /// A summary of the journal.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn summary(&self) -> Result<Summary, Error> {
        let synced: Option<SyncState> = self.read_json(SYNCED)?;
        let Position { seq: records, link: head, open, .. } = &self.known;
        let synced = synced.map_or(0, |synced| synced.known.seq);
        let (journal, under_way) = (self.journal, self.under_way()?);
        Ok(Summary { journal, records: *records, synced, head: *head, open: open.len(), under_way })
    }

    fn append(&mut self, event: Event, signer: &dyn Signer, at: Timestamp) -> Result<AppendedRecord, Error> {
        let seq = self.known.seq;
        let signed = Record::new(self.journal, ChainPosition { seq, link: self.known.link }, at, event)
            .sign(signer)?;
        let mark = Mark { journal: self.journal, records: seq + 1, head: signed.digest() };
        let written = (|| {
            let mut file = File::options().create(true).append(true).open(self.path())?;
            let is_first = file.metadata()?.len() == 0;
            file.write_all(format!("{}\n", signed.line()).as_bytes())?;
            file.sync_data()?;
            // A new file survives a power cut only if its folder is synchronized.
            if is_first {
                File::open(&self.place.folder)?.sync_all()?;
            }
            self.place.keep(&mark)
        })();
        if let Err(source) = written {
            // A partial line was never acknowledged.
            drop(
                File::options()
                    .write(true)
                    .open(self.path())
                    .and_then(|file| file.set_len(self.known.offset)),
            );
            return Err(self.refused("write", source));
        }
        self.known.add(&signed);
        Ok(AppendedRecord { seq, digest: signed.digest() })
    }

    /// Reads records that others appended, and checks the journal against the home's mark.
    fn refresh(&mut self) -> Result<(), Error> {
        self.catch_up(&mut |_| Ok(()))?;
        self.require_marked()
    }

    /// Reads the records after the known position and verifies their chain; a truncated last line is removed.
    fn catch_up(&mut self, each: &mut dyn FnMut(&SignedRecord) -> Result<(), Error>) -> Result<(), Error> {
        let rest = match self.read_rest() {
            Err(error) if error.kind() == ErrorKind::NotFound && self.known.seq == 0 => return Ok(()),
            rest => rest.map_err(|source| self.refused("read", source))?,
        };
        let Some(rest) = rest else {
            // The file is shorter than the known position.
            let found = self.known.seq.saturating_sub(1);
            return Err(Error::Truncated { found, known: self.known.seq });
        };
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        for line in rest[..whole].split_inclusive(|byte| *byte == b'\n') {
            let seq = self.known.seq;
            let line = std::str::from_utf8(&line[..line.len() - 1])
                .map_err(|error| Error::Malformed { seq, reason: error.to_string() })?;
            let record = SignedRecord::parse(line, seq)?;
            record.require_follows(self.journal, ChainPosition { seq, link: self.known.link })?;
            each(&record)?;
            self.known.add(&record);
        }
        if whole < rest.len() {
            let file = File::options().write(true).open(self.path());
            let cut = file.and_then(|file| {
                file.set_len(self.known.offset)?;
                file.sync_all()
            });
            cut.map_err(|source| self.refused("repair", source))?;
        }
        Ok(())
    }

    /// The bytes after the known offset; `None` if the file is shorter.
    fn read_rest(&self) -> io::Result<Option<Vec<u8>>> {
        let mut file = File::open(self.path())?;
        // A file that is not regular may never end.
        let Some(length) = file.metadata()?.len().checked_sub(self.known.offset) else { return Ok(None) };
        file.seek(SeekFrom::Start(self.known.offset))?;
        let mut rest = Vec::new();
        file.take(length).read_to_end(&mut rest)?;
        Ok(Some(rest))
    }

    fn path(&self) -> PathBuf {
        self.place.folder.join(JOURNAL)
    }

    fn refused(&self, action: &'static str, source: io::Error) -> Error {
        refused(&self.place.folder, action, source)
    }

    /// Locks the journal against other processes; the lock ends with the process.
    fn lock(&self) -> Result<File, Error> {
        let lock = || -> io::Result<File> {
            fs::create_dir_all(&self.place.folder)?;
            let file = File::create(self.place.folder.join("lock"))?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| self.refused("lock", source))
    }

    fn read_json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        read_json(&self.place.folder.join(name))
    }

    fn write_json(&self, name: &str, value: &impl Serialize, durable: bool) -> Result<(), Error> {
        let path = self.place.folder.join(name);
        let write = || -> io::Result<()> {
            let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.place.folder)?;
            serde_json::to_writer(&mut file, value)?;
            file.flush()?;
            if durable {
                file.as_file().sync_all()?;
            }
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|source| Error::Io { action: "write", path: path.clone(), source })
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let refused = |action, source| Error::Io { action, path: path.to_owned(), source };
    match fs::read(path) {
        Ok(bytes) => {
            crate::json::from_slice(&bytes).map(Some).map_err(|error| refused("use", io::Error::other(error)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(refused("read", source)),
    }
}

fn refused(folder: &Path, action: &'static str, source: io::Error) -> Error {
    Error::Io { action, path: folder.join(JOURNAL), source }
}

impl Position {
    fn first(journal: JournalId) -> Self {
        let at = Timestamp::from_unix_seconds(0);
        Self {
            offset: 0,
            seq: 0,
            link: first_link(journal),
            at,
            token_use: TokenUse::default(),
            open: BTreeSet::new(),
        }
    }

    fn add(&mut self, record: &SignedRecord) {
        self.offset += record.line().len() as u64 + 1;
        self.seq += 1;
        self.link = record.digest();
        self.at = record.record().at;
        match &record.record().event {
            Event::Begin(begin) if begin.blocked => {}
            Event::Begin(_) => drop(self.open.insert(record.record().seq)),
            Event::End(end) => drop(self.open.remove(&end.begin)),
        }
        self.token_use.add(record.record());
    }
}
