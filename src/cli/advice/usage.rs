//! What to do when usage cannot be recorded, or a record does not hold.

use super::identity::explain_statement;
use super::{hint_for_io, seal};
use crate::cli::failure::Kind;
use crate::usage::Error;

pub(super) fn explain_usage(error: &Error) -> (Kind, Option<String>) {
    let (kind, hint) = match error {
        Error::Io { source, .. } => {
            let hint = hint_for_io(source).unwrap_or_else(|| "check that the disk can be written".to_owned());
            return (Kind::Unavailable, Some(hint));
        }
        Error::Seal(error) => return seal::explain_seal(error),
        Error::Statement(error) => return explain_statement(error),
        Error::Signer(error) => return super::identity::explain_identity(error),
        Error::OverLimit { .. } => (
            Kind::Denied,
            "ask for fewer tokens (--max-tokens), or wait: `portcullis usage status` shows what is used",
        ),
        Error::NoAuditors => (
            Kind::Unavailable,
            "the owners name auditors: `portcullis catalogue rotate auditors --add <card>`",
        ),
        Error::OtherJournal { known, .. }
        | Error::Replaced { known, .. }
        | Error::Gone { journal: known, .. } => {
            let hint = format!(
                "restore the journal if it was moved; on another machine of yours: `portcullis usage declare --reason \"…\"`; if it is lost: `portcullis usage explain {known} --reason \"…\"`, which auditors review"
            );
            return (Kind::Denied, Some(hint));
        }
        Error::Copied { journal, .. } => {
            let hint = format!(
                "use the home that it was copied from; on another machine of yours: `portcullis usage declare --reason \"…\"`; if that home is lost: `portcullis usage explain {journal} --reason \"…\"`, which auditors review"
            );
            return (Kind::Denied, Some(hint));
        }
        Error::Unmarked { journal } => {
            let hint = format!(
                "restore it if it was moved; if it is lost: `portcullis usage explain {journal} --reason \"…\"`, which auditors review"
            );
            return (Kind::Denied, Some(hint));
        }
        Error::Unended { begin } => {
            let hint =
                format!("explain it: `portcullis usage explain {begin} --reason \"…\"`; auditors review it");
            return (Kind::Denied, Some(hint));
        }
        Error::NothingToExplain { .. } => {
            (Kind::Usage, "`portcullis usage status` lists the generations without an end")
        }
        Error::Declaration { .. } => {
            (Kind::Usage, "`portcullis usage status` shows the journal of this machine")
        }
        Error::Malformed { .. }
        | Error::Broken { .. }
        | Error::Unsigned { .. }
        | Error::Truncated { .. }
        | Error::Forked { .. }
        | Error::Batch { .. } => (
            Kind::Unverified,
            "keep the home's `usage` folder as it is, and write to the auditors; if records are lost: `portcullis usage explain <journal> --reason \"…\"`",
        ),
    };
    (kind, Some(hint.to_owned()))
}
