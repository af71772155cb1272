//! What to do about a catalogue that cannot be read or must not be believed.

use super::hint_for_io;
use crate::catalogue::Error;
use crate::cli::failure::Kind;

pub(super) fn explain_catalogue(error: &Error) -> (Kind, Option<String>) {
    let (kind, hint) = match error {
        Error::Io { source, .. } => return (Kind::Unavailable, hint_for_io(source)),
        Error::State { source, .. } => {
            let (kind, _) = explain_catalogue(source);
            return (
                kind,
                Some("remove the catalogue's folder of this home and join the registry again".to_owned()),
            );
        }
        Error::Busy { .. } => (Kind::Unavailable, "wait until it ends"),
        Error::NoRoot { .. } => (
            Kind::Usage,
            "get the root of trust from the owners, and run `portcullis join <registry> --root <file>`",
        ),
        Error::OtherRoot { .. } => {
            (Kind::Denied, "ask the owners which root is theirs; for another registry use another --home")
        }
        Error::Missing { .. } => {
            (Kind::Unavailable, "check --registry; if it is right, ask its operator to publish again")
        }
        Error::Expired { .. } => (
            Kind::Unverified,
            "ask the registry's operator for `portcullis catalogue publish`; if that does not help, its signers must renew it",
        ),
        Error::Clock { .. } => (Kind::Denied, "set this machine's clock right and try again"),
        Error::Rollback { .. } | Error::Dropped { .. } => {
            (Kind::Denied, "the registry offers older news than it did before: ask its operator why")
        }
        Error::NoTarget { .. } => (Kind::Unavailable, "its board has to propose, sign and publish it first"),
        Error::TooLong { .. }
        | Error::Malformed { .. }
        | Error::Threshold { .. }
        | Error::Quorum { .. }
        | Error::Version { .. }
        | Error::Length { .. }
        | Error::Digest { .. }
        | Error::NotTheBoards { .. }
        | Error::Path(_) => (Kind::Unverified, "do not use it; tell the owners what was refused"),
    };
    (kind, Some(hint.to_owned()))
}
