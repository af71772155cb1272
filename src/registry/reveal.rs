//! The gate through which every private answer goes. What concerns others is revealed to those who decide, audit or operate only with an
//! entry of the log, which is durable before anything is handed out.
//!
//! The server can send nothing that is private but a [`Revealed`], and only this file makes one.

use super::reading_log::Reading;
use super::{Error, Registry};
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::name::CheckpointId;
use crate::statement::{Predicate as _, Statement, Subject};
use crate::store::{Filed, Filing, RecordRow, RequestRow, StatementRow};
use crate::time::Timestamp;

/// An answer that its reader may have: if it concerns others, the reading is on the record.
#[derive(Debug)]
pub struct Revealed<T>(T);

impl<T> Revealed<T> {
    /// An answer that concerns nobody in particular.
    pub(super) fn of_nobody(answer: T) -> Self {
        Self(answer)
    }

    /// The same in another form.
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Revealed<U> {
        Revealed(to(self.0))
    }

    /// The same in another form, if it can be had.
    ///
    /// # Errors
    /// What `to` fails with.
    pub fn try_map<U, E>(self, to: impl FnOnce(T) -> Result<U, E>) -> Result<Revealed<U>, E> {
        to(self.0).map(Revealed)
    }

    /// The answer.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// What an answer tells, and whom it concerns.
#[derive(Debug)]
pub(super) struct Disclosure {
    /// What is told: a kind of statement, or `queue`, `history`, `decision`, `shares`.
    what: String,
    items: Vec<Disclosed>,
}

#[derive(Debug)]
struct Disclosed {
    digest: Sha256Digest,
    holder: KeyId,
    checkpoint: CheckpointId,
}

impl Disclosure {
    /// It concerns nobody but the reader, or nobody at all.
    pub(super) fn none() -> Self {
        Self { what: String::new(), items: Vec::new() }
    }

    /// Statements of one kind.
    pub(super) fn of_statements(kind: &str, rows: &[StatementRow]) -> Self {
        let item = |row: &StatementRow| Disclosed {
            digest: row.digest,
            holder: row.holder,
            checkpoint: row.checkpoint.clone(),
        };
        Self { what: kind.to_owned(), items: rows.iter().map(item).collect() }
    }

    /// Requests as the queue keeps them.
    pub(super) fn of_requests(what: &str, rows: &[RequestRow]) -> Self {
        let item = |row: &RequestRow| Disclosed {
            digest: row.digest,
            holder: row.holder,
            checkpoint: row.checkpoint.clone(),
        };
        Self { what: what.to_owned(), items: rows.iter().map(item).collect() }
    }

    /// One thing that concerns these people.
    pub(super) fn of_one(
        what: &str,
        digest: Sha256Digest,
        checkpoint: &CheckpointId,
        holders: impl IntoIterator<Item = KeyId>,
    ) -> Self {
        let item = |holder| Disclosed { digest, holder, checkpoint: checkpoint.clone() };
        Self { what: what.to_owned(), items: holders.into_iter().map(item).collect() }
    }
}

impl Registry {
    /// Hands an answer out. If it concerns others than its reader, and they read it by their office, the reading is entered in the log
    /// first; the same reading by the same person within an hour is one.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Catalogue`].
    pub(super) async fn reveal<T>(
        &self,
        reader: KeyId,
        disclosure: Disclosure,
        answer: T,
    ) -> Result<Revealed<T>, Error> {
        let items: Vec<_> = disclosure.items.into_iter().filter(|item| item.holder != reader).collect();
        let Some(first) = items.first() else { return Ok(Revealed(answer)) };
        let now = self.now();
        let view = self.view().await?;
        // Whoever has no office reads only what concerns them, such as the shares of their own grant.
        if reader != self.key_id() && !view.names(reader) {
            return Ok(Revealed(answer));
        }
        let mut hasher = Sha256Hasher::default();
        hasher.update(disclosure.what.as_bytes());
        items.iter().for_each(|item| hasher.update(item.digest.as_bytes()));
        let read = hasher.finish();
        if !self.readings.is_new(reader, read, now) {
            return Ok(Revealed(answer));
        }
        let reading = Reading {
            reader,
            count: items.len() as u64,
            people: items.iter().map(|item| item.holder).collect(),
            kind: disclosure.what,
            created: now,
        };
        self.enter_reading(reading, read, first.checkpoint.clone()).await?;
        self.readings.remember(reader, read, now);
        Ok(Revealed(answer))
    }

    /// Hands out at most `count` records of the log from a place on, and never one that no audit on the record covers.
    ///
    /// # Errors
    /// [`Error::NotYours`] for anybody but auditors, [`Error::Store`], [`Error::NotWitnessed`].
    pub(super) async fn reveal_log(
        &self,
        reader: KeyId,
        from: u64,
        count: u64,
        now: Timestamp,
    ) -> Result<Revealed<Vec<RecordRow>>, Error> {
        if !self.view().await?.is_auditor(reader) {
            return Err(Error::NotYours);
        }
        let end = from.saturating_add(count);
        let size = self.store.log_head().await?.head.size();
        let covered = self.readings.audited(reader, now).filter(|covered| end.min(size) <= *covered);
        let covered = match covered {
            // An audit that begins anew is a reading of its own.
            Some(covered) if from > 0 => covered,
            _ => self.record_audit(reader, now).await?,
        };
        let count = end.min(covered).saturating_sub(from);
        Ok(Revealed(self.store.log_records(from, count).await?))
    }

    /// Records that an auditor is about to read the log; how long it is then.
    async fn record_audit(&self, reader: KeyId, now: Timestamp) -> Result<u64, Error> {
        let head = self.store.log_head().await?.head;
        let reading = Reading {
            reader,
            kind: "audit".to_owned(),
            count: head.size(),
            people: std::collections::BTreeSet::new(),
            created: now,
        };
        self.enter_reading(reading, head.root(), Reading::KIND.parse()?).await?;
        // What was acknowledged before is in the tree that the auditor is about to read.
        self.keep_witnessed().await?;
        let covered = self.store.log_head().await?.head.size();
        self.readings.remember_audit(reader, covered, now);
        Ok(covered)
    }

    async fn enter_reading(
        &self,
        reading: Reading,
        read: Sha256Digest,
        checkpoint: CheckpointId,
    ) -> Result<(), Error> {
        let (reader, now) = (reading.reader, reading.created);
        let catalogue = self.view().await?.catalogue.id();
        let subject = Subject { name: Reading::KIND.to_owned(), digest: read };
        let envelope = Statement::new(catalogue, subject, reading).sign(&*self.signer)?;
        let row = StatementRow {
            digest: envelope.digest(),
            signer: self.key_id(),
            kind: Reading::KIND.to_owned(),
            checkpoint,
            about: None,
            holder: reader,
            envelope: envelope.to_json(),
            received: now,
        };
        let entry = Entry::new(EntryKind::Reading, now, row.digest).with_signer(reader);
        self.store.put(Filing::one(Filed { row, entry: Some(entry) })).await?;
        Ok(())
    }
}
