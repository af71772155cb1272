//! `portcullis registry backup` and `portcullis registry restore`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;

use super::settings;
use crate::cli::output::Output;
use crate::registry::Error;
use crate::store::Store;

/// Write the database to a file, also while it is served; the identity and the chunks are files of their own
#[derive(Debug, Args)]
pub(in crate::cli) struct Backup {
    /// The registry's folder
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    to: PathBuf,

    /// The settings, if not the folder's portcullis.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Bring a backup into an empty database, of the same kind or the other
#[derive(Debug, Args)]
pub(in crate::cli) struct Restore {
    /// The registry's folder
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,

    /// The settings, if not the folder's portcullis.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Backup {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        let settings = settings(&self.folder, self.config)?;
        let rows = Runtime::new().context("cannot start")?.block_on(async {
            let store = Store::open(&settings.database).await?;
            store.backup(&self.to).await
        });
        let rows = rows.map_err(Error::from)?;
        let text = format!("wrote {}: {rows} rows\n", self.to.display());
        output.result(&json!({ "path": self.to, "rows": rows }), text)
    }
}

impl Restore {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        let settings = settings(&self.folder, self.config)?;
        let rows = Runtime::new().context("cannot start")?.block_on(async {
            let store = Store::open(&settings.database).await?;
            store.restore(&self.from).await
        });
        let rows = rows.map_err(Error::from)?;
        let text = format!("restored {rows} rows from {}\n", self.from.display());
        output.result(&json!({ "path": self.from, "rows": rows }), text)
    }
}
