//! `portcullis policy`: what a policy says, what is wrong with it, what it changes, what it would have answered.

mod check;
mod diff;
pub(super) mod grants;
mod new;
mod show;
mod simulate;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;

use crate::cli::failure::Refusal;
use crate::cli::files;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::name::CheckpointId;
use crate::policy::{Board, BoardName, Boards, MAX_BYTES, PersonKey, Policy};
use crate::statement::Quorum;

/// Write, check, show and compare release policies, or replay past requests against a draft
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PolicyCommand {
    New(new::New),
    Check(check::Check),
    Show(show::Show),
    Diff(diff::Diff),
    Simulate(simulate::Simulate),
}

impl PolicyCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::New(new) => new.run(home, output),
            Self::Check(check) => check.run(home, output),
            Self::Show(show) => show.run(output),
            Self::Diff(diff) => diff.run(output),
            Self::Simulate(simulate) => simulate.run(home, output),
        }
    }
}

/// The boards that a policy asks for, by its own names for them, as a catalogue has them; `None` if it has none for the checkpoint.
pub(in crate::cli) fn boards(
    policy: &Policy,
    catalogue: impl Fn(&CheckpointId) -> Option<Quorum>,
) -> Option<Boards> {
    let board = |quorum: Quorum| Board::Members {
        people: quorum.keys().iter().map(|key| PersonKey::from_bytes(*key.as_bytes())).collect(),
        threshold: u32::try_from(quorum.threshold()).unwrap_or(u32::MAX),
    };
    let own = catalogue(&policy.checkpoint)?;
    let names: BTreeSet<_> = policy.stages.iter().flat_map(|stage| stage.approvals.keys()).collect();
    let others = names.into_iter().filter(|name| *name != BoardName::own());
    let others = others.filter_map(|name| Some((name.clone(), catalogue(&name.as_str().parse().ok()?)?)));
    let all = std::iter::once((BoardName::own().clone(), own)).chain(others);
    Some(all.map(|(name, quorum)| (name, board(quorum))).collect())
}

/// Reads a policy from a file.
fn read(path: &Path) -> anyhow::Result<Policy> {
    let text = text(path, MAX_BYTES as u64)?;
    Policy::parse(&text).with_context(|| path.display().to_string())
}

/// Reads a text of at most `max` bytes.
pub(super) fn text(path: &Path, max: u64) -> anyhow::Result<String> {
    String::from_utf8(files::read(path, max)?).map_err(|_| {
        Refusal::usage(format!("{} is not UTF-8", path.display()), "convert it to UTF-8 first").into()
    })
}

/// `1 warning`, `2 warnings`.
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
