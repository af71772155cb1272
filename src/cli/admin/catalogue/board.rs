//! `portcullis catalogue board add`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::hand_in::Proposing;
use super::init::cards;
use super::workshop::Workshop;
use crate::catalogue::BoardPlan;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Consent, Signatory};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// Boards: who decides about a checkpoint, or what policies ask of others, such as ethics
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BoardCommand {
    Add(Add),
}

/// Propose a board for another checkpoint, or one that policies name, such as `ethics` or `auditors`; owners sign it
#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// The checkpoint whose board it is, or the name by which policies ask it
    board: CheckpointId,

    /// How many of its members must sign
    #[arg(long, value_name = "COUNT")]
    threshold: u32,

    /// Card of a member; once for each
    #[arg(long = "member", value_name = "CARD", required = true)]
    members: Vec<PathBuf>,

    /// For how long the change is believed
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    expires_in: u32,

    /// Build on this open proposal of somebody else, which you read; its digest
    #[arg(long, value_name = "SHA-256")]
    onto: Vec<Sha256Digest>,

    #[command(flatten)]
    consent: Consent,
}

impl BoardCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Add(add) => add.run(home, output),
        }
    }
}

impl Add {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let workshop = Workshop::open(home, output)?;
        workshop.require_trusted_base(home, now)?;
        let signatory = Signatory::of(home, output)?;
        let by = workshop.proposer(signatory.key(), &self.onto);
        let plan = BoardPlan { members: cards(&self.members)?, threshold: self.threshold };
        workshop.repository().add_board(&self.board, &plan, &by, now.plus_days(self.expires_in))?;
        let proposing = Proposing {
            workshop: &workshop,
            signatory: &signatory,
            consent: &self.consent,
            founding_code: None,
        };
        let done = proposing.hand_in(now)?;
        let board = &self.board;
        let text = format!("proposed and signed a board: {board}\n{}", done.next_steps()?);
        let value = json!({ "board": board, "roles": done.json(), "published": done.published_json() });
        output.result(&value, text)
    }
}
