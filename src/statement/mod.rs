//! Statements: everything that people sign except TUF metadata, and the only counter of signatures.
//!
//! A statement is an in-toto Statement v1 in a DSSE v1 envelope. The signed bytes include their type, so a signature for one purpose is
//! not valid for another (domain separation). An attacker who holds an envelope can drop signatures or add worthless ones, but cannot
//! change the signed bytes. [`Verified`] is the only proof that a threshold was met, and only [`Quorum`] makes one.
//!
//! A statement names its catalogue, and a quorum names the catalogue of its keys: a statement for one catalogue is not valid in another,
//! even if the same people sign in both (P10). Only cards and answers to a registry's challenge name none ([`Predicate::IN_CATALOGUE`]).

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
pub use quorum::{Quorum, QuorumError, ThresholdNotMet, Verified, inflect};
