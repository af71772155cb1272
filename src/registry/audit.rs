//! The log with its statements, for auditors. Reading it is recorded as well.

use super::{Error, PrivateAnswer, Registry};
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::store::RecordRow;
use crate::time::Timestamp;

/// Records per page.
const PAGE: u64 = 500;

impl Registry {
    /// A page of the log from a place on, with the recorded statements. The audit is itself a log entry: nothing is returned that no entry
    /// of the last hour covers.
    ///
    /// # Errors
    /// [`Error::NotYours`] for all but auditors, [`Error::Store`].
    pub async fn audit_page(
        &self,
        from: u64,
        reader: KeyId,
        now: Timestamp,
    ) -> Result<PrivateAnswer<Vec<RecordRow>>, Error> {
        let rows = self.reveal_log(reader, from, PAGE, now).await?;
        rows.try_map(|mut rows| {
            for row in &mut rows {
                let entry = Entry::parse(row.entry.as_bytes())?;
                // Each approval is an entry of its own.
                row.envelopes
                    .retain(|(signer, _)| entry.kind != EntryKind::Approval || entry.by == Some(*signer));
                row.envelopes.retain(|(_, envelope)| !envelope.is_empty());
            }
            Ok(rows)
        })
    }
}
