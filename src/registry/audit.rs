//! The log with what it records, for auditors; that they read it is on the record too.

use super::{Error, Reading, Registry};
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::statement::{Predicate as _, Statement, Subject};
use crate::store::{Filed, Filing, RecordRow, StatementRow};
use crate::time::Timestamp;

/// Records of a page.
const PAGE: u64 = 500;

impl Registry {
    /// A page of the log, from a place on, with the statements that it records. The first page of a reading is an entry of the log itself.
    ///
    /// # Errors
    /// [`Error::NotYours`] for anybody but auditors, [`Error::Store`].
    pub async fn audit_page(
        &self,
        from: u64,
        reader: KeyId,
        now: Timestamp,
    ) -> Result<Vec<RecordRow>, Error> {
        if !self.view().await?.is_auditor(reader) {
            return Err(Error::NotYours);
        }
        if from == 0 {
            self.record_audit(reader, now).await?;
        }
        let mut rows = self.store.log_records(from, PAGE).await?;
        for row in &mut rows {
            let entry = Entry::parse(row.entry.as_bytes())?;
            // Each approval is an entry of its own.
            row.envelopes
                .retain(|(signer, _)| entry.kind != EntryKind::Approval || entry.by == Some(*signer));
            row.envelopes.retain(|(_, envelope)| !envelope.is_empty());
        }
        Ok(rows)
    }

    async fn record_audit(&self, reader: KeyId, now: Timestamp) -> Result<(), Error> {
        let head = self.store.log_head().await?.head;
        let reading = Reading {
            reader,
            kind: "audit".to_owned(),
            count: head.size(),
            people: std::collections::BTreeSet::new(),
            created: now,
        };
        let catalogue = self.view().await?.catalogue.id();
        let subject = Subject { name: Reading::KIND.to_owned(), digest: head.root() };
        let envelope = Statement::new(catalogue, subject, reading).sign(&*self.signer)?;
        let row = StatementRow {
            digest: envelope.digest(),
            signer: self.key_id(),
            kind: Reading::KIND.to_owned(),
            checkpoint: Reading::KIND.parse()?,
            about: None,
            holder: reader,
            envelope: envelope.to_json(),
            received: now,
        };
        let entry = Entry::new(EntryKind::Reading, now, row.digest).by(reader);
        self.store.put(Filing::one(Filed { row, entry: Some(entry) })).await?;
        // What was acknowledged before is in the tree that the auditor is about to read.
        self.keep_witnessed().await
    }
}
