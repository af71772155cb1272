//! What to do when the log, or a proof from it, does not hold.

use crate::cli::failure::Kind;
use crate::log::Error;

pub(super) fn explain_log(error: &Error) -> (Kind, Option<String>) {
    let (kind, hint) = match error {
        Error::NotConsistent { .. } | Error::Shrunk { .. } | Error::OtherLog { .. } => (
            Kind::Unverified,
            "keep this machine's `log` folder as it is, and show it to the auditors: the registry's history was changed",
        ),
        Error::TooFewWitnesses { .. } => (
            Kind::Unverified,
            "try again; if it still fails, ask the registry's operator and the witnesses what they saw",
        ),
        Error::NotIncluded { .. } | Error::Tile { .. } | Error::Unsigned { .. } => (
            Kind::Unverified,
            "try again; if it still fails, tell the auditors: the registry shows what its log does not contain",
        ),
        Error::Name { .. } => {
            (Kind::Usage, "give the key as `portcullis witness init --name <name>` printed it")
        }
        Error::Head { .. } => (Kind::Unverified, "give the key, or the head, exactly as it was written"),
        Error::Signer(error) => return super::identity::explain_identity(error),
        Error::Size { .. }
        | Error::Path { .. }
        | Error::Bundle { .. }
        | Error::TooLong { .. }
        | Error::Entry { .. }
        | Error::Proof { .. } => (Kind::Unverified, "tell the registry's operator: this is not a valid log"),
    };
    (kind, Some(hint.to_owned()))
}
