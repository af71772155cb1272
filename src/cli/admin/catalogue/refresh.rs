//! `portcullis catalogue refresh`.

use std::path::PathBuf;

use clap::Args;

use super::overview::{Overview, Sources};
use crate::catalogue::{Client, Error, MAX_ROOT_BYTES, Roster};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::page::Page;
use crate::cli::{files, registry};
use crate::time::Timestamp;

/// Verify the catalogue from the trusted root on, and store the verified state
#[derive(Debug, Args)]
pub(in crate::cli) struct Refresh {
    /// The first root of trust, from a source that you trust; needed once
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

impl Refresh {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        home.folder()?;
        let client = Client::new(home.catalogue_state());
        if let Some(root) = &self.root {
            client.trust(&files::read(root, MAX_ROOT_BYTES)?)?;
        }
        let now = Timestamp::now();
        let remote = registry::catalogue_remote(home, output)?;
        let catalogue = client.refresh(&*remote, now)?;
        let cards = catalogue.cards(&*remote)?;
        let roster: Roster = cards.into_iter().map(|card| (card.verifying_key, card.into_inner())).collect();
        let roles = catalogue.roles()?;
        let sources = Sources {
            roles: &roles,
            boards: catalogue.boards(),
            roster: &roster,
            now,
            file: &|checkpoint, file| match catalogue.checkpoint_file(&*remote, checkpoint, file) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(Error::NoTarget { .. } | Error::Expired { .. } | Error::NoCatalogue { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            },
        };
        let overview = Overview::read(&sources)?;
        let mut value = overview.json();
        value["targets"] = catalogue.targets().len().into();
        let mut page = Page::new();
        overview.show(&mut page);
        output.page(&value, &page)
    }
}
