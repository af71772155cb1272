//! `portcullis grant …`: what a grant says, and whether it counts.

pub(in crate::cli) mod list;
mod show;
mod verify;

use clap::Subcommand;

use crate::cli::home::Home;
use crate::cli::outage::Need;
use crate::cli::output::Output;

/// List, show and verify grants
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GrantCommand {
    List(list::List),
    Show(show::Show),
    Verify(verify::Verify),
}

impl GrantCommand {
    /// What it does if the registry does not answer: the vault knows one's own grants.
    pub(in crate::cli) fn need(&self) -> Need {
        match self {
            Self::List(_) => Need::Nothing,
            Self::Show(_) | Self::Verify(_) => Need::Registry,
        }
    }

    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(home, output),
            Self::Show(show) => show.run(home, output),
            Self::Verify(verify) => verify.run(home, output),
        }
    }
}
