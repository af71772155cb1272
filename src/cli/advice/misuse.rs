//! What to do about a text that is not a set of misuse rules.

use crate::cli::failure::Kind;
use crate::misuse::Error;

pub(super) fn explain_misuse(error: &Error) -> (Kind, Option<String>) {
    let hint = match error {
        Error::TooLong { .. } => "check that it is the file you mean",
        Error::Schema { .. } => "use the version of portcullis that it was written for",
        Error::Pattern { .. } => {
            "correct it; the syntax is the `regex` crate's, without look-around and back references"
        }
        Error::Toml { .. }
        | Error::TooMany { .. }
        | Error::RuleTwice { .. }
        | Error::Needs { .. }
        | Error::Foreign { .. }
        | Error::Number { .. } => "correct that line; docs/policy.md tells the format",
    };
    (Kind::Unverified, Some(hint.to_owned()))
}
