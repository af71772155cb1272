//! What can be wrong with a statement.

use super::catalogue_id::CatalogueId;
use super::quorum::ThresholdNotMet;
use crate::identity;

/// A statement cannot be parsed, verified or signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a DSSE envelope.
    #[error("not a signed statement: {reason}")]
    Envelope {
        /// What is wrong with it.
        reason: String,
    },
    /// Longer than any statement may be.
    #[error("a statement of {size} bytes; at most {max} are accepted")]
    TooLong {
        /// How long it is.
        size: usize,
        /// How long it may be.
        max: usize,
    },
    /// Signed, but not as an in-toto statement.
    #[error("the signed payload is a `{found}`, not a `{expected}`")]
    PayloadType {
        /// What it says.
        found: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// Another kind of statement.
    #[error("this is a {found}, not a {expected}")]
    Kind {
        /// What it is, the part of its type that tells.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The statement's fields are not those of its kind.
    #[error("the {kind} cannot be read: {reason}")]
    Malformed {
        /// Its kind.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It was signed for another catalogue.
    #[error("the {kind} is for the catalogue {found}; this is the catalogue {expected}")]
    OtherCatalogue {
        /// Its kind.
        kind: &'static str,
        /// The catalogue that it names.
        found: CatalogueId,
        /// The catalogue whose keys were asked for.
        expected: CatalogueId,
    },
    /// It names no catalogue, as statements of version 0.1 did.
    #[error("the {kind} does not name the catalogue that it is for, so it counts in none")]
    NoCatalogue {
        /// Its kind.
        kind: &'static str,
    },
    /// Too few of those who must sign did.
    #[error(transparent)]
    Threshold(#[from] ThresholdNotMet),
    /// A card that its own keys did not sign.
    #[error("the card of {name} is not signed by its own key")]
    CardNotSelfSigned {
        /// Who it says it is.
        name: String,
    },
    /// More signatures than the kind has, or none.
    #[error("a {kind} carries {}; this one carries {count}", carried(*max))]
    SignatureCount {
        /// Its kind.
        kind: String,
        /// How many it carries.
        count: usize,
        /// How many it may carry.
        max: usize,
    },
    /// Another payload than the one that others signed.
    #[error("these signatures are over other bytes and cannot be merged")]
    OtherPayload,
    /// The holder of the key did not sign.
    #[error(transparent)]
    Signer(#[from] identity::Error),
}

impl Error {
    /// Whether the right people signing would mend it, rather than another form.
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

fn carried(max: usize) -> String {
    match max {
        1 => "one signature".to_owned(),
        _ => format!("1 to {max} signatures"),
    }
}
