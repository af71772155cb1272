//! The command line: one file a command, grouped by the person who uses it. Nobody else prints.

mod admin;
mod advice;
mod demo;
mod failure;
mod interrupt;
mod output;
mod progress;
mod researcher;
mod units;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use output::Output;

/// Staged release for model weights.
///
/// Exit codes: 0 done, 1 internal error, 2 usage, 3 denied by a rule, 4 not verified, 5 not available, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,

    /// Print the result as JSON, and errors too
    #[arg(long, global = true)]
    json: bool,

    /// No progress and no notes on standard error
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(admin::import::Import),
    Verify(admin::verify::Verify),
    Show(admin::show::Show),
    Run(researcher::run::Run),
    Score(researcher::score::ScoreCommand),
    Demo(demo::Demo),
    /// Write a completion script for your shell to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    let CommandLine { command, json, quiet } = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => return failure::report_usage(&error),
    };
    let output = Output::new(json, quiet);
    let done = match command {
        Command::Import(import) => import.run(output),
        Command::Verify(verify) => verify.run(output),
        Command::Show(show) => show.run(output),
        Command::Run(run) => run.run(output),
        Command::Score(score) => score.run(output),
        Command::Demo(demo) => demo.run(output),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut CommandLine::command(), "portcullis", &mut io::stdout());
            Ok(())
        }
    };
    match done {
        Ok(()) if interrupt::asked_to_stop() => ExitCode::from(failure::INTERRUPTED),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, json),
    }
}
