//! `portcullis join`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::catalogue::Client;
use crate::cli::failure::Refusal;
use crate::cli::home::{Home, Place};
use crate::cli::output::Output;
use crate::cli::{files, registry};
use crate::client::Catalogue as ClientCatalogue;
use crate::log::{WitnessKey, WitnessRule};
use crate::time::Timestamp;

/// Longest root of trust that any TUF client takes.
const MAX_ROOT: u64 = 512 << 10;

/// Trust a registry's root once, and remember where the registry is
#[derive(Debug, Args)]
pub(in crate::cli) struct Join {
    /// The registry's address, such as https://registry.example, or its folder
    registry: Place,

    /// The root of trust (such as 1.root.json), got from the owners by another way than the registry
    #[arg(long, value_name = "FILE")]
    root: PathBuf,

    /// A witness of the log, by its key: <name>+<hash>+<key>; may be given several times
    #[arg(long, value_name = "KEY")]
    witness: Vec<WitnessKey>,

    /// How many of the witnesses must vouch for what the log says; all of them if not given
    #[arg(long, value_name = "K", requires = "witness")]
    witnesses_needed: Option<usize>,
}

impl Join {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let root = files::read(&self.root, MAX_ROOT)?;
        let place = match self.registry {
            Place::Folder(folder) => Place::Folder(std::path::absolute(folder)?),
            address => address,
        };
        let need = self.witnesses_needed.unwrap_or(self.witness.len());
        if need > self.witness.len() {
            let message = format!("{need} witnesses are needed, and {} are named", self.witness.len());
            return Err(Refusal::usage(message, "name each with --witness").into());
        }
        home.folder()?;
        Client::new(home.catalogue_state()).trust(&root)?;
        // What was seen before at another place says nothing of this one, and nothing is remembered that is not there.
        let remote = registry::catalogue_remote_at(&place, home, output)?;
        let now = Timestamp::now();
        let trusted = registry::client(home).refresh(&*remote, now)?;
        home.remember_registry(&place, &WitnessRule { witnesses: self.witness, need })?;
        home.note_clock(now);
        let catalogue = ClientCatalogue::new(trusted, remote);
        let owners = catalogue.owners();
        let mut text = format!(
            "joined {place}: {} owners, {} of whom must sign a change of trust\n",
            owners.keys().len(),
            owners.threshold(),
        );
        let checkpoints: Vec<_> = catalogue.published_checkpoints().collect();
        for checkpoint in &checkpoints {
            let stage = catalogue.stage(checkpoint)?;
            let stage = stage.map_or_else(|| "not released".to_owned(), |stage| stage.stage.to_string());
            writeln!(text, "  {checkpoint:16} {stage}")?;
        }
        output.result(&json!({ "registry": place.to_string(), "checkpoints": checkpoints }), text)
    }
}
