//! What to do when an audit cannot begin.

use super::access::explain_remote;
use super::{catalogue, hint_for_io, log};
use crate::cli::failure::Kind;
use crate::report::Error;

pub(super) fn explain_report(error: &Error) -> (Kind, Option<String>) {
    let (kind, hint) = match error {
        Error::Io(error) => return (Kind::Unavailable, hint_for_io(error)),
        Error::Remote(error) => return explain_remote(error),
        Error::Catalogue(error) => return catalogue::explain_catalogue(error),
        Error::Log(error) => return log::explain_log(error),
        Error::Bundle { .. } => (
            Kind::Unverified,
            "take another copy of the bundle, or make one: `portcullis audit bundle --to <file>`",
        ),
        Error::OtherRoot => (Kind::Unverified, "use the home that joined the bundle's registry (--home)"),
    };
    (kind, Some(hint.to_owned()))
}
