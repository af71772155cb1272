//! `portcullis export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::gate::{self, Admission};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::cli::progress::Bar;
use crate::cli::{interrupt, units};
use crate::name::CheckpointId;

/// Export a checkpoint of your vault as a plain folder for other tools, if its stage is public
#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// The checkpoint
    checkpoint: CheckpointId,

    /// The folder to create
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,

    /// The format
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
        interrupt::exit_on_interrupt(output, "run the same command again to continue");
        let Format::Hf = self.format;
        let Admission { rules, vault, identity, pass } = gate::pass(home, &self.checkpoint, output)?;
        let stage = &pass.grant.predicate.stage;
        if !rules.policy.stage(stage).is_some_and(crate::policy::Stage::is_public) {
            let message = format!("stage `{stage}` of {} keeps the weights sealed", self.checkpoint);
            let hint = "run it with `portcullis run <checkpoint>`; only a public stage permits the export";
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
