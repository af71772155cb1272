//! `portcullis registry erase`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;

use super::settings;
use crate::blob::Blobs;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Unattended, unattended};
use crate::identity::KeyId;
use crate::name::Prose;
use crate::registry::{Error, Registry};
use crate::store::Store;
use crate::time::Timestamp;

/// Erase what the registry holds of a person; the log, which has digests only, stays whole and says so
#[derive(Debug, Args)]
pub(in crate::cli) struct Erase {
    /// The id of the person's key, as `portcullis identity show` prints it
    person: KeyId,

    /// The registry's folder
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// Why, such as a request under a law; it is on the record
    #[arg(long)]
    reason: Prose,

    /// The settings, if not the folder's portcullis.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Erase {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let settings = settings(&self.folder, self.config)?;
        let (identity, signer) = unattended(&home.elsewhere(self.folder), Unattended::Registry, output)?;
        let erased = Runtime::new().context("cannot start")?.block_on(async {
            let store = Store::open(&settings.database).await?;
            let blobs = Blobs::open(&settings.blobs)?;
            let state = tempfile::tempdir().map_err(|source| Error::Io { source })?;
            let registry = Registry::new(store, blobs, identity, signer, state.path().to_owned());
            registry.erase(self.person, &self.reason, Timestamp::now()).await
        })?;
        let text = format!(
            "erased what {erased} statements of {} said; their digests stay in the log, and backups of before still hold them\n",
            self.person.short()
        );
        output.result(&json!({ "person": self.person, "erased": erased }), text)
    }
}
