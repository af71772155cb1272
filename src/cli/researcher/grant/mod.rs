//! `portcullis grant …`: what a grant says, and whether it counts.

mod show;
mod verify;

use clap::Subcommand;

use crate::cli::home::Home;
use crate::cli::output::Output;

/// Show grants, and check for yourself whether one counts
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GrantCommand {
    Show(show::Show),
    Verify(verify::Verify),
}

impl GrantCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Show(show) => show.run(home, output),
            Self::Verify(verify) => verify.run(home, output),
        }
    }
}
