//! `portcullis identity show`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::describe;
use crate::cli::files;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::identity::Error;
use crate::statement::verify_card;

/// Show your own card, or check and show another's
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// A card file; without one, your own
    card: Option<PathBuf>,
}

impl Show {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let own = self.card.is_none();
        let path = self.card.unwrap_or_else(|| home.card_path());
        if own && !path.exists() {
            return Err(Error::NotFound { path: home.identity_file().path().to_owned() }.into());
        }
        let card = verify_card(&files::envelope(&path)?)?;
        output.result(&json!({ "card": *card, "key_id": card.verifying_key.id() }), describe(&card))
    }
}
