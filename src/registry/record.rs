//! The log's sequencer: it gives entries their places in the order in which they were written, and signs heads.
//!
//! Whoever needs an entry in the log takes the turn themselves, for everything that waits; those who come meanwhile find theirs done. So the log
//! never lags behind what was acknowledged, and one synchronization of the disk serves all. Turns of other replicas are waited for at the
//! database.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::{Error, Registry};
use crate::digest::Sha256Digest;
use crate::log::{self, EntryKind, HeadNote, LogAppender, Part, Receipt, Tiles, TreeHead, prove_inclusion};
use crate::store::Turn;

/// How often a turn is taken before it is given up.
const TRIES: usize = 20;

/// What this process remembers of the log between two turns: its right edge.
#[derive(Debug, Default)]
pub(super) struct Sequencer {
    turn: Mutex<Option<LogAppender>>,
    /// Turns that have begun here.
    begun: AtomicU64,
    /// The last of them that left nothing waiting of what had been written before it began.
    drained: AtomicU64,
}

/// Tiles that were read before they are asked for.
pub(super) struct ReadTiles(pub(super) BTreeMap<(Option<u8>, u64), Vec<u8>>);

impl Tiles for ReadTiles {
    fn read(&self, part: Part) -> Result<Vec<u8>, log::Error> {
        let missing = || log::Error::Tile { path: part.to_string(), reason: "it is missing".to_owned() };
        self.0.get(&(part.level, part.index)).cloned().ok_or_else(missing)
    }
}

impl Registry {
    /// Gives every entry that was written before this was called its place in the tree.
    ///
    /// # Errors
    /// [`Error::Log`] where the log on the disk is damaged, [`Error::Store`], [`Error::Busy`].
    pub async fn sequence(&self) -> Result<(), Error> {
        let begun_before = self.sequencer.begun.load(Ordering::SeqCst);
        let mut lost = 0;
        while lost < TRIES {
            let mut appender = self.sequencer.turn.lock().await;
            let is_done = self.sequencer.drained.load(Ordering::SeqCst) > begun_before;
            if is_done || !self.store.log_waits().await? {
                return Ok(());
            }
            let number = self.sequencer.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let turn = self.store.log_turn().await?;
            let drains = turn.takes_all();
            // Whatever goes wrong, the next turn reads the edge anew.
            let before = appender.take();
            match self.take_turn(turn, before).await? {
                Some(after) => *appender = Some(after),
                None => lost += 1,
            }
            if appender.is_some() && drains {
                self.sequencer.drained.store(number, Ordering::SeqCst);
            }
        }
        Err(Error::Busy)
    }

    /// One turn; `None` where somebody else moved the head.
    async fn take_turn(
        &self,
        mut turn: Turn,
        known: Option<LogAppender>,
    ) -> Result<Option<LogAppender>, Error> {
        let head = turn.head.head;
        let mut appender = match known.filter(|known| known.size() == head.size()) {
            Some(appender) => appender,
            None => {
                let mut edge = turn.edge().await?;
                edge.extend(self.last_bundle(&head).await?);
                LogAppender::open(&head, &ReadTiles(edge))?
            }
        };
        for waiting in &turn.waiting {
            appender.append(waiting.entry.as_bytes())?;
        }
        let grown = appender.take_update()?;
        let origin = self.log_origin().await?;
        let note = HeadNote::sign(&origin, grown.head, &*self.signer)?.to_bytes();
        let note = String::from_utf8_lossy(&note).into_owned();
        Ok(turn.finish(&grown.parts, (&grown.head, &note)).await?.then_some(appender))
    }

    async fn last_bundle(&self, head: &TreeHead) -> Result<BTreeMap<(Option<u8>, u64), Vec<u8>>, Error> {
        let index = head.size() / log::TILE_WIDTH;
        let width = head.size() % log::TILE_WIDTH;
        if width == 0 {
            return Ok(BTreeMap::new());
        }
        let bundle = self.bundle(Part::entries(index, width)).await?;
        Ok(BTreeMap::from([((None, index), bundle)]))
    }

    async fn bundle(&self, part: Part) -> Result<Vec<u8>, Error> {
        let entries = self.store.log_entries(part.index * log::TILE_WIDTH, part.width).await?;
        let entries = entries.into_iter().map(String::into_bytes).collect();
        Ok(log::Bundle { entries }.to_bytes()?)
    }

    /// The name of this registry's log: the first root of its catalogue is in it, so that no other log can have it.
    ///
    /// # Errors
    /// [`Error::Unfounded`], [`Error::Store`].
    pub async fn log_origin(&self) -> Result<String, Error> {
        let files = self.files().await?;
        let root = files.files.get("metadata/1.root.json").ok_or(Error::Unfounded)?;
        Ok(log::origin(Sha256Digest::compute(root)))
    }

    /// Sees to it that the last entry of a kind that records `statement` is in the log; its place.
    ///
    /// # Errors
    /// [`Error::Unknown`] where there is none; those of [`Self::sequence`].
    pub async fn require_logged(&self, kind: EntryKind, statement: Sha256Digest) -> Result<u64, Error> {
        for _ in 0..TRIES {
            match self.store.log_entry(kind, statement).await? {
                None => break,
                Some((_, Some(place))) => return Ok(place),
                Some((_, None)) => self.sequence().await?,
            };
        }
        Err(Error::Unknown { what: "entry of the log for", digest: statement })
    }

    /// The head as clients get it: the newest that is signed, with the witnesses' cosignatures where they are asked.
    ///
    /// # Errors
    /// [`Error::Unknown`] before the first entry, [`Error::Store`].
    pub async fn log_note(&self) -> Result<Vec<u8>, Error> {
        let mut row = self.store.log_head().await?;
        if row.note.is_empty() {
            self.keep_witnessed().await?;
            row = self.store.log_head().await?;
        }
        let note = if self.witnesses.is_empty() { row.note } else { row.cosigned };
        if note.is_empty() {
            return Err(Error::Unknown { what: "head of the log yet; its root is", digest: row.head.root() });
        }
        Ok(note.into_bytes())
    }

    /// A tile or a bundle, exactly as wide as it is asked for.
    ///
    /// # Errors
    /// [`Error::NoPart`] where the log is not that long, [`Error::Store`].
    pub async fn log_part(&self, part: Part) -> Result<Vec<u8>, Error> {
        let missing = || Error::NoPart { part };
        let size = self.store.log_head().await?.head.size();
        if Part::width_in(part.level.unwrap_or(0), part.index, size) < part.width {
            return Err(missing());
        }
        let Some(level) = part.level else { return self.bundle(part).await };
        let mut bytes = self.store.log_tile(level, part.index).await?.ok_or_else(missing)?;
        bytes.truncate(usize::try_from(part.width).unwrap_or(usize::MAX) * 32);
        Ok(bytes)
    }

    /// The last entry of a kind that records `statement`, with the proof that it is in the log that clients see.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Log`], [`Error::Store`]; where witnesses are asked, theirs.
    pub async fn log_receipt(&self, kind: EntryKind, statement: Sha256Digest) -> Result<Receipt, Error> {
        let place = self.require_logged(kind, statement).await?;
        self.require_witnessed(place).await?;
        let note = HeadNote::parse(&self.log_note().await?)?;
        let head = note.claim();
        let entry = self.store.log_entries(place, 1).await?.pop();
        let entry = entry.ok_or(Error::Unknown { what: "entry of the log for", digest: statement })?;
        let mut tiles = BTreeMap::new();
        for (level, index) in tiles_beside(place, head.size()) {
            if let Some(bytes) = self.store.log_tile(level, index).await? {
                tiles.insert((Some(level), index), bytes);
            }
        }
        let proof = prove_inclusion(&head, place, &ReadTiles(tiles))?;
        Ok(Receipt { entry: entry.into_bytes(), proof, note })
    }
}

/// The tiles that a proof of inclusion is made from: those above the entry, and those at the right edge.
pub(super) fn tiles_beside(place: u64, size: u64) -> Vec<(u8, u64)> {
    let mut tiles = Vec::new();
    let mut level: u8 = 0;
    while size >> (8 * u32::from(level)) > 0 {
        let above = |entry: u64| (entry >> (8 * u32::from(level))) / log::TILE_WIDTH;
        tiles.push((level, above(place)));
        // The last hash of a level stands at its right edge; so does the one before, where the last is only begun.
        let last = (size >> (8 * u32::from(level))).saturating_sub(1) / log::TILE_WIDTH;
        tiles.push((level, last));
        level += 1;
    }
    tiles.sort_unstable();
    tiles.dedup();
    tiles
}
