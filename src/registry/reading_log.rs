//! A record of who read what is private: people on boards and auditors may, and each time is an entry of the log.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Error, Registry};
use crate::access::Handover;
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::statement::{Predicate, Statement, Subject};
use crate::store::{Filed, Filing, StatementRow};
use crate::time::Timestamp;

/// Seconds for which the same reading by the same person is one.
const SAME: i64 = 3600;
/// Readings that are remembered for that.
const MOST_REMEMBERED: usize = 100_000;

/// Somebody who decides or audits read statements of others. Its subject is the digest of what was read; the registry signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Who read.
    pub reader: KeyId,
    /// Statements of which kind.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// Whom they concern.
    pub people: BTreeSet<KeyId>,
    /// When.
    pub created: Timestamp,
}

impl Predicate for Reading {
    const KIND: &'static str = "reading";
}

/// What was read lately, so that asking again is not recorded again.
#[derive(Debug, Default)]
pub(super) struct Readings(Mutex<HashMap<(KeyId, Sha256Digest), Timestamp>>);

impl Readings {
    fn is_new(&self, reader: KeyId, read: Sha256Digest, now: Timestamp) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(reader, read)).is_none_or(|at| now.seconds_since(*at) >= SAME)
    }

    fn remember(&self, reader: KeyId, read: Sha256Digest, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, at| now.seconds_since(*at) < SAME);
        }
        if known.len() < MOST_REMEMBERED {
            known.insert((reader, read), now);
        }
    }
}

impl Registry {
    /// Records that `reader` is about to read these, where they concern others; nothing is handed out before that is durable.
    pub(super) async fn record_reading(
        &self,
        reader: KeyId,
        rows: &[StatementRow],
        now: Timestamp,
    ) -> Result<(), Error> {
        let is_private = |row: &&StatementRow| {
            row.holder != reader && ![Handover::KIND, Reading::KIND].contains(&row.kind.as_str())
        };
        let private: Vec<_> = rows.iter().filter(is_private).collect();
        let Some(first) = private.first().filter(|_| reader != self.key_id()) else { return Ok(()) };
        let mut hasher = Sha256Hasher::default();
        private.iter().for_each(|row| hasher.update(row.digest.as_bytes()));
        let read = hasher.finish();
        if !self.readings.is_new(reader, read, now) {
            return Ok(());
        }
        let reading = Reading {
            reader,
            kind: first.kind.clone(),
            count: private.len() as u64,
            people: private.iter().map(|row| row.holder).collect(),
            created: now,
        };
        let catalogue = self.view().await?.catalogue.id();
        let subject = Subject { name: Reading::KIND.to_owned(), digest: read };
        let envelope = Statement::new(catalogue, subject, reading).sign(&*self.signer)?;
        let row = StatementRow {
            digest: envelope.digest(),
            signer: self.key_id(),
            kind: Reading::KIND.to_owned(),
            checkpoint: first.checkpoint.clone(),
            about: None,
            holder: reader,
            envelope: envelope.to_json(),
            received: now,
        };
        let entry = Entry::new(EntryKind::Reading, now, row.digest).by(reader);
        self.store.put(Filing::one(Filed { row, entry: Some(entry) })).await?;
        self.readings.remember(reader, read, now);
        Ok(())
    }
}
