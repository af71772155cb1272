//! Batches for the registry: each is stored before it is sent, so that exactly the same one is sent again.

use serde::{Deserialize, Serialize};

use super::{Journal, Position};
use crate::identity::VerifyingKey;
use crate::statement::Envelope;
use crate::usage::{Error, JournalMark, MAX_BATCH_BYTES, SignedRecord};

const OUTGOING: &str = "outgoing.json";
pub(super) const SYNCED: &str = "synced.json";

/// What the registry has of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    pub(super) known: Position,
}

/// A batch being sent; the registry may have it already, if its response was lost.
#[derive(Debug, Clone)]
pub struct OutgoingBatch {
    /// The signed batch.
    pub batch: Envelope,
    /// Number of records.
    pub records: u64,
    /// The state once the registry has stored it.
    pub reached: SyncState,
}

#[derive(Debug, Serialize, Deserialize)]
struct SyncedFile {
    batch: String,
    from: u64,
    reached: SyncState,
}

impl Journal {
    /// The next batch: the stored one, or a new one of the following records, which `sign` signs.
    ///
    /// # Errors
    /// Those of [`Self::open`]; [`Error::Unsigned`]; [`Error::Statement`]; those of `sign`.
    pub fn outgoing(
        &mut self,
        key: &VerifyingKey,
        sign: impl FnOnce(&[SignedRecord]) -> Result<Envelope, Error>,
    ) -> Result<Option<OutgoingBatch>, Error> {
        let _lock = self.lock()?;
        let from = self.at_synced()?.known.seq;
        let kept: Option<SyncedFile> = self.read_json(OUTGOING)?;
        if let Some(SyncedFile { batch, reached, .. }) = kept.filter(|kept| kept.from == from) {
            let batch = Envelope::parse(batch.as_bytes())?;
            return Ok(Some(OutgoingBatch {
                batch,
                records: reached.known.seq.saturating_sub(from),
                reached,
            }));
        }
        let (records, reached) = self.unsynced(key)?;
        if records.is_empty() {
            return Ok(None);
        }
        let batch = sign(&records)?;
        let kept = SyncedFile { batch: batch.to_json(), from, reached };
        self.write_json(OUTGOING, &kept, true)?;
        Ok(Some(OutgoingBatch { batch, records: records.len() as u64, reached: kept.reached }))
    }

    /// The journal's state at the registry, and the unfinished generations that it knows.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn told(&self) -> Result<(JournalMark, Vec<u64>), Error> {
        let known = self.at_synced()?.known;
        let mark = JournalMark { journal: self.journal, records: known.seq, head: known.link };
        Ok((mark, known.open.into_iter().collect()))
    }

    /// Stores the new state; it never goes back.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn keep_synced(&self, reached: &SyncState) -> Result<(), Error> {
        let _lock = self.lock()?;
        if reached.known.seq > self.at_synced()?.known.seq {
            self.write_json(SYNCED, reached, true)
        } else {
            Ok(())
        }
    }

    /// Unsynced records that fit a batch, and the resulting state.
    fn unsynced(&self, key: &VerifyingKey) -> Result<(Vec<SignedRecord>, SyncState), Error> {
        let mut from = self.at_synced()?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        let mut is_full = false;
        from.catch_up(&mut |record| {
            // Escapes and base64 make lines longer in a statement.
            bytes += record.line().len() * 3 / 2;
            is_full |= bytes > MAX_BATCH_BYTES && !records.is_empty();
            if !is_full {
                record.require_signed(key)?;
                records.push(record.clone());
            }
            Ok(())
        })?;
        let mut reached = self.at_synced()?.known;
        for record in &records {
            reached.add(record);
        }
        Ok((records, SyncState { known: reached }))
    }

    pub(super) fn at_synced(&self) -> Result<Self, Error> {
        let synced: Option<SyncState> = self.read_json(SYNCED)?;
        let known = synced.map_or_else(|| Position::first(self.journal), |synced| synced.known);
        Ok(self.at_position(known))
    }
}
