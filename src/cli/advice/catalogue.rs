//! What to do about a catalogue that does not hold, or a change of it that is refused.

use super::hint_for_io;
use super::identity::{explain_identity, explain_statement};
use crate::catalogue::{Error, RepositoryError};
use crate::cli::failure::Kind;
use crate::cli::outage::next_step;

pub(super) fn explain_catalogue(error: &Error) -> (Kind, Option<String>) {
    use Error as E;
    let (kind, hint) = match error {
        E::Io { source, .. } => return (Kind::Unavailable, hint_for_io(source)),
        E::Unreachable { reason } => (Kind::Unavailable, next_step(reason)),
        E::Busy { .. } => (Kind::Unavailable, "wait until it ends and try again"),
        E::NoRoot { .. } => (
            Kind::Usage,
            "join it once: `portcullis join <invitation>`, or `portcullis join <registry> --root <file>` with the root that the owners handed you; before it is founded, its owners use `portcullis catalogue review`",
        ),
        E::OtherRoot { .. } => {
            (Kind::Denied, "if you mean to change to another catalogue, use another --home for it")
        }
        E::Missing { .. } => {
            (Kind::Unavailable, "the copy is not whole: refresh it, or ask whoever runs the registry")
        }
        E::Rollback { .. } | E::Dropped { .. } => (
            Kind::Unverified,
            "someone serves an older catalogue: fetch it from another place, and tell the owners",
        ),
        E::OtherCatalogue { .. } => (
            Kind::Unverified,
            "do not use this copy: someone shows what was signed for another catalogue; tell the owners, and join by `1.root.json`",
        ),
        E::NoCatalogue { .. } => (
            Kind::Unverified,
            "its signers propose it again and sign it: `portcullis catalogue propose targets` for the owners, then `portcullis catalogue propose <checkpoint>` for its board",
        ),
        E::Expired { .. } => (
            Kind::Unverified,
            "the registry stopped publishing, its copy is frozen, or signers let it lapse: ask its operator to renew and publish; check this machine's clock",
        ),
        E::Clock { .. } => (
            Kind::Unverified,
            "set this machine's clock; if it ran ahead before, remove clock.json from the trusted state",
        ),
        E::NoTarget { .. } => (Kind::Unavailable, "see `portcullis catalogue status` for what is published"),
        E::Path(_) => (Kind::Usage, "choose another name"),
        E::State { .. } => (
            Kind::Unverified,
            "restore it from a backup; or remove the state and trust the root again, which forgets what was seen",
        ),
        E::TooLong { .. }
        | E::Malformed { .. }
        | E::Threshold { .. }
        | E::Quorum { .. }
        | E::Version { .. }
        | E::Length { .. }
        | E::Digest { .. }
        | E::NotFromBoard { .. } => {
            (Kind::Unverified, "do not use this copy: fetch it from another place, and tell the owners")
        }
    };
    (kind, Some(hint.to_owned()))
}

pub(super) fn explain_repository(error: &RepositoryError) -> (Kind, Option<String>) {
    use RepositoryError as E;
    let (kind, hint) = match error {
        E::Catalogue(error) => return explain_catalogue(error),
        E::Card(error) => return explain_statement(error),
        E::Signer(error) => return explain_identity(error),
        E::Quorum(_) => (Kind::Usage, "change the threshold, or who signs"),
        E::Exists { .. } => (
            Kind::Usage,
            "trust it with `portcullis join <registry> --root 1.root.json` and change it with `portcullis catalogue propose <checkpoint>`, `rotate` or `board add`; or found another elsewhere",
        ),
        E::NotFound { .. } => (
            Kind::Usage,
            "check --registry, or begin with `portcullis catalogue init --owner <card> --owner-threshold <count> --registry-card <card>`",
        ),
        E::Incomplete { .. } => (Kind::Denied, "let them sign with `portcullis catalogue sign`"),
        E::Reserved { .. } => (Kind::Usage, "choose another name for the checkpoint"),
        E::NoBoard { .. } => (
            Kind::Denied,
            "check the spelling, or let an owner found one: `portcullis catalogue board add <checkpoint> --threshold <count> --member <card>`",
        ),
        E::TooManyBoards { .. } => (Kind::Denied, "begin another catalogue for further checkpoints"),
        E::NoChange { .. } => (Kind::Usage, "say what is to change: --add, --remove or --threshold"),
        E::AlreadyIn { .. } => (Kind::Usage, "leave out that --add"),
        E::NotIn { .. } => (Kind::Usage, "see `portcullis catalogue status --json` for who is"),
        E::NamedTwice { .. } => (Kind::Usage, "name each person once, and count them anew"),
        E::HasBoard { .. } => (
            Kind::Usage,
            "change its members with `portcullis catalogue rotate <checkpoint> --add <card> --remove <name>`",
        ),
        E::NotAnOwner { .. } => {
            (Kind::Denied, "let one of its owners found it, or name your own card with --owner")
        }
        E::AlreadyProposed { role, digest } => {
            let hint = format!(
                "read `portcullis catalogue review`; build on it with --onto {digest}, or end it with `portcullis catalogue propose {role} --withdraw`"
            );
            return (Kind::Denied, Some(hint));
        }
        E::ProposalChanged { role, open, .. } => {
            let hint = format!(
                "somebody proposed something else meanwhile: read `portcullis catalogue review` again, and sign only what you mean: `portcullis catalogue sign {role} {open}`"
            );
            return (Kind::Unverified, Some(hint));
        }
        E::Unsigned { .. } => (
            Kind::Unverified,
            "do not sign it: ask those who may propose whose it is, and let them propose it again",
        ),
        E::Stale { .. } => (Kind::Usage, "somebody published meanwhile: propose it again"),
        E::MayNotPropose { .. } => {
            (Kind::Denied, "let one of them propose it: `portcullis catalogue status` names them")
        }
        E::NoProposal { .. } => (Kind::Usage, "see `portcullis catalogue status` for what is proposed"),
        E::NoSay { .. } => (Kind::Denied, "ask one of them; if that is you, name your own --home"),
        E::NotTheRegistry { .. } => (Kind::Denied, "publish with the registry's --home"),
        E::MissingFile { .. } => (Kind::Unverified, "propose the file again"),
    };
    (kind, Some(hint.to_owned()))
}
