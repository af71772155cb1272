//! Declarations: a person declares a further journal to a registry that knows others of theirs, or a lost one, with the reason.
//!
//! Leases are bound to journals, so the loss of a journal ends them. A declaration puts what follows on the record, signed by the owner.

use serde::{Deserialize, Serialize};

use super::{Error, JournalId, first_link};
use crate::identity::Card;
use crate::name::Prose;
use crate::statement::{CatalogueId, Envelope, Predicate, Quorum, Statement, Subject, Verified};
use crate::time::Timestamp;

/// Maximum lost journals per declaration.
const MAX_LOST: usize = 16;

/// A person's statement about their journals. Its subject is the link that the first record of `journal` cites.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalDeclaration {
    /// The owner's card.
    pub card: Card,
    /// The journal in use from now on: on a new machine, or in place of lost ones.
    pub journal: JournalId,
    /// Lost journals, which cannot be continued.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<JournalId>,
    /// The reason, shown to auditors.
    pub reason: Prose,
    pub created: Timestamp,
}

impl Predicate for JournalDeclaration {
    const KIND: &'static str = "journal";
}

impl JournalDeclaration {
    /// The unsigned statement for a catalogue.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn to_envelope(&self, catalogue: CatalogueId) -> Result<Envelope, Error> {
        let subject = Subject { name: Self::KIND.to_owned(), digest: first_link(self.journal) };
        Ok(Statement::new(catalogue, subject, self.clone()).to_envelope()?)
    }
}

/// Verifies that the owner signed the declaration for this catalogue.
///
/// # Errors
/// [`Error::Statement`], [`Error::Declaration`].
pub fn verify_declaration(
    envelope: &Envelope,
    catalogue: CatalogueId,
) -> Result<Verified<Statement<JournalDeclaration>>, Error> {
    let owner = |said: &JournalDeclaration| {
        Quorum::of_one(said.card.name.as_str(), said.card.verifying_key).in_catalogue(catalogue)
    };
    let statement = envelope.self_signed(owner)?;
    let said = &statement.predicate;
    let refused = |reason: &'static str| Error::Declaration { reason };
    if statement.subject.digest != first_link(said.journal) {
        return Err(refused("its subject is another journal"));
    }
    if said.lost.len() > MAX_LOST || said.lost.contains(&said.journal) {
        return Err(refused("it gives up too many journals, or the one that it is about"));
    }
    Ok(statement)
}
