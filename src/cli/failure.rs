//! How a command fails: one line that says what was refused and by which rule, one that says what to do next, and an exit
//! code that scripts can rely on.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use serde_json::json;

use super::advice;

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
    pub(super) kind: Kind,
    message: String,
    pub(super) hint: Option<String>,
}

impl Refusal {
    /// The command line makes no sense.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into(), hint: Some(hint.into()) }
    }

    /// A rule says no.
    pub(super) fn denied(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Denied, message: message.into(), hint: Some(hint.into()) }
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
    let (kind, hint) = advice::explain(error);
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
