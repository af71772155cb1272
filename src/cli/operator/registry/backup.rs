//! `portcullis registry backup` and `portcullis registry restore`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;

use super::settings;
use crate::cli::files;
use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::cli::signing::{Unattended, unattended};
use crate::registry::Error;
use crate::statement::verify_card;
use crate::store::{BackupTrust, Store};
use crate::time::Timestamp;

/// Write the database to a file signed by the registry's key, also while it is served; back up identity and chunks separately
#[derive(Debug, Args)]
pub(in crate::cli) struct Backup {
    /// The registry's folder
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    to: PathBuf,

    /// The settings [default: the folder's portcullis.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Restore a backup that this registry signed into an empty database, SQLite or PostgreSQL
#[derive(Debug, Args)]
pub(in crate::cli) struct Restore {
    /// The registry's folder
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,

    /// The settings [default: the folder's portcullis.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The card of the registry that signed it, if its key was replaced since [default: the folder's]
    #[arg(long, value_name = "CARD")]
    signed_by: Option<PathBuf>,

    /// Restore an unsigned backup of an earlier release: anyone with write access could have altered it
    #[arg(long)]
    unsigned: bool,
}

impl Backup {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let settings = settings(&self.folder, self.config)?;
        let (_, signer) = unattended(&home.with_folder(self.folder), Unattended::Registry, output)?;
        let runtime = Runtime::new().context("cannot start")?;
        let store = runtime.block_on(Store::open(&settings.database)).map_err(Error::from)?;
        let rows = files::write_with(&self.to, |file| {
            let written = runtime.block_on(store.backup(file, &*signer, Timestamp::now()));
            Ok(written.map_err(Error::from)?)
        })?;
        let text = format!("wrote {}: {rows} rows\n", self.to.display());
        output.result(&json!({ "path": shown(&self.to), "rows": rows }), text)
    }
}

impl Restore {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let settings = settings(&self.folder, self.config)?;
        let card = self.signed_by.unwrap_or_else(|| home.with_folder(self.folder).card_path());
        let registry = verify_card(&files::envelope(&card)?)?.verifying_key;
        let trust = BackupTrust { registry, accepts_unsigned: self.unsigned };
        let rows = Runtime::new().context("cannot start")?.block_on(async {
            let store = Store::open(&settings.database).await?;
            store.restore(&self.from, &trust).await
        });
        let rows = rows.map_err(Error::from)?;
        let text = format!("restored {rows} rows from {}\n", self.from.display());
        output.result(&json!({ "path": shown(&self.from), "rows": rows }), text)
    }
}
