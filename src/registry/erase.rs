//! Erasing a person: the contents of their statements are deleted. The log holds only digests, and stays as it is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Error, Registry};
use crate::access::{Grant, Request};
use crate::digest::Sha256Digest;
use crate::identity::{Card, KeyId};
use crate::log::{Entry, EntryKind};
use crate::name::Prose;
use crate::statement::{Envelope, Predicate, Statement, Subject};
use crate::store::{FiledStatement, Filing, StatementRow};
use crate::time::Timestamp;

/// The registry's statement that it erased others, whose digests stay in the log. Its subject is the digest of their digests.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// The digests of the erased payloads.
    pub statements: BTreeSet<Sha256Digest>,
    pub reason: Prose,
    pub created: Timestamp,
}

impl Predicate for Erasure {
    const KIND: &'static str = "erasure";
}

/// Maximum number of statements per erasure.
const MAX_AT_ONCE: usize = 5000;

/// Counts of a person's statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRecords {
    /// The card of the person's last request or grant, if it is still stored.
    pub card: Option<Card>,
    /// Statements whose digests are stored.
    pub statements: u64,
    /// Statements whose contents are stored: what an erasure deletes.
    pub to_erase: u64,
}

impl Registry {
    /// Counts a person's statements.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Statement`].
    pub async fn count_person_records(&self, person: KeyId) -> Result<PersonRecords, Error> {
        let (statements, to_erase) = self.store.count_of_person(person).await?;
        Ok(PersonRecords { card: self.last_card(person).await?, statements, to_erase })
    }

    async fn last_card(&self, person: KeyId) -> Result<Option<Card>, Error> {
        if let Some(row) = self.store.last_of_person(person, Request::KIND).await? {
            let card = Envelope::parse(row.envelope.as_bytes())?.claim::<Request>()?.predicate.card;
            return Ok(Some(card));
        }
        let Some(row) = self.store.last_of_person(person, Grant::KIND).await? else { return Ok(None) };
        let card = Envelope::parse(row.envelope.as_bytes())?.claim::<Grant>()?.predicate.researcher;
        Ok(Some(card))
    }

    /// Erases the contents of a person's statements and the notes on their requests, which ends their grants. Returns the number of
    /// statements.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Statement`].
    pub async fn erase(&self, person: KeyId, reason: &Prose, now: Timestamp) -> Result<usize, Error> {
        let catalogue = self.view().await?.catalogue.id();
        let mut erased = 0;
        loop {
            let digests = self.store.statements_to_erase(person, MAX_AT_ONCE).await?;
            if digests.is_empty() {
                break;
            }
            let all: Vec<u8> = digests.iter().flat_map(|digest| *digest.as_bytes()).collect();
            let erasure = Erasure { statements: digests.clone(), reason: reason.clone(), created: now };
            let subject = Subject { name: Erasure::KIND.to_owned(), digest: Sha256Digest::of(&all) };
            let envelope = Statement::new(catalogue, subject, erasure).sign(&*self.signer)?;
            let row = StatementRow {
                digest: envelope.digest(),
                signer: self.key_id(),
                kind: Erasure::KIND.to_owned(),
                checkpoint: Erasure::KIND.parse()?,
                about: None,
                holder: self.key_id(),
                envelope: envelope.to_json(),
                received: now,
            };
            let entry = Entry::new(EntryKind::Erasure, now, row.digest);
            // The erasure is recorded first: a crash in between leaves contents to erase again, and none unrecorded.
            self.store.put(Filing::one(FiledStatement { row, entry: Some(entry) })).await?;
            self.store.erase(person, &digests).await?;
            erased += digests.len();
        }
        self.sequence().await?;
        Ok(erased)
    }
}
