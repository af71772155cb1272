//! Declarations: a person says that a journal is new to a registry that knows others of theirs, or that one is lost, and why.
//!
//! Leases are bound to journals, so a journal that vanishes ends them. What goes on behind that is on the record, signed by its owner.

use serde::{Deserialize, Serialize};

use super::{Error, JournalId, first_link};
use crate::identity::Card;
use crate::name::Prose;
use crate::statement::{CatalogueId, Envelope, Predicate, Quorum, Statement, Subject, Verified};
use crate::time::Timestamp;

/// Most journals that one declaration gives up.
const MAX_LOST: usize = 16;

/// What a person says of their journals. Its statement's subject is what the first record of `journal` cites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalDeclaration {
    /// Whose journals.
    pub card: Card,
    /// The journal that is used from now on: a new machine's, or the one in the place of those that are lost.
    pub journal: JournalId,
    /// Journals that are lost: nothing will continue them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<JournalId>,
    /// Why: the auditors read it.
    pub reason: Prose,
    /// When.
    pub created: Timestamp,
}

impl Predicate for JournalDeclaration {
    const KIND: &'static str = "journal";
}

impl JournalDeclaration {
    /// The statement for a catalogue, in an envelope that nobody signed yet.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn to_envelope(&self, catalogue: CatalogueId) -> Result<Envelope, Error> {
        let subject = Subject { name: Self::KIND.to_owned(), digest: first_link(self.journal) };
        Ok(Statement::new(catalogue, subject, self.clone()).to_envelope()?)
    }
}

/// The declaration of an envelope, if its owner signed it for this catalogue.
///
/// # Errors
/// [`Error::Statement`], [`Error::Declaration`].
pub fn verify_declaration(
    envelope: &Envelope,
    catalogue: CatalogueId,
) -> Result<Verified<Statement<JournalDeclaration>>, Error> {
    let owner = |said: &JournalDeclaration| {
        Quorum::from_key(said.card.name.as_str(), said.card.verifying_key).with_catalogue(catalogue)
    };
    let statement = envelope.verify_self_signed(owner)?;
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
