//! What to do about a text that is not a set of misuse rules, and about a case that does not hold.

use crate::cli::failure::Kind;
use crate::misuse::{CaseError, Error};

pub(super) fn explain_misuse(error: &Error) -> (Kind, Option<String>) {
    let hint = match error {
        Error::TooLong { .. } => "check that it is the right file",
        Error::Schema { .. } => "use the version of portcullis that it was written for",
        Error::Pattern { .. } => {
            "correct it; the syntax is the `regex` crate's, without look-around and back references"
        }
        Error::Toml { .. }
        | Error::TooMany { .. }
        | Error::RuleTwice { .. }
        | Error::Needs { .. }
        | Error::Foreign { .. }
        | Error::Number { .. } => "correct that line; docs/policy.md describes the format",
    };
    (Kind::Unverified, Some(hint.to_owned()))
}

pub(super) fn explain_case(error: &CaseError) -> (Kind, Option<String>) {
    let hint = match error {
        CaseError::NotTheirs { .. }
        | CaseError::AlreadyOpen { .. }
        | CaseError::AlreadyAppealed
        | CaseError::Undecided => {
            return (
                Kind::Denied,
                Some(
                    "`portcullis case show <case>` shows the state of the case and the possible steps"
                        .to_owned(),
                ),
            );
        }
        CaseError::NoAuditors => {
            "the owners name auditors: `portcullis catalogue rotate auditors --add <card>`"
        }
        CaseError::Statement(_)
        | CaseError::TooMany
        | CaseError::Until
        | CaseError::OtherCase { .. }
        | CaseError::OtherGrant { .. }
        | CaseError::UnknownPerson { .. } => {
            "do not trust it, and tell the owners: `portcullis audit verify` shows what the log contains"
        }
    };
    (Kind::Unverified, Some(hint.to_owned()))
}
