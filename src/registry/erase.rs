//! Erasing a person: what their statements say goes, and the log, which holds digests only, stays as it is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Error, Registry};
use crate::access::{Grant, Request};
use crate::digest::Sha256Digest;
use crate::identity::{Card, KeyId};
use crate::log::{Entry, EntryKind};
use crate::name::Prose;
use crate::statement::{Envelope, Predicate, Statement, Subject};
use crate::store::{Filed, Filing, StatementRow};
use crate::time::Timestamp;

/// Statements were erased, of which the log still holds the digests. The registry signs it; its subject is the digest of their digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// The digests of the payloads that are gone.
    pub statements: BTreeSet<Sha256Digest>,
    /// Why.
    pub reason: Prose,
    /// When.
    pub created: Timestamp,
}

impl Predicate for Erasure {
    const KIND: &'static str = "erasure";
}

/// Statements that one erasure names at most.
const MAX_AT_ONCE: usize = 5000;

/// What a registry holds of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The card of their last request or grant, if one is there still.
    pub card: Option<Card>,
    /// Statements whose digests it keeps.
    pub statements: u64,
    /// Those of which it still knows what they say: what an erasure takes away.
    pub to_erase: u64,
}

impl Registry {
    /// What there is of a person.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Statement`].
    pub async fn held_of(&self, person: KeyId) -> Result<Held, Error> {
        let (statements, to_erase) = self.store.count_of_person(person).await?;
        Ok(Held { card: self.last_card(person).await?, statements, to_erase })
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

    /// Erases what the statements of a person say, and the notes on their requests; how many statements there were. Their grants end by it.
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
            let subject = Subject { name: Erasure::KIND.to_owned(), digest: Sha256Digest::compute(&all) };
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
            // First the record, then the deed: a kill in between leaves something to be erased again, and nothing unsaid.
            self.store.put(Filing::one(Filed { row, entry: Some(entry) })).await?;
            self.store.erase(person, &digests).await?;
            erased += digests.len();
        }
        self.sequence().await?;
        Ok(erased)
    }
}
