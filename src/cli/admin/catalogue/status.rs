//! `portcullis catalogue status`.

use clap::Args;
use serde_json::Value;

use super::overview::{Overview, Sources};
use super::words;
use super::workshop::Workshop;
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
        let workshop = Workshop::open_to_look(home, output)?;
        let repository = workshop.repository();
        let status = repository.status()?;
        let sources = Sources {
            roles: &status.roles,
            boards: &status.boards,
            roster: &status.roster,
            now,
            file: &|checkpoint, file| Ok(repository.published_file(checkpoint, file)?),
        };
        let overview = Overview::of(&sources)?;
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
        page.line(if workshop.is_kept_from_me() {
            "what is proposed is for owners and board members to see"
        } else if status.open.is_empty() {
            "nothing is proposed"
        } else {
            "  next: read it with `portcullis catalogue review`"
        });
        let mut value = overview.json();
        let open = status.open.iter().map(|standing| words::standing_json(standing, &status.roster));
        value["proposed"] = if workshop.is_kept_from_me() { Value::Null } else { open.collect() };
        output.page(&value, &page)
    }
}
