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
use crate::cli::signing::{Consent, Unattended, confirm, unattended};
use crate::cli::units::counted;
use crate::identity::{Card, KeyId};
use crate::name::Prose;
use crate::registry::{Error, Held, Registry};
use crate::store::Store;
use crate::time::Timestamp;

/// Erase a person's statements from the registry; the log keeps their digests and records the erasure
#[derive(Debug, Args)]
pub(in crate::cli) struct Erase {
    /// The id of the person's key, as `portcullis identity show` prints it
    person: KeyId,

    /// The registry's folder
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// The reason, such as a legal request; the log records it
    #[arg(long)]
    reason: Prose,

    /// Only print how many statements would be erased
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    consent: Consent,

    /// The settings [default: the folder's portcullis.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Erase {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let settings = settings(&self.folder, self.config)?;
        let (identity, signer) = unattended(&home.with_folder(self.folder), Unattended::Registry, output)?;
        let runtime = Runtime::new().context("cannot start")?;
        let state = tempfile::tempdir().map_err(|source| Error::Io { source })?;
        let registry = runtime.block_on(async {
            let store = Store::open(&settings.database).await?;
            let blobs = Blobs::open(&settings.blobs)?;
            Ok::<_, Error>(Registry::new(store, blobs, identity, signer, state.path().to_owned()))
        })?;
        let held = runtime.block_on(registry.held_of(self.person))?;
        if held.statements == 0 {
            let message = format!("the registry has no statement of {}", self.person);
            let hint =
                "check the id: the person's `portcullis identity show` prints it, and so does `request show`";
            return Err(Refusal::usage(message, hint).into());
        }
        let person = held.card.as_ref().map_or_else(|| format!("key {}", self.person), person);
        let Held { statements, to_erase, .. } = held;
        let name = held.card.map(|card| card.name);
        if self.dry_run || to_erase == 0 {
            let text = match to_erase {
                0 => format!(
                    "no statement of {person} is left but {}; statements of others that name them stay\n",
                    counted(usize::try_from(statements)?, "digest")
                ),
                _ => format!(
                    "would erase {to_erase} of {} of {person}\n",
                    counted(usize::try_from(statements)?, "statement")
                ),
            };
            let value = json!({ "person": self.person, "name": name, "erased": 0, "to_erase": to_erase });
            return output.result(&value, text);
        }
        let words = format!(
            "This erases {to_erase} of {} of {person} permanently and ends their grants.\n  reason  {}, recorded in the log\n  stays   digests in the log, statements of others that name them, and earlier backups\n",
            counted(usize::try_from(statements)?, "statement"),
            self.reason,
        );
        confirm(&format!("erase {person}"), words, "erased", &self.consent, output)?;
        let erased = runtime.block_on(registry.erase(self.person, &self.reason, Timestamp::now()))?;
        let text = format!(
            "erased {} of {person}; digests stay in the log, statements of others that name them stay, and earlier backups still contain everything\n",
            counted(erased, "statement")
        );
        output.result(&json!({ "person": self.person, "name": name, "erased": erased }), text)
    }
}

/// Whose statements they are, as a card says.
fn person(card: &Card) -> String {
    let organization =
        card.organization.as_ref().map(|name| format!(", {name} (unconfirmed)")).unwrap_or_default();
    format!("{}{organization}, key {}", card.name, card.verifying_key.id())
}
