//! `portcullis pull`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::progress::Bar;
use crate::cli::{interrupt, registry, units};
use crate::client::{self, Vault};
use crate::name::CheckpointId;

/// Bring a sealed checkpoint into your vault, with the statements that open it
#[derive(Debug, Args)]
pub(in crate::cli) struct Pull {
    /// Which checkpoint
    checkpoint: CheckpointId,

    /// Take the sealed chunks from this folder, such as a memory stick's, instead of the registry's
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
}

impl Pull {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        interrupt::exit_when_asked(output, "the same command goes on from here");
        let rules = registry::rules(home, &self.checkpoint, output)?;
        let from = match self.from {
            Some(folder) => folder,
            None => registry::sealed(home, &self.checkpoint)?,
        };
        home.folder()?;
        let vault = Vault::at(home.vault());
        let bar = Bar::new(output);
        let pulled = client::pull(&from, &vault, &rules, &bar)?;
        drop(bar);
        let statements = collect(home, &vault, output)?;
        let text = format!(
            "{} is in the vault: {}, {} chunks, {} of them there already; {statements} new statements\n",
            self.checkpoint,
            units::bytes(pulled.bytes),
            pulled.chunks,
            pulled.already_there,
        );
        output.result(
            &json!({ "checkpoint": self.checkpoint, "pulled": pulled, "statements": statements }),
            text,
        )
    }
}

/// Brings the statements of one's own grants from the registry into the vault; the count of new ones. Where the registry is out of
/// reach, those of last time must do.
pub(in crate::cli) fn collect(home: &Home, vault: &Vault, output: Output) -> anyhow::Result<usize> {
    let card = crate::statement::verify_card(&crate::cli::files::envelope(&home.card_path())?)?;
    match registry::statements(home, output) {
        Ok(exchange) => Ok(vault.collect(&*exchange, card.verifying_key)?),
        Err(error) => {
            output.note(format_args!("note: {error:#}"));
            Ok(0)
        }
    }
}
