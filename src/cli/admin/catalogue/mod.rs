//! `portcullis catalogue …`: the root of trust, as its owners, boards and registry keep it.

mod conditions;
mod diff;
mod files;
mod init;
mod propose;
mod publish;
mod refresh;
mod review;
mod root;
mod rotate;
mod sign;
mod status;
mod words;
mod workshop;

use clap::Subcommand;

use crate::catalogue::{Client, Error};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::time::Timestamp;

/// The root of trust: propose changes, review, sign and publish them
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CatalogueCommand {
    Init(init::Init),
    Propose(propose::Propose),
    Review(review::ReviewCommand),
    Sign(sign::Sign),
    Publish(publish::Publish),
    Status(status::StatusCommand),
    Rotate(rotate::Rotate),
    Refresh(refresh::Refresh),
    Root(root::Root),
}

impl CatalogueCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Init(init) => init.run(home, output),
            Self::Propose(propose) => propose.run(home, output),
            Self::Review(review) => review.run(home, output),
            Self::Sign(sign) => sign.run(home, output),
            Self::Publish(publish) => publish.run(home, output),
            Self::Status(status) => status.run(home, output),
            Self::Rotate(rotate) => rotate.run(home, output),
            Self::Refresh(refresh) => refresh.run(home, output),
            Self::Root(root) => root.run(home, output),
        }
    }
}

/// Checks what is published in the folder against what this home trusts, so that nobody reviews or signs a change of a forged or an
/// older catalogue. Metadata that merely expired passes: renewing it is what keepers do.
fn require_trusted_base(home: &Home, now: Timestamp, output: Output) -> anyhow::Result<()> {
    let client = Client::new(home.catalogue_state());
    if client.root()?.is_none() {
        output.note("note: this home trusts no catalogue yet, so nothing but its own signatures vouches for what is published there");
        return Ok(());
    }
    match client.refresh(&*registry::catalogue_remote(home, output)?, now) {
        Ok(_) | Err(Error::Expired { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
