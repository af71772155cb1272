//! What kind of failure an error is, and what to do next.

mod access;
mod catalogue;
mod checkpoint;
mod identity;
mod log;
mod misuse;
mod policy;
#[cfg(test)]
mod quoted;
mod report;
mod seal;
mod server;
mod usage;

use std::io::{self, ErrorKind};

use super::failure::{Kind, Refusal};
use super::home::PlaceError;
use super::output::CannotPrint;
use crate::checkpoint::fetch::FetchError;
use crate::inference;

/// The kind of a failure, and what to do next.
type Advice = (Kind, Option<String>);

/// The kind of a failure and what to do next.
pub(super) fn explain(error: &anyhow::Error) -> Advice {
    let defect = || "this is a bug: please report it with the command that showed it".to_owned();
    error.chain().find_map(explain_cause).unwrap_or_else(|| (Kind::Internal, Some(defect())))
}

fn explain_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Advice> {
    advise(cause, |refusal: &Refusal| (refusal.kind, refusal.hint.clone()))
        .or_else(|| advise(cause, explain_printing))
        .or_else(|| advise(cause, |_: &PlaceError| mistyped("give a folder by its path")))
        .or_else(|| advise(cause, checkpoint::explain_checkpoint))
        .or_else(|| advise(cause, identity::explain_identity))
        .or_else(|| advise(cause, catalogue::explain_repository))
        .or_else(|| advise(cause, catalogue::explain_catalogue))
        .or_else(|| advise(cause, server::explain_serving))
        .or_else(|| advise(cause, server::explain_settings))
        .or_else(|| advise(cause, server::explain_endpoint))
        .or_else(|| advise(cause, access::explain_registry))
        .or_else(|| advise(cause, access::explain_remote))
        .or_else(|| advise(cause, access::explain_client))
        .or_else(|| advise(cause, access::explain_invitation))
        .or_else(|| advise(cause, access::explain_access))
        .or_else(|| advise(cause, access::explain_exchange))
        .or_else(|| advise(cause, seal::explain_seal))
        .or_else(|| advise(cause, |_: &crate::name::NameError| mistyped("check the spelling")))
        .or_else(|| advise(cause, misuse::explain_case))
        .or_else(|| advise(cause, identity::explain_statement))
        .or_else(|| advise(cause, policy::explain_policy))
        .or_else(|| advise(cause, misuse::explain_misuse))
        .or_else(|| advise(cause, log::explain_log))
        .or_else(|| advise(cause, usage::explain_usage))
        .or_else(|| advise(cause, report::explain_report))
        .or_else(|| advise(cause, explain_fetch))
        .or_else(|| advise(cause, explain_inference))
        .or_else(|| advise(cause, explain_tokenizer))
        .or_else(|| advise(cause, |error: &io::Error| (Kind::Unavailable, hint_for_io(error))))
}

/// The advice on a cause that is an `E`.
fn advise<E: std::error::Error + 'static>(
    cause: &(dyn std::error::Error + 'static),
    explain: impl FnOnce(&E) -> Advice,
) -> Option<Advice> {
    cause.downcast_ref::<E>().map(explain)
}

fn explain_printing(_: &CannotPrint) -> Advice {
    let hint = "free space where its output goes; the command itself succeeded, only its output is missing";
    (Kind::Unavailable, Some(hint.to_owned()))
}

fn mistyped(hint: &str) -> Advice {
    (Kind::Usage, Some(hint.to_owned()))
}

fn explain_tokenizer(_: &inference::tokenizer::Error) -> Advice {
    (Kind::Unverified, Some("import it again from where it was published".to_owned()))
}

fn explain_fetch(error: &FetchError) -> Advice {
    use FetchError as E;
    let (kind, hint) = match error {
        E::Io { source, .. } => return (Kind::Unavailable, hint_for_io(source)),
        E::Source { .. } => (Kind::Usage, "for a folder on this machine, check its path"),
        E::Address { .. } => (Kind::Usage, "change --mirror, or HF_ENDPOINT"),
        E::Bearer => (Kind::Usage, "set HF_TOKEN to a token of huggingface.co/settings/tokens, or unset it"),
        E::Gated { .. } => (
            Kind::Denied,
            "accept the terms on the repository's page, set HF_TOKEN to a token with access, and run the same command",
        ),
        E::Pickle { .. } => (
            Kind::Denied,
            "name a revision that has model.safetensors (converted ones are often at @refs/pr/<n>), or, for GPT-2, use openai:124M, 355M, 774M or 1558M",
        ),
        E::NotFound { .. } | E::NoWeights { .. } => {
            (Kind::Unavailable, "check the name and the revision, or whether the mirror holds it")
        }
        E::Digest { .. } => (
            Kind::Unverified,
            "the file on the server is not the one on record; for another build, add --unofficial",
        ),
        E::Announced { .. }
        | E::Index { .. }
        | E::TooLarge { .. }
        | E::NoLength { .. }
        | E::Redirect { .. } => (Kind::Unverified, "try another --mirror, and tell the server's operator"),
        E::Certificate { .. } => {
            (Kind::Unverified, "check the clock of this machine and the name of the server")
        }
        E::NoSpace { .. } => (Kind::Unavailable, "free some space and run the same command again"),
        E::InUse(_) => (Kind::Unavailable, "wait until it ends"),
        E::Client(_) => (Kind::Internal, "this is a bug: please report it"),
        E::Connection { .. }
        | E::Stalled { .. }
        | E::Status { .. }
        | E::Inconsistent { .. }
        | E::Changed { .. }
        | E::RangesIgnored { .. }
        | E::Unsteady { .. }
        | E::GaveUp { .. } => {
            (Kind::Unavailable, "run the same command later to continue; or try another --mirror")
        }
    };
    (kind, Some(hint.to_owned()))
}

fn explain_inference(error: &inference::Error) -> Advice {
    use inference::Error as E;
    let (kind, hint) = match error {
        E::Read { source, .. } => {
            let sealed = source.get_ref().and_then(|inner| inner.downcast_ref::<crate::seal::Error>());
            return sealed.map_or_else(|| (Kind::Unavailable, hint_for_io(source)), seal::explain_seal);
        }
        E::MissingTensor { .. } | E::UnexpectedTensor { .. } | E::Misshapen { .. } => {
            (Kind::Unverified, "import it again from where it was published")
        }
        E::WeightNotFinite { .. } => (
            Kind::Unverified,
            "try --dtype f32 or bf16, whose range is wider; otherwise the weights are broken",
        ),
        E::Memory { .. } | E::CacheMemory(_) => (
            Kind::Unavailable,
            "close other programs, or hold the weights in fewer bits with --quantize q8 or q4",
        ),
        E::OnlyOnTheProcessor { .. } => (Kind::Usage, "leave out --quantize, or --device"),
        E::UnknownPrecision { .. } => (Kind::Usage, "use one of the listed formats"),
        E::LogitNotFinite => (Kind::Unverified, "check the weights with `portcullis verify <folder>`"),
        E::BuiltWithoutCuda | E::NoCudaDevice(_) => {
            (Kind::Unavailable, "leave out --device to use the processor")
        }
        E::UnknownDevice { .. } => (Kind::Usage, "use --device cpu"),
        E::NoTokens => (Kind::Usage, "give a longer text"),
        E::UnknownToken { .. } => (Kind::Usage, "give ids of this checkpoint's own vocabulary"),
        E::ContextOverflow { .. } => (Kind::Usage, "shorten it, or keep its end with --truncate"),
        E::ForeignDraft { .. } => (Kind::Usage, "give --draft a smaller checkpoint of the same family"),
        E::Sampling { .. } | E::Stride { .. } => (Kind::Usage, "change that setting"),
        E::ForeignCache | E::Tensor(_) => (Kind::Internal, "this is a bug: please report it"),
    };
    (kind, Some(hint.to_owned()))
}

/// What to do about an answer of the operating system.
fn hint_for_io(error: &io::Error) -> Option<String> {
    let hint = match error.kind() {
        ErrorKind::NotFound => "check the path",
        ErrorKind::PermissionDenied => "ask the folder's owner for access, or choose another folder",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space and run the same command again to continue"
        }
        ErrorKind::ReadOnlyFilesystem => "choose a folder that can be written",
        ErrorKind::UnexpectedEof => "the file changed while it was read: try again when it no longer changes",
        ErrorKind::IsADirectory => "give a file, not a folder",
        ErrorKind::NotADirectory => "give a folder, not a file",
        _ => return None,
    };
    Some(hint.to_owned())
}
