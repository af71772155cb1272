//! `portcullis catalogue board add`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::init::cards;
use super::submit::Submission;
use super::working_copy::WorkingCopy;
use crate::catalogue::BoardPlan;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Consent, Signatory};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// Boards: the members who decide on a checkpoint, and boards that policies name, such as ethics
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BoardCommand {
    Add(Add),
}

/// Propose a board for another checkpoint, or one that policies name, such as `ethics` or `auditors`; owners sign it
#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// The checkpoint of the board, or the name that policies use for the board
    board: CheckpointId,

    /// How many of its members must sign
    #[arg(long, value_name = "COUNT")]
    threshold: u32,

    /// Card of a member; repeat for each
    #[arg(long = "member", value_name = "CARD", required = true)]
    members: Vec<PathBuf>,

    /// Days until the change expires
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    expires_in: u32,

    /// Build on this open proposal of another person, which you reviewed; its digest
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
        let working_copy = WorkingCopy::open(home, output)?;
        working_copy.require_trusted_base(home, now)?;
        let signatory = Signatory::open(home, output)?;
        let by = working_copy.proposer(signatory.key(), &self.onto);
        let plan = BoardPlan { members: cards(&self.members)?, threshold: self.threshold };
        working_copy.repository().add_board(&self.board, &plan, &by, now.plus_days(self.expires_in))?;
        let submission = Submission {
            working_copy: &working_copy,
            signatory: &signatory,
            consent: &self.consent,
            founding_code: None,
        };
        let done = submission.submit(now)?;
        let board = &self.board;
        let text = format!("proposed and signed a board: {board}\n{}", done.next_steps()?);
        let value = json!({ "board": board, "roles": done.json(), "published": done.published_json() });
        output.result(&value, text)
    }
}
