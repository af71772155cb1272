//! What to do about an identity that does not serve, or a statement that does not hold.

use super::hint_for_io;
use crate::cli::failure::Kind;
use crate::{identity, statement};

pub(super) fn explain_identity(error: &identity::Error) -> (Kind, Option<String>) {
    use identity::Error as E;
    let (kind, hint) = match error {
        E::Io { source, .. } => return (Kind::Unavailable, hint_for_io(source)),
        E::NotFound { .. } => (
            Kind::Usage,
            "make one with `portcullis identity new --name <your name>`, or name another --home".to_owned(),
        ),
        E::Exists { .. } => (
            Kind::Usage,
            "use it, or name another --home; an identity that is lost cannot be made again".to_owned(),
        ),
        E::Readable { path, .. } => (
            Kind::Denied,
            format!(
                "`chmod 600 {}`; if others may have read it, rotate the key out of every board",
                path.display()
            ),
        ),
        E::Malformed { .. } => (Kind::Unverified, "restore it from a backup".to_owned()),
        E::PassphraseNeeded { .. } => (
            Kind::Usage,
            "run it at a terminal, or give the passphrase with --passphrase-fd or PORTCULLIS_PASSPHRASE"
                .to_owned(),
        ),
        E::WrongPassphrase { .. } => (Kind::Denied, "try again; nobody can reset it".to_owned()),
        E::Protect { .. } => (Kind::Internal, "this is a defect: please report it".to_owned()),
        E::NoAgent => (
            Kind::Unavailable,
            "start one with `eval $(ssh-agent)` and add the key with `ssh-add`".to_owned(),
        ),
        E::Agent { .. } => (Kind::Unavailable, "check that the agent still runs: `ssh-add -l`".to_owned()),
        E::NotInAgent { .. } => (Kind::Unavailable, "add the key with `ssh-add <file>`".to_owned()),
        E::AgentChoice { .. } => (
            Kind::Usage,
            "add a key of `ssh-keygen -t ed25519` with `ssh-add`, or choose one with --ssh-agent <key>"
                .to_owned(),
        ),
        E::AgentRefused { .. } => {
            (Kind::Denied, "confirm when the agent asks, or unlock it with `ssh-add -X`".to_owned())
        }
        E::AgentSignature { .. } => (Kind::Unverified, "do not use this agent".to_owned()),
    };
    (kind, Some(hint))
}

pub(super) fn explain_statement(error: &statement::Error) -> (Kind, Option<String>) {
    use statement::Error as E;
    let (kind, hint) = match error {
        E::Signer(error) => return explain_identity(error),
        E::Kind { .. } => (Kind::Usage, "give the file of the right kind"),
        E::Threshold(_) => (Kind::Unverified, "do not use it; ask its signers to sign these very bytes"),
        E::SignatureCount { .. }
        | E::Envelope { .. }
        | E::TooLong { .. }
        | E::PayloadType { .. }
        | E::Malformed { .. } => (Kind::Unverified, "ask whoever sent it to send it again"),
        E::OtherCatalogue { .. } => (
            Kind::Unverified,
            "do not use it here; if you belong to both catalogues, give the --home of the other",
        ),
        E::NoCatalogue { .. } => (
            Kind::Unverified,
            "it was signed before statements named their catalogue: ask its signers to sign it anew; a request is made anew, and a grant follows from it",
        ),
        E::CardNotSelfSigned { .. } => {
            (Kind::Unverified, "do not use it; ask its owner for `portcullis identity card`")
        }
        E::OtherPayload => (Kind::Unverified, "keep them apart: they are about different things"),
    };
    (kind, Some(hint.to_owned()))
}
