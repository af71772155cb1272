//! `portcullis request …`: a researcher asks; everyone sees what became of it.

mod assign;
mod draft;
pub(in crate::cli) mod list;
mod new;
mod queue;
mod show;
mod terms;
mod withdraw;

use clap::Subcommand;

use crate::cli::home::Home;
use crate::cli::output::Output;

/// Ask for a checkpoint, and see what became of requests
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RequestCommand {
    New(new::New),
    List(list::List),
    Show(show::Show),
    Withdraw(withdraw::Withdraw),
    Assign(assign::Assign),
}

impl RequestCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::New(new) => new.run(home, output),
            Self::List(list) => list.run(home, output),
            Self::Show(show) => show.run(home, output),
            Self::Withdraw(withdraw) => withdraw.run(home, output),
            Self::Assign(assign) => assign.run(home, output),
        }
    }
}
