//! `portcullis identity import`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{describe, keep_card};
use crate::cli::home::{self, Home};
use crate::cli::output::{Output, shown};
use crate::identity::{Error, IdentityFile, Protection};

/// Take over an identity file from another machine or a backup
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// The identity file
    file: PathBuf,
}

impl Import {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        home.folder()?;
        let own = home.identity_file();
        if own.path().symlink_metadata().is_ok() {
            return Err(Error::Exists { path: own.path().to_owned() }.into());
        }
        let source = IdentityFile::new(self.file);
        let passphrase = match source.is_protected()? {
            true => home.passphrase().existing(source.path(), output)?,
            false => None,
        };
        let identity = source.read(passphrase.clone())?;
        let signer = identity.signer(home::agent_socket().as_deref())?;
        own.create(&identity, &passphrase.map_or(Protection::None, Protection::Passphrase))?;
        keep_card(home, &identity, &*signer)?;
        let card = identity.card();
        let value = json!({ "card": card, "key_id": card.verifying_key.id(), "path": shown(own.path()) });
        output.result(&value, describe(card))
    }
}
