//! What to do about a text that is not a policy, or an application that is none.

use crate::cli::failure::Kind;
use crate::policy::Error;

pub(super) fn explain_policy(error: &Error) -> (Kind, Option<String>) {
    let hint = match error {
        Error::TooLong { .. } => "check that it is the right file",
        Error::Schema { .. } => "use the version of portcullis that it was written for",
        Error::Application { .. } => "correct or remove that line",
        Error::TooManyApplications { .. } => "split the file",
        Error::Toml { .. }
        | Error::Word { .. }
        | Error::Expires { .. }
        | Error::KeepsAhead { .. }
        | Error::NoStages { .. }
        | Error::TooMany { .. }
        | Error::StageTwice { .. }
        | Error::Unsaid { .. }
        | Error::NoBound { .. }
        | Error::NotFinite { .. } => "correct that line; docs/policy.md describes the format",
    };
    (Kind::Unverified, Some(hint.to_owned()))
}
