//! How a command fails: one line that says what was refused and by which rule, one that says what to do next, and an exit
//! code that scripts can rely on.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind as UsageKind};
use serde_json::{Value, json};

use super::advice;
use super::output::CannotPrint;
use crate::access;
use crate::statement::ThresholdNotMet;
use crate::visible::{one_row, visible, visible_json};

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

    /// Something is not there yet, or not now.
    pub(super) fn unavailable(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Unavailable, message: message.into(), hint: Some(hint.into()) }
    }

    /// A check failed and its report, already printed, says why.
    pub(super) fn unverified(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Unverified, message: message.into(), hint: Some(hint.into()) }
    }
}

/// Longest part of a value that a refusal of it repeats, in characters.
const MAX_VALUE: usize = 60;

/// The same refusal, in which a value does not bury what is wrong with it.
pub(super) fn shorten_value(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && value.chars().count() > MAX_VALUE
    {
        let begins: String = value.chars().take(MAX_VALUE).collect();
        error.insert(ContextKind::InvalidValue, ContextValue::String(format!("{begins}…")));
    }
    error
}

/// Reports a command line that clap refused, or the help that it was asked for.
pub(super) fn report_usage(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if error.kind() == UsageKind::InvalidUtf8
        && let Some(refusal) = find_non_utf8()
    {
        return report(&refusal.into(), wants_json);
    }
    if !wants_json || !error.use_stderr() {
        // If nothing can be written, the exit code is the only answer. An argument may come from elsewhere, such as a pasted name.
        let typed: String =
            std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let _ = if !error.use_stderr() || typed == one_row(&typed) {
            error.print()
        } else {
            writeln!(io::stderr(), "{}", escape_message(error.to_string().trim_end()))
        };
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Kind::Usage.exit_code()));
    }
    let refusal: anyhow::Error = parse_usage_error(&error.to_string()).into();
    report(&refusal, true)
}

/// Which argument is not UTF-8: clap says that there is one. Several may be, of which some may be so: all are named.
fn find_non_utf8() -> Option<Refusal> {
    let arguments = std::env::args_os().skip(1).map(|argument| (String::new(), argument));
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("PORTCULLIS_"))?;
        Some((format!("{name}="), value))
    });
    let bad: Vec<_> = arguments
        .chain(variables)
        .filter_map(|(name, value)| {
            value.into_string().err().map(|value| format!("`{name}{}`", value.display()))
        })
        .collect();
    let message = match bad.as_slice() {
        [] => return None,
        [only] => format!("the argument {only} is not UTF-8"),
        several => format!("one of these must be UTF-8, and is not: {}", several.join(", ")),
    };
    Some(Refusal::usage(message, "rename the file, or use a symbolic link whose name is UTF-8"))
}

/// What clap says, whole: the refusal with the arguments that it is about, its tips as what to do next, and the usage.
fn parse_usage_error(text: &str) -> Refusal {
    let (said, usage) = text.split_once("Usage:").unwrap_or((text, ""));
    let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_tip = |line: &&str| line.starts_with("tip:") || line.starts_with("For more information");
    let (tips, words): (Vec<_>, Vec<_>) = lines.into_iter().partition(is_tip);
    let message = words.join(" ");
    let tips = tips.iter().filter_map(|tip| tip.strip_prefix("tip:")).map(str::trim).collect::<Vec<_>>();
    let usage = usage.lines().next().unwrap_or_default().trim();
    let usage = (!usage.is_empty()).then(|| format!("usage: {usage}"));
    let hint = tips.into_iter().map(str::to_owned).chain(usage).collect::<Vec<_>>().join("; ");
    let hint = if hint.is_empty() { "see `portcullis --help`".to_owned() } else { hint };
    Refusal::usage(message.trim_start_matches("error: "), hint)
}

/// Reports a failed command on standard error; the process's exit code.
pub(super) fn report(error: &anyhow::Error, as_json: bool) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS; // the reader has had enough, as with `| head`
    }
    let (kind, hint) = advice::explain(error);
    let message = message(error);
    let mut stderr = io::stderr().lock();
    // If standard error is closed, the exit code is the only answer.
    let _ = if as_json {
        let mut report = json!({ "kind": kind.name(), "message": message, "hint": hint });
        if let Some(details) = details(error) {
            report["details"] = details;
        }
        writeln!(stderr, "{}", visible_json(&json!({ "error": report }).to_string()))
    } else {
        writeln!(stderr, "error: {}", escape_message(&message))
            .and_then(|()| hint.map_or(Ok(()), |hint| writeln!(stderr, "  next: {}", escape_message(&hint))))
    };
    ExitCode::from(kind.exit_code())
}

/// A message, of which no line looks like another message: some have lines of their own, such as a place in a file, and some quote what
/// others wrote.
fn escape_message(message: &str) -> String {
    let forges = |line: &str| ["error:", "next:"].iter().any(|word| line.trim_start().starts_with(word));
    let message = visible(message);
    if message.lines().skip(1).any(forges) { one_row(&message) } else { message.into_owned() }
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

/// What a script may want of a refusal one by one, beside the message that says all of it.
fn details(error: &anyhow::Error) -> Option<Value> {
    error.chain().find_map(|cause| {
        if let Some(access::Error::NotPermitted { unmet } | access::Error::Awaited { unmet }) =
            cause.downcast_ref()
        {
            return Some(json!({ "unmet": unmet }));
        }
        let threshold: Option<&ThresholdNotMet> = cause.downcast_ref();
        let ThresholdNotMet { board, have, need } = threshold?;
        Some(json!({ "board": board, "have": have, "need": need, "missing": need.saturating_sub(*have) }))
    })
}

/// Whether it is standard output that was closed: what else breaks off is a failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let printing = error.chain().find_map(|cause| cause.downcast_ref::<CannotPrint>());
    printing.is_some_and(|CannotPrint(source)| source.kind() == ErrorKind::BrokenPipe)
}
