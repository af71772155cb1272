//! What a registry does: take in statements, keep the queue, issue leases, answer requests of public stages, publish the catalogue.
//!
//! It holds one of the two locks and no power to grant a gated checkpoint (P1, P2): everything here rests on statements that
//! others signed, checked by the same functions that every client uses.

mod accept;
mod adopt;
mod advice;
mod affiliations;
mod answer;
mod audit;
mod cases;
mod erase;
mod error;
mod grants;
mod index;
mod intake;
mod journals;
mod keeping;
mod lease;
mod leased;
mod lists;
mod part;
mod public;
mod public_file;
mod publication;
mod raising;
mod reading;
mod reading_log;
mod record;
mod referred;
mod release;
mod reveal;
mod room;
mod sanctions;
mod sealed;
mod service;
mod session;
mod usage;
mod witnessing;

pub use accept::Receipt;
pub use answer::{Answer, AnswerTerms, answer_request, answers_itself};
pub use erase::{Erasure, Held};
pub use error::Error;
pub use index::KINDS;
pub use intake::{IntakeRules, Standing, Weighed};
pub use lease::{Issued, LeaseTerms, issue_lease};
pub use lists::{GrantDecision, RequestHistory, RequestQuery, StatementQuery};
pub use part::{Cursor, CursorError, Part, Slice};
pub use public::PublicCheckpoint;
pub use public_file::{PublicRange, PublicReader, Toll};
pub use reading::Waiting;
pub use reading_log::Reading;
pub use release::{incoherent, require_coherent};
pub use reveal::Revealed;
pub use service::{Registry, View};
pub use witnessing::WitnessAddress;

use crate::client::Catalogue;
use crate::identity::{OpeningKey, Signer};

/// The registry's own keys.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// Opens its lock.
    pub opening: &'a OpeningKey,
    /// Signs in its name.
    pub signer: &'a dyn Signer,
}

/// Refuses keys that are not those of the registry that the catalogue names.
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
