//! Statements: what people sign that is not TUF metadata, and the one counter of signatures.
//!
//! A statement is an in-toto Statement v1 in a DSSE v1 envelope: the signed bytes carry their own type, so a signature made for
//! one purpose counts for no other (domain separation). Who holds an envelope can drop signatures or add worthless ones; they
//! cannot change what was signed. [`Verified`] is the only proof that a threshold was met, and only [`Quorum`] makes one.
//!
//! A statement names the catalogue that it is for, and a quorum the catalogue that named its keys: a statement of one catalogue counts in no
//! other, even if the same people sign in both (P10). Only cards and answers to a registry's challenge name none ([`Predicate::IN_CATALOGUE`]).

mod card;
mod catalogue_id;
mod envelope;
mod error;
mod in_toto;
mod known_signatures;
mod quorum;

pub use card::{sign_card, verify_card};
pub use catalogue_id::CatalogueId;
pub use envelope::{Envelope, EnvelopeSignature};
pub use error::Error;
pub use in_toto::{Claim, IN_TOTO, Predicate, Statement, Subject};
pub use known_signatures::KnownSignatures;
pub use quorum::{Quorum, QuorumError, ThresholdNotMet, Verified, form};
