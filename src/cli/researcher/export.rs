//! `portcullis export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::gate::{self, Passed};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::cli::progress::Bar;
use crate::cli::{interrupt, units};
use crate::name::CheckpointId;

/// Write a checkpoint of your vault as a plain folder that others' tools read, where its stage is public
#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// Which checkpoint
    checkpoint: CheckpointId,

    /// The folder to make
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,

    /// For which tools
    #[arg(long, value_enum, default_value = "hf")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Hugging Face's: config.json, model.safetensors, vocab.json, merges.txt
    Hf,
}

impl Export {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        interrupt::exit_when_asked(output, "the same command goes on from here");
        let Format::Hf = self.format;
        let Passed { rules, vault, identity, pass } = gate::pass(home, &self.checkpoint, output)?;
        let stage = &pass.grant.predicate.stage;
        if !rules.policy.stage(stage).is_some_and(crate::policy::Stage::is_public) {
            let message = format!("stage `{stage}` of {} keeps the weights sealed", self.checkpoint);
            let hint =
                "`portcullis run <checkpoint>` runs them as they are; a public stage lets them be exported";
            return Err(Refusal::denied(message, hint).into());
        }
        let opened = pass.open(&vault, &rules, identity.opening_key())?.checkpoint;
        let bar = Bar::new(output);
        let exported = opened.unseal_to(&self.to, &bar)?;
        drop(bar);
        let to = shown(&self.to);
        let size = exported.manifest().size();
        let text = format!("exported {} to {to}: {}\n", self.checkpoint, units::bytes(size));
        output.result(&json!({ "checkpoint": self.checkpoint, "folder": to, "bytes": size }), text)
    }
}
