//! The registry: it accepts statements, keeps the queue of requests, issues leases, answers requests of public stages and publishes the
//! catalogue.
//!
//! It holds one of the two locks and cannot grant a gated checkpoint by itself (P1, P2): every decision rests on statements that others
//! signed, checked by the functions that every client uses.

mod accept;
mod admission;
mod adopt;
mod advice;
mod affiliations;
mod answer;
mod audit;
mod case_opening;
mod cases;
mod catalogue_changes;
mod chunk_memory;
mod decisions;
mod erase;
mod error;
mod grants;
mod index;
mod journals;
mod lease;
mod lists;
mod page;
mod public;
mod public_file;
mod publication;
mod reading_log;
mod reference;
mod release;
mod reveal;
mod sanctions;
mod sealed;
mod sequencer;
mod service;
mod session;
mod usage;
mod usage_checks;
mod witnessing;

pub use accept::Receipt;
pub use admission::{AdmissionRules, AuthorStatus, ScreenedStatement};
pub use answer::{Answer, AnswerTerms, answer_request, answers_itself};
pub use decisions::WaitEstimate;
pub use erase::{Erasure, PersonRecords};
pub use error::Error;
pub use index::KINDS;
pub use lease::{IssuedLease, LeaseTerms, issue_lease};
pub use lists::{GrantDecision, RequestHistory, RequestQuery, StatementQuery};
pub use page::{Cursor, CursorError, ListPage, ListRange};
pub use public::PublicCheckpoint;
pub use public_file::{ChunkCharge, PublicRange, PublicReader};
pub use reading_log::Reading;
pub use release::{incoherent, require_coherent};
pub use reveal::PrivateAnswer;
pub use service::{Registry, View};
pub use witnessing::WitnessAddress;

use crate::client::Catalogue;
use crate::identity::{OpeningKey, Signer};

/// The registry's own keys.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// Opens what is sealed to the registry.
    pub opening: &'a OpeningKey,
    /// Signs as the registry.
    pub signer: &'a dyn Signer,
}

/// Refuses keys that are not the registry's keys in the catalogue.
///
/// # Errors
/// [`Error::NotTheRegistry`].
pub fn require_registry(catalogue: &Catalogue, signer: &dyn Signer) -> Result<(), Error> {
    let key = signer.verifying_key();
    if catalogue.registry().keys().contains(&key) {
        return Ok(());
    }
    Err(Error::NotTheRegistry { key: key.id() })
}
