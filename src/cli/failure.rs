//! How a command fails: one line that says what was refused and by which rule, one that says what to do next, and an exit
//! code that scripts can rely on.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use serde_json::json;

use crate::checkpoint;
use crate::inference;

/// Exit code after Ctrl-C, as shells have it: 128 + SIGINT.
pub(super) const INTERRUPTED: u8 = 130;

/// Why a command failed; fixes the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A defect of this program.
    Internal,
    /// The command line asks for something that makes no sense.
    Usage,
    /// A rule forbids it.
    Denied,
    /// A digest, a checksum or a form does not hold.
    Unverified,
    /// A file, a disk or a server is not to be had now.
    Unavailable,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::Denied => "denied",
            Self::Unverified => "unverified",
            Self::Unavailable => "unavailable",
        }
    }

    fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::Unverified => 4,
            Self::Unavailable => 5,
        }
    }
}

/// A refusal of the command line itself.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Refusal {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    /// The command line makes no sense.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into(), hint: Some(hint.into()) }
    }

    /// A check failed and its report, already printed, says why.
    pub(super) fn unverified(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Unverified, message: message.into(), hint: Some(hint.into()) }
    }
}

/// Reports a command line that clap refused, or the help that it was asked for.
pub(super) fn report_usage(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if !wants_json || !error.use_stderr() {
        // Where nothing can be written, the exit code is all that can be said.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Kind::Usage.exit_code()));
    }
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let refusal = Refusal::usage(message, "see `portcullis --help`");
    report(&refusal.into(), true)
}

/// Reports a failed command on standard error; the process's exit code.
pub(super) fn report(error: &anyhow::Error, as_json: bool) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS; // the reader has had enough, as with `| head`
    }
    let (kind, hint) = explain(error);
    let message = message(error);
    let mut stderr = io::stderr().lock();
    // Where standard error is closed, the exit code is all that can be said.
    let _ = if as_json {
        let report = json!({ "error": { "kind": kind.name(), "message": message, "hint": hint } });
        writeln!(stderr, "{report}")
    } else {
        writeln!(stderr, "error: {message}")
            .and_then(|()| hint.map_or(Ok(()), |hint| writeln!(stderr, "  next: {hint}")))
    };
    ExitCode::from(kind.exit_code())
}

/// The error and its causes in one line, each said once.
fn message(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    kinds.map(io::Error::kind).any(|kind| kind == ErrorKind::BrokenPipe)
}

/// The kind of a failure and what to do next.
fn explain(error: &anyhow::Error) -> (Kind, Option<String>) {
    for cause in error.chain() {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return (refusal.kind, refusal.hint.clone());
        }
        if let Some(error) = cause.downcast_ref::<checkpoint::Error>() {
            return explain_checkpoint(error);
        }
        if let Some(error) = cause.downcast_ref::<inference::Error>() {
            return explain_inference(error);
        }
        if cause.is::<inference::tokenizer::Error>() {
            let hint = "import it again from where it was published";
            return (Kind::Unverified, Some(hint.to_owned()));
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return (Kind::Unavailable, hint_for_io(error));
        }
    }
    (Kind::Internal, Some("this is a defect: please report it with the command that showed it".to_owned()))
}

fn explain_checkpoint(error: &checkpoint::Error) -> (Kind, Option<String>) {
    use checkpoint::Error as E;
    let (kind, hint) = match error {
        E::Io { source, .. } => return (Kind::Unavailable, hint_for_io(source)),
        E::Name { .. } => {
            (Kind::Usage, "give it a name such as `my-gpt2` or a known one such as `gpt2-124m`")
        }
        E::NotACheckpoint { .. } => (
            Kind::Usage,
            "give the folder that holds config.json and model.safetensors, or hparams.json and model.ckpt.index",
        ),
        E::NotImported { .. } => {
            (Kind::Usage, "make it one with `portcullis import <id> <folder> --to <new folder>`")
        }
        E::RefusedFormat { .. } => (
            Kind::Denied,
            "fetch model.safetensors of the same repository instead, or convert the file where running it is safe",
        ),
        E::Unofficial { .. } => (
            Kind::Unverified,
            "fetch the file again; if it is meant to be another build, say so with --unofficial",
        ),
        E::NotThatCheckpoint { .. } => (Kind::Unverified, "import it under an id of its own"),
        E::NotAFolderName { .. } => (Kind::Usage, "give --to the name of a folder that is not there yet"),
        E::DestinationExists { .. } => (Kind::Usage, "choose another --to, or remove that folder first"),
        E::Busy { .. } => (Kind::Unavailable, "wait until it ends, or choose another --to"),
        E::UntiedHead { .. } => {
            (Kind::Unverified, "set \"tie_word_embeddings\": false in config.json if that is meant")
        }
        E::Altered { .. } => {
            (Kind::Unverified, "import it again; `portcullis verify <folder>` lists everything that differs")
        }
        E::Header { .. } | E::Encode { .. } => (Kind::Internal, "this is a defect: please report it"),
        E::Manifest { .. } => {
            (Kind::Unverified, "import it again, or use the version of portcullis that wrote it")
        }
        E::Config { .. }
        | E::Weights { .. }
        | E::TensorFlow { .. }
        | E::Tokenizer { .. }
        | E::Json { .. }
        | E::TooLong { .. }
        | E::ShardName { .. }
        | E::ShardCount { .. }
        | E::TensorTwice { .. }
        | E::Tensors { .. }
        | E::TensorChecksum { .. } => {
            (Kind::Unverified, "fetch it again from where it was published, and import it again")
        }
    };
    (kind, Some(hint.to_owned()))
}

fn explain_inference(error: &inference::Error) -> (Kind, Option<String>) {
    use inference::Error as E;
    let (kind, hint) = match error {
        E::Read { source, .. } => return (Kind::Unavailable, hint_for_io(source)),
        E::MissingTensor { .. } | E::UnexpectedTensor { .. } | E::Misshapen { .. } => {
            (Kind::Unverified, "import it again from where it was published")
        }
        E::WeightNotFinite { .. } => (
            Kind::Unverified,
            "try --dtype f32 or bf16, whose range is wider; otherwise the weights are broken",
        ),
        E::LogitNotFinite => (Kind::Unverified, "check the weights with `portcullis verify <folder>`"),
        E::BuiltWithoutCuda | E::NoCudaDevice(_) => {
            (Kind::Unavailable, "leave out --device to use the processor")
        }
        E::UnknownDevice { .. } => (Kind::Usage, "use --device cpu"),
        E::NoTokens | E::TooFewToScore { .. } => (Kind::Usage, "give a longer text"),
        E::UnknownToken { .. } => (Kind::Usage, "give ids of this checkpoint's own vocabulary"),
        E::ContextOverflow { .. } => (Kind::Usage, "shorten it, or keep its end with --truncate"),
        E::Sampling { .. } | E::Stride { .. } => (Kind::Usage, "change that setting"),
        E::ForeignCache | E::Tensor(_) => (Kind::Internal, "this is a defect: please report it"),
    };
    (kind, Some(hint.to_owned()))
}

/// What to do about an answer of the operating system.
fn hint_for_io(error: &io::Error) -> Option<String> {
    let hint = match error.kind() {
        ErrorKind::NotFound => "check the path",
        ErrorKind::PermissionDenied => "ask the folder's owner for access, or choose another folder",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space and run the same command again: it goes on where it stopped"
        }
        ErrorKind::ReadOnlyFilesystem => "choose a folder that can be written",
        ErrorKind::UnexpectedEof => "the file changed while it was read: try again when it is at rest",
        ErrorKind::IsADirectory => "give a file, not a folder",
        ErrorKind::NotADirectory => "give a folder, not a file",
        _ => return None,
    };
    Some(hint.to_owned())
}
