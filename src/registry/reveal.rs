//! The gate for private answers: data about others is returned to board members, auditors and the operator only after a log entry about the
//! read is durable.
//!
//! The server can send private data only as a [`PrivateAnswer`], and only this file makes one.

use super::reading_log::Reading;
use super::{Error, Registry};
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::name::CheckpointId;
use crate::statement::{Predicate as _, Statement, Subject};
use crate::store::{FiledStatement, Filing, RecordRow, RequestRow, StatementRow};
use crate::time::Timestamp;

/// An answer that its reader may have; if it concerns others, the read is recorded.
#[derive(Debug)]
pub struct PrivateAnswer<T>(T);

impl<T> PrivateAnswer<T> {
    /// An answer without private data.
    pub(super) fn public(answer: T) -> Self {
        Self(answer)
    }

    /// Converts the answer.
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> PrivateAnswer<U> {
        PrivateAnswer(to(self.0))
    }

    /// Converts the answer, if possible.
    ///
    /// # Errors
    /// The error of `to`.
    pub fn try_map<U, E>(self, to: impl FnOnce(T) -> Result<U, E>) -> Result<PrivateAnswer<U>, E> {
        to(self.0).map(PrivateAnswer)
    }

    /// The answer itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// What an answer discloses, and whom it concerns.
#[derive(Debug)]
pub(super) struct Disclosure {
    /// A kind of statement, or `queue`, `history`, `decision`, `shares`.
    what: String,
    items: Vec<DisclosedItem>,
}

#[derive(Debug)]
struct DisclosedItem {
    digest: Sha256Digest,
    holder: KeyId,
    checkpoint: CheckpointId,
}

impl Disclosure {
    /// An answer that concerns only the reader, or no one.
    pub(super) fn nothing() -> Self {
        Self { what: String::new(), items: Vec::new() }
    }

    /// Statements of one kind.
    pub(super) fn from_statements(kind: &str, rows: &[StatementRow]) -> Self {
        let item = |row: &StatementRow| DisclosedItem {
            digest: row.digest,
            holder: row.holder,
            checkpoint: row.checkpoint.clone(),
        };
        Self { what: kind.to_owned(), items: rows.iter().map(item).collect() }
    }

    /// Requests.
    pub(super) fn from_requests(what: &str, rows: &[RequestRow]) -> Self {
        let item = |row: &RequestRow| DisclosedItem {
            digest: row.digest,
            holder: row.holder,
            checkpoint: row.checkpoint.clone(),
        };
        Self { what: what.to_owned(), items: rows.iter().map(item).collect() }
    }

    /// One object that concerns these people.
    pub(super) fn from_item(
        what: &str,
        digest: Sha256Digest,
        checkpoint: &CheckpointId,
        holders: impl IntoIterator<Item = KeyId>,
    ) -> Self {
        let item = |holder| DisclosedItem { digest, holder, checkpoint: checkpoint.clone() };
        Self { what: what.to_owned(), items: holders.into_iter().map(item).collect() }
    }
}

impl Registry {
    /// Returns the answer. If it concerns others and the reader reads it by their role, the read is first recorded in the log; the same
    /// read within an hour is recorded once.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Catalogue`].
    pub(super) async fn reveal<T>(
        &self,
        reader: KeyId,
        disclosure: Disclosure,
        answer: T,
    ) -> Result<PrivateAnswer<T>, Error> {
        let items: Vec<_> = disclosure.items.into_iter().filter(|item| item.holder != reader).collect();
        let Some(first) = items.first() else { return Ok(PrivateAnswer(answer)) };
        let now = self.now();
        let view = self.view().await?;
        // Readers without a role get only what concerns them, such as the shares of their own grant.
        if reader != self.key_id() && !view.names(reader) {
            return Ok(PrivateAnswer(answer));
        }
        let mut hasher = Sha256Hasher::default();
        hasher.update(disclosure.what.as_bytes());
        items.iter().for_each(|item| hasher.update(item.digest.as_bytes()));
        let read = hasher.finish();
        if !self.readings.is_new(reader, read, now) {
            return Ok(PrivateAnswer(answer));
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
        Ok(PrivateAnswer(answer))
    }

    /// Returns at most `count` records of the log from a place on, none that a recorded audit does not cover.
    ///
    /// # Errors
    /// [`Error::NotYours`] for all but auditors, [`Error::Store`], [`Error::NotWitnessed`].
    pub(super) async fn reveal_log(
        &self,
        reader: KeyId,
        from: u64,
        count: u64,
        now: Timestamp,
    ) -> Result<PrivateAnswer<Vec<RecordRow>>, Error> {
        if !self.view().await?.is_auditor(reader) {
            return Err(Error::NotYours);
        }
        let end = from.saturating_add(count);
        let size = self.store.log_head().await?.head.size();
        let covered = self.readings.audited(reader, now).filter(|covered| end.min(size) <= *covered);
        let covered = match covered {
            // An audit that starts over is recorded again.
            Some(covered) if from > 0 => covered,
            _ => self.record_audit(reader, now).await?,
        };
        let count = end.min(covered).saturating_sub(from);
        Ok(PrivateAnswer(self.store.log_records(from, count).await?))
    }

    /// Records an audit by the reader; returns the size of the log.
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
        // What was acknowledged before is in the tree that the auditor reads.
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
        let entry = Entry::new(EntryKind::Reading, now, row.digest).by(reader);
        self.store.put(Filing::one(FiledStatement { row, entry: Some(entry) })).await?;
        Ok(())
    }
}
