//! `portcullis registry erase`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;

use super::settings;
use crate::blob::Blobs;
use crate::cli::failure::Refusal;
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

    /// Only say how many statements it would be
    #[arg(long)]
    dry_run: bool,

    /// The settings, if not the folder's portcullis.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Erase {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let settings = settings(&self.folder, self.config)?;
        let (identity, signer) = unattended(&home.elsewhere(self.folder), Unattended::Registry, output)?;
        let (held, erased) = Runtime::new().context("cannot start")?.block_on(async {
            let store = Store::open(&settings.database).await?;
            let blobs = Blobs::open(&settings.blobs)?;
            let state = tempfile::tempdir().map_err(|source| Error::Io { source })?;
            let registry = Registry::new(store, blobs, identity, signer, state.path().to_owned());
            let held = registry.held_of(self.person).await?;
            if self.dry_run || held.to_erase == 0 {
                return Ok::<_, Error>((held, 0));
            }
            Ok((held, registry.erase(self.person, &self.reason, Timestamp::now()).await?))
        })?;
        if held.statements == 0 {
            let message = format!("the registry holds nothing of {}", self.person);
            let hint =
                "check the id: the person's `portcullis identity show` prints it, and so does `request show`";
            return Err(Refusal::usage(message, hint).into());
        }
        let person = self.person.short();
        if self.dry_run || held.to_erase == 0 {
            let text = match held.to_erase {
                0 => format!("nothing is left of {person} but {} digests\n", held.statements),
                left => {
                    format!("would erase what {left} of {} statements of {person} say\n", held.statements)
                }
            };
            return output
                .result(&json!({ "person": self.person, "erased": 0, "to_erase": held.to_erase }), text);
        }
        let text = format!(
            "erased what {erased} statements of {} said; their digests stay in the log, and backups of before still hold them\n",
            person
        );
        output.result(&json!({ "person": self.person, "erased": erased }), text)
    }
}
