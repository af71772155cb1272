//! Showing what is to be signed, or done for good, and asking.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use anyhow::Context as _;

use super::{Consent, refuse_declined};
use crate::cli::failure::Refusal;
use crate::cli::output::Output;
use crate::digest::Sha256Digest;
use crate::visible::visible;

/// Longest answer that is read.
const MAX_ANSWER: u64 = 64;

/// What is asked before a signature.
pub(super) struct Question {
    /// What the signature would do: `approve the request of Rosa`.
    pub(super) action: String,
    /// What would be signed, in words.
    pub(super) words: String,
    /// Whether the command line gave its whole digest.
    pub(super) is_named: bool,
    /// Whether all of it came from the command line and its files.
    pub(super) is_own: bool,
    /// What a script gives in place of an answer.
    pub(super) digest: Option<Sha256Digest>,
    /// How a script says yes, if `--yes` is no way.
    pub(super) instead: Option<String>,
    /// What happens with a yes: `signed`.
    pub(super) done: &'static str,
}

/// Asks for something that is no signature of this person and cannot be taken back, or refuses; `done` is `erased`, for instance.
pub(in crate::cli) fn confirm(
    action: &str,
    words: String,
    done: &'static str,
    consent: &Consent,
    output: Output,
) -> anyhow::Result<()> {
    let action = visible(action).into_owned();
    let question =
        Question { action, words, is_named: false, is_own: false, digest: None, instead: None, done };
    require(&question, consent.yes, output)
}

/// What was shown, or named by digest, and consented to. Nothing but [`consent`] makes one.
pub(super) struct Agreed<T>(T);

impl<T> Agreed<T> {
    pub(super) fn into_inner(self) -> T {
        self.0
    }
}

/// Shows the words of `value` and has them consented to, or refuses.
pub(super) fn consent<T>(
    value: T,
    question: &Question,
    yes: bool,
    output: Output,
) -> anyhow::Result<Agreed<T>> {
    require(question, yes, output)?;
    Ok(Agreed(value))
}

fn require(question: &Question, yes: bool, output: Output) -> anyhow::Result<()> {
    let Question { action, is_named, is_own, done, .. } = question;
    // Others wrote parts of it, and its reader is about to sign.
    let words = visible(&question.words);
    let is_given = *is_named || yes;
    if !is_given && can_ask(output) {
        let asked = format!("{words}{}{} [y/N] ", action[..1].to_uppercase(), with_mark(&action[1..]));
        return if is_yes(&answer(&asked, MAX_ANSWER)?) {
            Ok(())
        } else {
            Err(refuse_declined(action, done).into())
        };
    }
    output.note(words.trim_end());
    if is_given || *is_own { Ok(()) } else { Err(refusal(question).into()) }
}

/// Whether an answer is a yes.
fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Asks something at the terminal whose answer is yes or no; everything but a yes is a no.
pub(in crate::cli) fn ask_yes_or_no(question: &str) -> anyhow::Result<bool> {
    Ok(is_yes(&answer(&format!("{question} [y/N] "), MAX_ANSWER)?))
}

/// Asks something at the terminal; the line that is typed, of at most `max` bytes.
pub(in crate::cli) fn answer(question: &str, max: u64) -> anyhow::Result<String> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{}", visible(question)).and_then(|()| stderr.flush()).context("cannot ask")?;
    drop(stderr);
    let mut line = Vec::new();
    let mut byte = [0];
    let mut stdin = io::stdin().lock().take(max);
    while stdin.read(&mut byte).context("cannot read the answer")? == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn with_mark(action: &str) -> String {
    format!("{action}?")
}

fn refusal(question: &Question) -> Refusal {
    let way = match (&question.instead, question.digest) {
        (Some(instead), _) => instead.clone(),
        (None, Some(digest)) => format!("give its whole digest, {digest}, or --yes"),
        (None, None) => "give --yes".to_owned(),
    };
    let action = &question.action;
    Refusal::usage(
        format!("there is no terminal to ask whether to {action}"),
        format!("run it at a terminal to review and confirm; or review it, and {way}"),
    )
}

/// Whether a person can be asked at a terminal.
pub(in crate::cli) fn can_ask(output: Output) -> bool {
    !output.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal()
}
