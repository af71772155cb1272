//! `portcullis catalogue root`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::catalogue::MAX_ROOT_BYTES;
use crate::cli::failure::Refusal;
use crate::cli::files;
use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::cli::registry;
use crate::digest::Sha256Digest;

/// Write the first root of trust, to hand out by another way than the registry, with its SHA-256 to compare
#[derive(Debug, Args)]
pub(in crate::cli) struct Root {
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "1.root.json")]
    to: PathBuf,
}

impl Root {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let place = home.place()?;
        let remote = registry::catalogue_remote(home, output)?;
        let root = remote.fetch("metadata/1.root.json", MAX_ROOT_BYTES)?;
        let root = root.ok_or_else(|| {
            Refusal::unavailable(
                format!("the catalogue of {place} is not published yet, and so has no root of trust"),
                "its owners sign it first: `portcullis catalogue review` shows what is proposed",
            )
        })?;
        files::write(&self.to, &root)?;
        let digest = Sha256Digest::compute(&root);
        let to = self.to.display();
        let text = format!(
            "wrote {to}, SHA-256 {digest}\n  next: compare the SHA-256 with the other owners', hand the file out by another way than the registry, and `portcullis join {place} --root {to}`\n"
        );
        output.result(&json!({ "path": shown(&self.to), "sha256": digest }), text)
    }
}
