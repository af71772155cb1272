//! What goes to the registry: batches, each kept here before it is sent, so that it is the very same one that is sent again.

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

/// A batch on its way: the registry may have it already, its answer may have been lost.
#[derive(Debug, Clone)]
pub struct OutgoingBatch {
    /// The batch, signed.
    pub batch: Envelope,
    /// How many records are in it.
    pub records: u64,
    /// What the registry has once it took it.
    pub reached: SyncState,
}

#[derive(Debug, Serialize, Deserialize)]
struct SyncedFile {
    batch: String,
    from: u64,
    reached: SyncState,
}

impl Journal {
    /// The next batch for the registry: the one that was on its way, or of the records behind it, as many as fit, the one that `sign` makes.
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

    /// What the registry has, and which of its generations it knows no end of: those that were under way when their records were brought.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn told(&self) -> Result<(JournalMark, Vec<u64>), Error> {
        let known = self.at_synced()?.known;
        let mark = JournalMark { journal: self.journal, records: known.seq, head: known.link };
        Ok((mark, known.open.into_iter().collect()))
    }

    /// Remembers what the registry has now; never less than was remembered.
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

    /// Records that the registry does not have, as many as fit one batch, and what it will have then.
    fn unsynced(&self, key: &VerifyingKey) -> Result<(Vec<SignedRecord>, SyncState), Error> {
        let mut from = self.at_synced()?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        let mut is_full = false;
        from.catch_up(&mut |record| {
            // Lines grow by escapes and base64 once they are in a statement.
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
