//! `portcullis identity card`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::keep_card;
use crate::cli::files;
use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::cli::signing::{Unattended, unattended};
use crate::identity::Error;
use crate::statement::verify_card;

/// Write your card, the public half of your identity, to hand out
#[derive(Debug, Args)]
pub(in crate::cli) struct CardCommand {
    /// Write it to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl CardCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let path = home.card_path();
        let card = if path.exists() {
            files::envelope(&path)?
        } else if home.identity_file().path().exists() {
            let (identity, signer) = unattended(home, Unattended::Card, output)?;
            keep_card(home, &identity, &*signer)?
        } else {
            return Err(Error::NotFound { path: home.identity_file().path().to_owned() }.into());
        };
        verify_card(&card)?;
        match self.to {
            None => output.raw(card.to_json()),
            Some(file) => {
                files::write(&file, card.to_json().as_bytes())?;
                let file = shown(file);
                output.result(&json!({ "path": file }), format_args!("wrote {file}\n"))
            }
        }
    }
}
