//! `portcullis catalogue sign`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::workshop::Workshop;
use super::{require_trusted_base, words};
use crate::catalogue::Subject;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::time::Timestamp;

/// Sign what is proposed, wherever you have a say; review it first
#[derive(Debug, Args)]
pub(in crate::cli) struct Sign {
    /// Sign for this role alone: root, targets or a checkpoint
    #[arg(long)]
    role: Option<Subject>,
}

impl Sign {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        require_trusted_base(home, Timestamp::now(), output)?;
        let workshop = Workshop::open(home, output)?;
        let repository = workshop.repository();
        let (_, signer) = home.signer(output)?;
        let signed = repository.sign(&*signer, self.role.as_ref())?;
        let roster = repository.roster()?;
        let published = workshop.hand_in(None)?;
        let mut text = String::new();
        for standing in &signed {
            writeln!(text, "signed {}, version {}", standing.subject, standing.version)?;
            for tally in &standing.tallies {
                writeln!(text, "  {}", words::tally(tally, &roster))?;
            }
        }
        for subject in &published {
            writeln!(text, "in force  {subject}: it had its signatures, and the registry published it")?;
        }
        let published: Vec<_> = published.iter().map(ToString::to_string).collect();
        let json: Vec<_> = signed.iter().map(|standing| words::standing_json(standing, &roster)).collect();
        output.result(&json!({ "signed": json, "published": published }), text)
    }
}
