//! `portcullis catalogue status`.

use clap::Args;
use serde_json::Value;

use super::overview::{Overview, Sources};
use super::words;
use super::working_copy::WorkingCopy;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::page::Page;
use crate::time::Timestamp;

/// Show checkpoints with their stages, boards, who signed what, what expires when, and what is proposed
#[derive(Debug, Args)]
pub(in crate::cli) struct StatusCommand {}

impl StatusCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let working_copy = WorkingCopy::open_for_reading(home, output)?;
        let repository = working_copy.repository();
        let status = repository.status()?;
        let sources = Sources {
            roles: &status.roles,
            boards: &status.boards,
            roster: &status.roster,
            now,
            file: &|checkpoint, file| Ok(repository.published_file(checkpoint, file)?),
        };
        let overview = Overview::read(&sources)?;
        let mut page = Page::new();
        overview.show(&mut page);
        page.gap();
        if status.roles.is_empty() {
            page.line("nothing is published yet");
            page.gap();
        }
        for standing in &status.open {
            page.line(format_args!("proposed  {}, version {}", standing.subject, standing.version));
            for tally in &standing.tallies {
                page.line(format_args!("          {}", words::tally(tally, &status.roster)));
            }
        }
        page.line(if working_copy.is_hidden() {
            "only owners and board members can see proposals"
        } else if status.open.is_empty() {
            "nothing is proposed"
        } else {
            "  next: read it with `portcullis catalogue review`"
        });
        let mut value = overview.json();
        let open = status.open.iter().map(|standing| words::standing_json(standing, &status.roster));
        value["proposed"] = if working_copy.is_hidden() { Value::Null } else { open.collect() };
        output.page(&value, &page)
    }
}
