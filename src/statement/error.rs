//! Errors of statements.

use super::catalogue_id::CatalogueId;
use super::quorum::ThresholdNotMet;
use crate::identity;

/// A statement cannot be parsed, verified or signed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum Error {
    /// The bytes are not a DSSE envelope.
    #[error("not a signed statement: {reason}")]
    Envelope { reason: String },
    /// The envelope or its payload exceeds the limit, both in bytes.
    #[error("the statement has {size} bytes; at most {max} are accepted")]
    TooLong { size: usize, max: usize },
    /// The payload is not an in-toto statement.
    #[error("the payload type is `{found}`, not `{expected}`")]
    PayloadType { found: String, expected: &'static str },
    /// The statement is of another kind; `found` is taken from its predicate type.
    #[error("this is a {found}, not a {expected}")]
    Kind { found: String, expected: &'static str },
    /// The statement does not have the fields of its kind.
    #[error("the {kind} is malformed: {reason}")]
    Malformed { kind: &'static str, reason: String },
    /// The statement was signed for another catalogue.
    #[error("the {kind} is for the catalogue {found}; this is the catalogue {expected}")]
    OtherCatalogue { kind: &'static str, found: CatalogueId, expected: CatalogueId },
    /// The statement names no catalogue, like those of version 0.1.
    #[error("the {kind} does not name its catalogue and is not valid in any")]
    NoCatalogue { kind: &'static str },
    /// Too few keys of the quorum signed.
    #[error(transparent)]
    Threshold(#[from] ThresholdNotMet),
    /// A card is not signed by its own key.
    #[error("the card of {name} is not signed by its own key")]
    CardNotSelfSigned { name: String },
    /// The envelope has no signature, or more than its kind may have.
    #[error("a {kind} must have {}; this one has {count}", allowed(*max))]
    SignatureCount { kind: String, count: usize, max: usize },
    /// The two envelopes have different payloads.
    #[error("cannot merge signatures of a different payload")]
    OtherPayload,
    /// The signer failed.
    #[error(transparent)]
    Signer(#[from] identity::Error),
}

impl Error {
    /// Whether signatures are missing or wrong, while the form is valid.
    pub fn is_about_signers(&self) -> bool {
        !matches!(
            self,
            Self::Envelope { .. }
                | Self::TooLong { .. }
                | Self::Malformed { .. }
                | Self::SignatureCount { .. }
        )
    }
}

fn allowed(max: usize) -> String {
    match max {
        1 => "one signature".to_owned(),
        _ => format!("1 to {max} signatures"),
    }
}
