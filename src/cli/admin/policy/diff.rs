//! `portcullis policy diff`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::read;
use crate::cli::output::Output;
use crate::policy::{self, Effect};

/// Show where a new policy widens or narrows access
#[derive(Debug, Args)]
pub(in crate::cli) struct Diff {
    /// The policy in force
    old: PathBuf,

    /// The new policy
    new: PathBuf,
}

impl Diff {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        let (old, new) = (read(&self.old)?, read(&self.new)?);
        let changes = policy::diff(&old, &new);
        let mut text = String::new();
        for change in &changes {
            writeln!(text, "{change}")?;
        }
        let count = |effect| changes.iter().filter(|change| change.effect == effect).count();
        let (widens, narrows) = (count(Effect::Widens), count(Effect::Narrows));
        if changes.is_empty() {
            writeln!(text, "no rule changes")?;
        } else {
            let rest = count(Effect::Differs);
            writeln!(text, "in all: {widens} widen, {narrows} narrow, {rest} differ otherwise")?;
        }
        if new.version > old.version && !new.keeps_grants() {
            writeln!(
                text,
                "every grant made before version {} ends; `keeps_grants_from` keeps those that it permits",
                new.version
            )?;
        }
        let value = json!({
            "changes": changes, "widens": widens, "narrows": narrows, "keeps_grants_from": new.keeps_grants_from,
        });
        output.result(&value, text)
    }
}
