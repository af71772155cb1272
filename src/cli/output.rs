//! What a command says on standard output: text for people, JSON for scripts; notes for people on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

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
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, value)?;
            writeln!(out)?;
        } else {
            write!(out, "{text}")?;
        }
        Ok(out.flush()?)
    }

    /// A result that is a file's text, the same with and without `--json`.
    pub(super) fn raw(self, text: impl Display) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        write!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// A piece of text that belongs to the result, now.
    pub(super) fn piece(self, text: impl Display) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        write!(out, "{text}")?;
        out.flush()
    }

    /// A line for the person who watches, beside the result.
    pub(super) fn note(self, text: impl Display) {
        if self.writes_notes() {
            // A reader who closed standard error wants no notes.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}
