//! `portcullis join`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::catalogue::Client;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::{files, registry};

/// Longest root of trust that any TUF client takes.
const MAX_ROOT: u64 = 512 << 10;

/// Trust a registry's root once, and remember where the registry is
#[derive(Debug, Args)]
pub(in crate::cli) struct Join {
    /// The registry's folder
    folder: PathBuf,

    /// The root of trust (such as 1.root.json), got from the owners by another way than the registry
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
}

impl Join {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let root = files::read(&self.root, MAX_ROOT)?;
        home.folder()?;
        Client::new(home.catalogue_state()).trust(&root)?;
        let folder = std::path::absolute(&self.folder)?;
        home.remember_registry(&folder)?;
        let catalogue = registry::catalogue(home, output)?;
        let owners = catalogue.owners();
        let mut text = format!(
            "joined {}: {} owners, {} of whom must sign a change of trust\n",
            folder.display(),
            owners.keys().len(),
            owners.threshold(),
        );
        let checkpoints: Vec<_> = catalogue.checkpoints().collect();
        for checkpoint in &checkpoints {
            let stage = catalogue.stage(checkpoint)?;
            let stage = stage.map_or_else(|| "not released".to_owned(), |stage| stage.stage.to_string());
            writeln!(text, "  {checkpoint:16} {stage}")?;
        }
        output.result(&json!({ "registry": folder, "checkpoints": checkpoints }), text)
    }
}
