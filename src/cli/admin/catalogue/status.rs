//! `portcullis catalogue status`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::words;
use super::workshop::Workshop;
use crate::catalogue::{RoleSummary, Roster};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::time::Timestamp;

/// Who signed what, what expires when, and what is proposed
#[derive(Debug, Args)]
pub(in crate::cli) struct StatusCommand {}

impl StatusCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let status = Workshop::open(home, output)?.repository().status()?;
        let mut text = String::new();
        if status.roles.is_empty() {
            writeln!(text, "nothing is published yet")?;
        }
        for role in &status.roles {
            text += &describe(role, &status.roster, now);
        }
        for standing in &status.open {
            writeln!(text, "proposed  {}, version {}", standing.subject, standing.version)?;
            for tally in &standing.tallies {
                writeln!(text, "          {}", words::tally(tally, &status.roster))?;
            }
        }
        let roles: Vec<_> = status.roles.iter().map(|role| role_json(role, &status.roster)).collect();
        let open: Vec<_> =
            status.open.iter().map(|standing| words::standing_json(standing, &status.roster)).collect();
        output.result(&json!({ "roles": roles, "proposed": open }), text)
    }
}

pub(super) fn describe(role: &RoleSummary, roster: &Roster, now: Timestamp) -> String {
    let quorum = &role.quorum;
    let unsigned = quorum.keys().iter().filter(|key| !role.signers.contains(key)).collect::<Vec<_>>();
    let without = if unsigned.is_empty() {
        String::new()
    } else {
        format!(", not by {}", words::names(unsigned, roster))
    };
    format!(
        "{:<12} version {}, expires {} ({})\n             {} of {} must sign; signed by {}{without}\n",
        role.role,
        role.version,
        role.expires.date(),
        words::from_now(role.expires, now),
        quorum.threshold(),
        quorum.keys().len(),
        words::names(&role.signers, roster),
    )
}

pub(super) fn role_json(role: &RoleSummary, roster: &Roster) -> serde_json::Value {
    json!({
        "role": role.role,
        "version": role.version,
        "expires": role.expires,
        "threshold": role.quorum.threshold(),
        "members": words::people(role.quorum.keys(), roster),
        "signed": words::people(&role.signers, roster),
    })
}
