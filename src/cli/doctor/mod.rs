//! `portcullis doctor`: whether this machine and this home are as they should be, and what to do if they are not.

mod machine;
mod place;

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::advice;
use super::failure::Refusal;
use super::home::Home;
use super::output::Output;
use crate::time::Timestamp;

/// Check this home and this machine: permissions, identity, registry, clock, catalogue, disk, memory, vault and journal
///
/// Each line shows a finding and, if needed, the next step. Exit code 4 if there is a problem.
#[derive(Debug, Args)]
pub(super) struct Doctor {}

/// How something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// As it should be.
    Good,
    /// It works, and could be better.
    Warning,
    /// It must be mended.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    next: Option<String>,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Good, found: found.into(), next: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, state: State::Warning, found: found.into(), next: Some(next.into()) }
    }

    fn bad(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, state: State::Bad, found: found.into(), next: Some(next.into()) }
    }

    /// What a command would have failed with.
    fn failed(name: &'static str, error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        let (_, next) = advice::explain(&error);
        Self { name, state: State::Bad, found: format!("{error:#}"), next }
    }
}

impl Doctor {
    pub(super) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let mut checks = machine::check_home(home);
        checks.extend(place::check_registry(home, now, output));
        checks.extend(machine::check_system(home));
        checks.push(place::check_vault(home));
        checks.push(place::check_journal(home));
        let count = |state| checks.iter().filter(|check| check.state == state).count();
        let (bad, warnings) = (count(State::Bad), count(State::Warning));
        let mut text = String::new();
        for check in &checks {
            let mark = match check.state {
                State::Good => "ok",
                State::Warning => "note",
                State::Bad => "FAIL",
            };
            writeln!(text, "{mark:<4}  {:<12} {}", check.name, check.found)?;
            if let Some(next) = &check.next {
                writeln!(text, "                    next: {next}")?;
            }
        }
        if bad == 0 {
            writeln!(text, "\nno problems found{}", if warnings == 0 { "" } else { "; see the notes" })?;
        }
        output.result(&json!({ "healthy": bad == 0, "checks": checks }), text)?;
        match bad {
            0 => Ok(()),
            1 => Err(Refusal::unverified("1 problem found", "follow the `next:` line below it").into()),
            _ => Err(Refusal::unverified(
                format!("{bad} problems found"),
                "follow the `next:` line below each",
            )
            .into()),
        }
    }
}
