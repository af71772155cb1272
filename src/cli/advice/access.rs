//! What to do when a grant, a lease or a request does not count.

use super::identity::explain_statement;
use super::{catalogue, hint_for_io, seal};
use crate::access::{Error, ExchangeError, Fault, how_to_be_confirmed, how_to_object};
use crate::cli::failure::Kind;
use crate::cli::outage::next_step;
use crate::client::remote::RemoteError;
use crate::{client, registry, store};

/// What to do with a grant of an earlier seal.
const SEALED_ANEW: &str = "the checkpoint was sealed anew since: request it again with `portcullis request new <checkpoint> --purpose <why>`";

/// What to do about rules that time or people ended, in words that name them.
fn about_what_ended(error: &Error) -> Option<String> {
    Some(match error {
        Error::PolicyReplaced { checkpoint, request: Some(request), .. }
        | Error::NotKept { checkpoint, request, .. }
        | Error::NoLongerPermitted { checkpoint, request, .. } => {
            let short: String = request.to_string().chars().take(12).collect();
            format!(
                "read the new terms, and ask again: `portcullis request new {checkpoint} --terms`, then `portcullis request new {checkpoint} --renew {short}`"
            )
        }
        Error::NotConfirmed { organization, registrars, .. } => how_to_be_confirmed(organization, registrars),
        Error::Expired { what: "lease", board, .. } => format!(
            "`portcullis lease` renews it while the registry can be reached; if it refuses, write to {board}"
        ),
        Error::Expired { board, .. } => format!(
            "ask again with `portcullis request new <checkpoint> --renew <request> --purpose <why>`, or write to {board}"
        ),
        Error::Revoked { board, by_auditor, .. } => how_to_object(board, *by_auditor),
        _ => return None,
    })
}

pub(super) fn explain_access(error: &Error) -> (Kind, Option<String>) {
    if let Some(hint) = about_what_ended(error) {
        return (Kind::Denied, Some(hint));
    }
    let (kind, hint) = match error {
        Error::Statement(crate::statement::Error::Threshold(_)) => (
            Kind::Denied,
            "`portcullis request list` tells whether its request still waits for approvals; signatures of keys that left the board do not count",
        ),
        Error::Statement(error) => return explain_statement(error),
        Error::Board { .. } => (
            Kind::Denied,
            "the owners can add a member: `portcullis catalogue rotate <checkpoint> --add <card>`",
        ),
        Error::OtherCheckpoint { .. } => (Kind::Usage, "name the checkpoint that it is for"),
        Error::OtherManifest { .. } => (Kind::Denied, SEALED_ANEW),
        Error::OtherRequest { .. } | Error::OtherGrant { .. } | Error::NotTheirShare { .. } => {
            (Kind::Unverified, "do not use it; ask its sender for the right one")
        }
        Error::UnknownStage { .. } | Error::StageMovedBack { .. } => (
            Kind::Denied,
            "request it again under the stage in force: `portcullis request new <checkpoint> --terms`",
        ),
        Error::Awaited { .. } => {
            (Kind::Denied, "`portcullis request show <request>` tells whose approvals are missing: ask them")
        }
        Error::NotPermitted { .. } => {
            (Kind::Denied, "`portcullis request new <checkpoint> --terms` shows what the stage allows")
        }
        Error::NoRegistrars { .. } => (
            Kind::Denied,
            "the owners name registrars: `portcullis catalogue organization add <name> --registrar <card>`",
        ),
        Error::PolicyMiscited { .. } => (
            Kind::Unverified,
            "bring the catalogue up to date with `portcullis catalogue refresh`; if it is refused still, do not use it",
        ),
        Error::Incomplete { .. } => (Kind::Denied, "set this machine's clock right and try again"),
        Error::PolicyReplaced { .. }
        | Error::NotKept { .. }
        | Error::NoLongerPermitted { .. }
        | Error::NotConfirmed { .. }
        | Error::Expired { .. }
        | Error::Revoked { .. } => (Kind::Denied, "make it again, under the policy that is in force now"),
        Error::LeaseTooLong { .. } => (Kind::Unverified, "ask the registry for a new lease"),
        Error::TooManyMembers { .. } | Error::OtherOrganization { .. } | Error::NamedTwice { .. } => (
            Kind::Usage,
            "name members of your own organization only (`identity card` prints one's card), each once; ask twice for more",
        ),
        Error::NoOrigin | Error::OtherOrigin { .. } | Error::OtherRegistry { .. } => {
            (Kind::Unverified, "check the registry's address")
        }
        Error::OtherHolder { .. } => (Kind::Denied, "use the identity that it was made out to (--home)"),
    };
    (kind, Some(hint.to_owned()))
}

pub(super) fn explain_exchange(error: &ExchangeError) -> (Kind, Option<String>) {
    let (kind, hint) = match error {
        ExchangeError::Io { source, .. } => return (Kind::Unavailable, hint_for_io(source)),
        ExchangeError::TooMany { .. } => (Kind::Unavailable, "move old statements to another folder"),
        ExchangeError::NoPrefix { kind: "case", .. }
        | ExchangeError::Ambiguous { kind: "case", count: 0, .. } => {
            (Kind::Usage, "`portcullis case list` shows what is there")
        }
        ExchangeError::NoPrefix { .. } | ExchangeError::Ambiguous { count: 0, .. } => (
            Kind::Usage,
            "`portcullis request list` shows what is there; check that the registry's folder is up to date",
        ),
        ExchangeError::Ambiguous { .. } => (Kind::Usage, "give more digits"),
        ExchangeError::Refused { fault, next, .. } => return (kind_of(*fault), next.clone()),
        ExchangeError::Unreachable { reason, .. } => (Kind::Unavailable, next_step(reason)),
    };
    (kind, Some(hint.to_owned()))
}

pub(super) fn explain_remote(error: &RemoteError) -> (Kind, Option<String>) {
    match error {
        RemoteError::Refused { fault, next, .. } => (kind_of(*fault), next.clone()),
        RemoteError::Unreachable { reason, .. } => {
            (Kind::Unavailable, Some(next_step(reason).to_owned()))
        }
        RemoteError::Unexpected { .. } => {
            (Kind::Unverified, Some("check the address; tell whoever runs this server".to_owned()))
        }
        RemoteError::Credentials { .. } => (
            Kind::Denied,
            Some(
                "use the identity and the home that joined this registry (--home), or join it first: `portcullis join <registry> --root 1.root.json`"
                    .to_owned(),
            ),
        ),
        RemoteError::Client(_) => (Kind::Internal, Some("this is a defect: please report it".to_owned())),
    }
}

fn kind_of(fault: Fault) -> Kind {
    match fault {
        Fault::Request => Kind::Usage,
        Fault::Rule => Kind::Denied,
        Fault::Proof => Kind::Unverified,
        Fault::Busy => Kind::Unavailable,
    }
}

pub(super) fn explain_client(error: &client::Error) -> (Kind, Option<String>) {
    use client::Error as E;
    match error {
        E::Catalogue(error) => catalogue::explain_catalogue(error),
        E::Exchange(error) => explain_exchange(error),
        E::GrantRefused { source, .. }
        | E::LeaseRefused { source }
        | E::NoLease { newest: Some(source), .. } => explain_access(source),
        E::Share(source) => explain_access(source),
        E::Seal(error) => seal::explain_seal(error),
        E::Remote(error) => explain_remote(error),
        E::Log(error) => super::log::explain_log(error),
        E::Usage(error) => super::usage::explain_usage(error),
        E::Io { source, .. } => (Kind::Unavailable, hint_for_io(source)),
        E::PassOver { .. }
        | E::MisuseRules { .. }
        | E::Blocked { .. }
        | E::NeedsJustification { .. }
        | E::NotLogged { .. } => record_hint(error),
        error => client_hint(error),
    }
}

/// What to do where the record, or a rule about use, stands in the way.
fn record_hint(error: &client::Error) -> (Kind, Option<String>) {
    use client::Error as E;
    let (kind, hint) = match error {
        E::PassOver { .. } => {
            (Kind::Denied, "renew it with `portcullis lease`; if that says no, ask for a new grant")
        }
        E::MisuseRules { .. } => (Kind::Unverified, "tell the owners, who signed them"),
        E::Blocked { .. } => {
            (Kind::Denied, "it is on the record; if the rule is wrong about it, write to the auditors")
        }
        E::NeedsJustification { .. } => (
            Kind::Denied,
            "say why with --justify \"…\": the auditors read it; this attempt is on the record",
        ),
        E::NotLogged { .. } => (
            Kind::Unverified,
            "run it once while the registry can be reached; if it says the same, tell the auditors",
        ),
        _ => (Kind::Internal, "this is a defect: please report it"),
    };
    (kind, Some(hint.to_owned()))
}

fn client_hint(error: &client::Error) -> (Kind, Option<String>) {
    use client::Error as E;
    let (kind, hint) = match error {
        E::UnknownCheckpoint { nearest: Some(nearest), .. } => {
            (Kind::Usage, format!("did you mean {nearest}? `portcullis list` names them"))
        }
        E::UnknownCheckpoint { nearest: None, .. } => (
            Kind::Usage,
            "`portcullis list` names them; for a folder on this machine, check its path".to_owned(),
        ),
        E::NotPublished { checkpoint, .. } | E::UnknownStage { checkpoint, .. } => (
            Kind::Denied,
            format!("ask its board to propose and sign it: `portcullis catalogue propose {checkpoint}`"),
        ),
        E::Policy { .. } | E::NotText { .. } => (
            Kind::Unverified,
            "tell its board, who signed it: `portcullis policy check <file>` finds such mistakes".to_owned(),
        ),
        E::NoGrant { checkpoint, .. } => (
            Kind::Denied,
            format!(
                "ask with `portcullis request new {checkpoint} --purpose <why>`, and see `portcullis request list`"
            ),
        ),
        E::Damaged { .. } => (
            Kind::Unverified,
            "remove the file and run `portcullis pull <checkpoint>` again: it brings the registry's copy".to_owned(),
        ),
        E::NoLease { .. } => (
            Kind::Denied,
            "`portcullis lease` gets one; for a folder, its operator runs `portcullis lease issue`"
                .to_owned(),
        ),
        E::TooFewShares { .. } => (
            Kind::Unavailable,
            "the board members who approved add their shares with `portcullis approve <request>`; ask the others"
                .to_owned(),
        ),
        E::NotPulled { checkpoint } => (Kind::Unavailable, format!("run `portcullis pull {checkpoint}`")),
        E::PullUnderWay { .. } => (Kind::Unavailable, "wait until it ends".to_owned()),
        E::NoSpace { .. } => (Kind::Unavailable, "free some space and run the same command again".to_owned()),
        E::NoMirror { is_wrong: true, .. } => (
            Kind::Unverified,
            "give another place with --mirror, and tell the registry's operator; what came is kept"
                .to_owned(),
        ),
        E::NoMirror { .. } => (
            Kind::Unavailable,
            "run the same command later: it goes on where it stopped; or give another place with --mirror"
                .to_owned(),
        ),
        E::WrongChunk { .. } => {
            (Kind::Unverified, "the copy is damaged: fetch it from another place and pull again".to_owned())
        }
        // The rest is explained by its cause, or is no fault of anybody's but ours.
        _ => (Kind::Internal, "this is a defect: please report it".to_owned()),
    };
    (kind, Some(hint))
}

pub(super) fn explain_registry(error: &registry::Error) -> (Kind, Option<String>) {
    use registry::Error as E;
    let (kind, hint) = match error {
        E::Access(error) => return explain_access(error),
        E::Client(error) => return explain_client(error),
        E::Seal(error) => return seal::explain_seal(error),
        E::Statement(error) => return explain_statement(error),
        E::TooFewHandovers { checkpoint, .. } => {
            (Kind::Denied, format!("its board members run `portcullis handover {checkpoint}`"))
        }
        E::NotTheRegistry { .. } => (Kind::Denied, "run it with the registry's --home".to_owned()),
        E::Catalogue(error) => return catalogue::explain_catalogue(error),
        E::Repository(error) => return catalogue::explain_repository(error),
        E::Store(store::Error::NotEmpty { .. }) => {
            (Kind::Usage, "name an empty database in portcullis.toml".to_owned())
        }
        E::Store(store::Error::Backup { .. }) => {
            (Kind::Unverified, "take another backup: nothing of this one was brought in".to_owned())
        }
        E::Store(store::Error::BackupUnsigned) => (
            Kind::Unverified,
            "if an earlier release wrote it, and nobody else could since, bring it in with --unsigned".to_owned(),
        ),
        E::Store(store::Error::BackupForeign { .. }) => (
            Kind::Unverified,
            "restore in the folder of the registry that took it; of a registry whose key was replaced, give the card of the old one with --signed-by"
                .to_owned(),
        ),
        E::Store(store::Error::File(error)) => return (Kind::Unavailable, hint_for_io(error)),
        E::Store(store::Error::Scheme { .. }) => {
            (Kind::Usage, "change `database` in portcullis.toml".to_owned())
        }
        E::Store(_) | E::Blob(_) | E::Io { .. } | E::Busy => (
            Kind::Unavailable,
            "check that the database and the place of chunks answer; see the log".to_owned(),
        ),
        error => return registry_hint(error),
    };
    (kind, Some(hint))
}

/// What is to be done about a refusal that a server gives its clients.
fn registry_hint(error: &registry::Error) -> (Kind, Option<String>) {
    let (kind, hint) = error.next_step();
    (kind_of(kind), Some(hint.into_owned()))
}

pub(super) fn explain_invitation(error: &client::InvitationError) -> (Kind, Option<String>) {
    use client::InvitationError as E;
    let hint = match error {
        E::Version { .. } => "bring this program up to date",
        E::Registry => "check the registry's address: `portcullis catalogue invite --registry <address>`",
        E::Prefix | E::TooLong | E::Damaged { .. } => {
            "copy the whole line again; if it stays so, ask for another: `portcullis catalogue invite` prints one"
        }
    };
    (Kind::Usage, Some(hint.to_owned()))
}
