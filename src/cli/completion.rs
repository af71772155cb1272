//! Completion while a command is typed: the shell asks this program, which answers from the home alone. Nothing is asked of a registry.
//!
//! What a home holds is its owner's; names in it came from a verified catalogue.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::CompleteEnv;

use super::home::Home;
use super::registry;
use crate::access::Grant;
use crate::access::Statements as _;
use crate::catalogue::{Folder, TrustedCatalogue};
use crate::client::Vault;
use crate::name::CheckpointId;
use crate::policy::Policy;
use crate::time::Timestamp;

/// The variable by which a shell asks, with its own name in it.
pub(super) const VARIABLE: &str = "PORTCULLIS_COMPLETE";

/// Answers a shell and ends the process, if it is one that asks.
pub(super) fn answer_shell(command: fn() -> Command) {
    CompleteEnv::with_factory(move || completed(command())).var(VARIABLE).complete();
}

/// The same tree, whose arguments know what a home offers for them.
fn completed(command: Command) -> Command {
    let below: Vec<_> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = command.mut_args(with_candidates);
    below.into_iter().fold(command, |command, name| command.mut_subcommand(name, completed))
}

fn with_candidates(arg: Arg) -> Arg {
    let candidates: fn() -> Vec<String> = match arg.get_id().as_str() {
        "checkpoint" | "checkpoints" => checkpoints,
        "subject" | "role" | "board" if arg.is_positional() => roles,
        "stage" => stages,
        "grant" => grants,
        "request" => requests,
        _ => return arg,
    };
    arg.add(ArgValueCandidates::new(move || candidates().into_iter().map(CompletionCandidate::new).collect()))
}

/// The home of the command line that is being typed.
fn home() -> Option<Home> {
    let mut words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let mut folder = std::env::var_os("PORTCULLIS_HOME").map(PathBuf::from);
    while let Some(word) = words.next() {
        if word == "--home" {
            folder = words.next().map(PathBuf::from);
        } else if let Some(given) = word.to_str().and_then(|word| word.strip_prefix("--home=")) {
            folder = Some(PathBuf::from(given));
        }
    }
    Home::at(folder).ok()
}

fn catalogue() -> Option<TrustedCatalogue> {
    let home = home()?;
    // Looking must not make a folder.
    home.catalogue_state().is_dir().then_some(())?;
    registry::client(&home).load_offline(Timestamp::now()).ok()
}

fn checkpoints() -> Vec<String> {
    let Some(catalogue) = catalogue() else { return Vec::new() };
    // A board that a policy names is no checkpoint, unless it published one.
    let policies = policies(&catalogue);
    let stages = policies.iter().flat_map(|policy| &policy.stages);
    let boards: BTreeSet<_> =
        stages.flat_map(|stage| stage.approvals.keys()).map(ToString::to_string).collect();
    let published: BTreeSet<_> = catalogue.published_checkpoints().collect();
    let is_one = |name: &&CheckpointId| published.contains(name) || !boards.contains(name.as_str());
    catalogue.checkpoints().filter(is_one).map(ToString::to_string).collect()
}

fn roles() -> Vec<String> {
    let boards: Vec<_> =
        catalogue().iter().flat_map(|catalogue| catalogue.boards().keys()).map(ToString::to_string).collect();
    boards.into_iter().chain(["root", "targets", "misuse", "registry"].map(str::to_owned)).collect()
}

/// The policies that this home has read.
fn policies(catalogue: &TrustedCatalogue) -> Vec<Policy> {
    // What was not read before is nowhere: no registry is asked.
    let nowhere = Folder::new("/nonexistent");
    let policy = |checkpoint| {
        let text = catalogue.policy(&nowhere, checkpoint).ok()?;
        Policy::parse(&String::from_utf8_lossy(&text)).ok()
    };
    catalogue.checkpoints().filter_map(policy).collect()
}

fn stages() -> Vec<String> {
    let policies = catalogue().map(|catalogue| policies(&catalogue)).unwrap_or_default();
    let mut stages: Vec<_> =
        policies.into_iter().flat_map(|policy| policy.stages).map(|stage| stage.name.to_string()).collect();
    stages.sort();
    stages.dedup();
    stages
}

/// The grants in the vault: their digests, and the requests that they answer.
fn granted() -> Vec<(String, String)> {
    let Some(home) = home().filter(|home| home.vault().is_dir()) else { return Vec::new() };
    let found = Vault::at(home.vault()).statements().list("grant").unwrap_or_default();
    let ids = found.iter().filter_map(|found| {
        let grant = found.envelope.claim::<Grant>().ok()?.predicate;
        Some((registry::short(found), registry::short_digest(grant.request)))
    });
    ids.collect()
}

fn grants() -> Vec<String> {
    granted().into_iter().map(|(grant, _)| grant).collect()
}

fn requests() -> Vec<String> {
    granted().into_iter().map(|(_, request)| request).collect()
}
