//! The command line: one file a command, grouped by the person who uses it. No other module prints.

mod admin;
mod advice;
mod auditor;
mod completion;
mod decisions;
mod demo;
mod doctor;
mod examples;
mod failure;
mod files;
mod handovers;
mod help;
mod home;
mod identity;
mod interrupt;
mod operator;
mod outage;
mod output;
mod page;
mod passphrase;
mod people;
mod progress;
mod registrar;
mod registry;
mod researcher;
mod resolve;
mod session;
mod signing;
mod status;
mod table;
mod tuf_client;
mod units;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use outage::Need;
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

    #[command(flatten)]
    home: home::HomeArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(subcommand)]
    Identity(identity::IdentityCommand),
    #[command(subcommand)]
    Catalogue(admin::catalogue::CatalogueCommand),
    Import(admin::import::Import),
    Verify(admin::verify::Verify),
    Show(admin::show::Show),
    #[command(subcommand)]
    Policy(admin::policy::PolicyCommand),
    #[command(subcommand)]
    Misuse(admin::misuse::MisuseCommand),
    Seal(admin::seal::Seal),
    // Boxed: it holds many options.
    Release(Box<admin::release::Release>),
    Approve(admin::approve::Approve),
    Deny(admin::deny::Deny),
    Revoke(admin::revoke::Revoke),
    Handover(admin::handover::HandoverCommand),
    #[command(subcommand)]
    Affiliation(registrar::affiliation::AffiliationCommand),
    Join(researcher::join::Join),
    #[command(subcommand)]
    Request(researcher::request::RequestCommand),
    #[command(subcommand)]
    Grant(researcher::grant::GrantCommand),
    List(researcher::list::List),
    Status(status::Status),
    Pull(researcher::pull::Pull),
    Run(researcher::run::Run),
    Serve(researcher::serve::Serve),
    Bench(researcher::bench::Bench),
    Export(researcher::export::Export),
    #[command(subcommand)]
    Usage(researcher::usage::UsageCommand),
    Score(researcher::score::ScoreCommand),
    Lease(researcher::lease::LeaseCommand),
    #[command(subcommand)]
    Registry(operator::registry::RegistryCommand),
    Answer(operator::answer::Answer),
    #[command(subcommand)]
    Audit(auditor::audit::AuditCommand),
    #[command(subcommand)]
    Case(auditor::case::CaseCommand),
    #[command(subcommand)]
    Witness(auditor::witness::WitnessCommand),
    Doctor(doctor::Doctor),
    Demo(demo::Demo),
    Try(demo::trial::Try),
    TufClient(tuf_client::TufClient),
    Completions(help::Completions),
    Man(help::Man),
}

/// The whole command line, as help, man pages and completions show it.
fn command_line() -> clap::Command {
    examples::add_examples(help::group_commands(CommandLine::command()))
}

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    // Before anything secret is read.
    crate::secret::guard_process();
    completion::answer_shell(command_line);
    let parsed = command_line().try_get_matches().and_then(|matches| CommandLine::from_arg_matches(&matches));
    let CommandLine { command, json, quiet, home } = match parsed {
        Ok(command_line) => command_line,
        Err(error) => return failure::report_usage(&failure::shorten_value(error)),
    };
    let output = Output::new(json, quiet);
    match home
        .resolve(command.need())
        .and_then(|home| command.run(&home, output).and_then(|()| registry::confirm_clock(&home)))
    {
        Ok(()) if interrupt::is_interrupted() => ExitCode::from(failure::INTERRUPTED),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, json),
    }
}

impl Command {
    /// What it does if the registry does not answer.
    fn need(&self) -> Need {
        match self {
            Self::Run(_)
            | Self::Serve(_)
            | Self::Score(_)
            | Self::Bench(_)
            | Self::Export(_)
            | Self::List(_)
            | Self::Status(_) => Need::Nothing,
            Self::Grant(grant) => grant.need(),
            Self::Usage(usage) => usage.need(),
            Self::Pull(_) | Self::Lease(_) => Need::Patient,
            _ => Need::Registry,
        }
    }

    fn run(self, home: &home::Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Identity(identity) => identity.run(home, output),
            Self::Catalogue(catalogue) => catalogue.run(home, output),
            Self::Import(import) => import.run(output),
            Self::Verify(verify) => verify.run(output),
            Self::Show(show) => show.run(output),
            Self::Policy(policy) => policy.run(home, output),
            Self::Misuse(misuse) => misuse.run(home, output),
            Self::Seal(seal) => seal.run(home, output),
            Self::Release(release) => release.run(home, output),
            Self::Approve(approve) => approve.run(home, output),
            Self::Deny(deny) => deny.run(home, output),
            Self::Revoke(revoke) => revoke.run(home, output),
            Self::Handover(handover) => handover.run(home, output),
            Self::Affiliation(affiliation) => affiliation.run(home, output),
            Self::Join(join) => join.run(home, output),
            Self::Request(request) => request.run(home, output),
            Self::Grant(grant) => grant.run(home, output),
            Self::List(list) => list.run(home, output),
            Self::Status(status) => status.run(home, output),
            Self::Pull(pull) => pull.run(home, output),
            Self::Run(run) => run.run(home, output),
            Self::Serve(serve) => serve.run(home, output),
            Self::Bench(bench) => bench.run(home, output),
            Self::Export(export) => export.run(home, output),
            Self::Usage(usage) => usage.run(home, output),
            Self::Score(score) => score.run(home, output),
            Self::Lease(lease) => lease.run(home, output),
            Self::Registry(registry) => registry.run(home, output),
            Self::Answer(answer) => answer.run(home, output),
            Self::Audit(audit) => audit.run(home, output),
            Self::Case(case) => case.run(home, output),
            Self::Witness(witness) => witness.run(home, output),
            Self::Doctor(doctor) => doctor.run(home, output),
            Self::Demo(demo) => demo.run(output),
            Self::Try(trial) => trial.run(output),
            Self::TufClient(client) => client.run(),
            Self::Completions(completions) => completions.run(command_line(), output),
            Self::Man(man) => man.run(command_line(), output),
        }
    }
}
