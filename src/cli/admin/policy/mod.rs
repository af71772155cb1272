//! `portcullis policy`: what a policy says, what is wrong with it, what it changes, what it would have answered.

mod check;
mod diff;
mod show;
mod simulate;

use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;

use crate::cli::failure::Refusal;
use crate::cli::files;
use crate::cli::output::Output;
use crate::policy::{MOST_BYTES, Policy};

/// Check, show and compare release policies, or replay past requests against a draft
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PolicyCommand {
    Check(check::Check),
    Show(show::Show),
    Diff(diff::Diff),
    Simulate(simulate::Simulate),
}

impl PolicyCommand {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Check(check) => check.run(output),
            Self::Show(show) => show.run(output),
            Self::Diff(diff) => diff.run(output),
            Self::Simulate(simulate) => simulate.run(output),
        }
    }
}

/// Reads a policy from a file.
fn read(path: &Path) -> anyhow::Result<Policy> {
    let text = text(path, MOST_BYTES as u64)?;
    Policy::parse(&text).with_context(|| path.display().to_string())
}

/// Reads a text of at most `most` bytes.
pub(super) fn text(path: &Path, most: u64) -> anyhow::Result<String> {
    String::from_utf8(files::read(path, most)?).map_err(|_| {
        Refusal::usage(format!("{} is not UTF-8", path.display()), "convert it to UTF-8 first").into()
    })
}

/// `1 warning`, `2 warnings`.
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
