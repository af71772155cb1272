//! What a command says on standard output: text for people, JSON for scripts; notes for people on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use serde::Serialize;

use super::page::Page;
use crate::visible::{visible, visible_json};

/// Standard output takes no more. What the command did is done.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(super) struct CannotPrint(#[source] pub(super) io::Error);

/// Writes to standard output, at once: the only place that does. What others wrote may be anywhere in a text, so nothing hidden goes out as
/// it is: a result is meant for people, wherever it is piped to.
fn print(text: impl Display) -> Result<(), CannotPrint> {
    let mut out = io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(CannotPrint)
}

/// Writes text that a program may read as it is; a terminal is shown what is hidden in it.
fn print_file(text: impl Display) -> Result<(), CannotPrint> {
    // The end of a line in CSV is no text of others.
    let shown = || text.to_string().replace("\r\n", "\n");
    if io::stdout().is_terminal() { print(visible(&shown())) } else { print(text) }
}

/// A path as text, for JSON: a path need not be UTF-8, and `json!` panics on one that is not.
pub(super) fn shown(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// Where and how a command speaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether the caller wants JSON.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// The same with JSON for a result, whatever the command line says.
    pub(super) fn as_json(self) -> Self {
        Self { json: true, ..self }
    }

    /// Whether progress may be drawn on standard error.
    pub(super) fn draws_progress(self) -> bool {
        !self.json && !self.quiet && io::stderr().is_terminal()
    }

    /// Whether notes may be written to standard error.
    pub(super) fn writes_notes(self) -> bool {
        !self.json && !self.quiet
    }

    /// The command's result: `value` as JSON, or `text`.
    pub(super) fn result(self, value: &impl Serialize, text: impl Display) -> anyhow::Result<()> {
        if self.json {
            let json = serde_json::to_string(value)?;
            print(format_args!("{}\n", visible_json(&json)))?;
        } else {
            print(visible(&text.to_string()))?;
        }
        Ok(())
    }

    /// The command's result: `value` as JSON, or a page, which was escaped as it was made.
    pub(super) fn page(self, value: &impl Serialize, page: &Page) -> anyhow::Result<()> {
        if self.json {
            return self.result(value, "");
        }
        Ok(print(page.text())?)
    }

    /// The same again and again: on a terminal in the place of what was there before.
    pub(super) fn redraw(self, value: &impl Serialize, page: &Page) -> anyhow::Result<()> {
        if !self.json && io::stdout().is_terminal() {
            // To the upper left, and clear from there on.
            print("\u{1b}[H\u{1b}[2J")?;
        }
        self.page(value, page)
    }

    /// A result that is a file's text, the same with and without `--json`; a terminal is shown what is hidden in it.
    pub(super) fn raw(self, text: impl Display) -> anyhow::Result<()> {
        Ok(print_file(text)?)
    }

    /// A piece of text that belongs to the result, now.
    pub(super) fn piece(self, text: impl Display) -> Result<(), CannotPrint> {
        if self.json {
            return Ok(());
        }
        print_file(text)
    }

    /// A line for the person who watches, beside the result.
    pub(super) fn note(self, text: impl Display) {
        if self.writes_notes() {
            // A reader who closed standard error wants no notes.
            let _ = writeln!(io::stderr(), "{}", visible(&text.to_string()));
        }
    }
}
