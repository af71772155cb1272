//! `portcullis lease`: leave to open a checkpoint for some hours, renewed from the registry.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{pull, usage};
use crate::access::{Grant, Lease, RulesInForce};
use crate::cli::decisions::load_decisions;
use crate::cli::failure::Refusal;
use crate::cli::home::{Home, Place};
use crate::cli::operator::lease::Issue;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::client::{self, EntryRef, Vault};
use crate::identity::Card;
use crate::log::EntryKind;
use crate::name::CheckpointId;
use crate::statement::{Statement, Verified};
use crate::time::Timestamp;
use crate::usage::Journal;

/// Renew the leases of your grants; `run` also does this
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct LeaseCommand {
    #[command(subcommand)]
    other: Option<LeaseSubcommand>,

    /// Only for this checkpoint
    checkpoint: Option<CheckpointId>,
}

#[derive(Debug, Subcommand)]
enum LeaseSubcommand {
    Issue(Issue),
}

impl LeaseCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self.other {
            Some(LeaseSubcommand::Issue(issue)) => issue.run(home, output),
            None => renew_all(home, self.checkpoint.as_ref(), output),
        }
    }
}

fn renew_all(home: &Home, only: Option<&CheckpointId>, output: Output) -> anyhow::Result<()> {
    let Place::Address(_) = home.place()? else {
        let message = "this registry is a folder and issues no leases by itself";
        let hint =
            "its operator runs `portcullis lease issue`; `portcullis pull <checkpoint>` fetches the lease";
        return Err(Refusal::usage(message, hint).into());
    };
    let catalogue = registry::catalogue(home, output)?;
    let vault = registry::vault(home)?;
    pull::collect(home, &vault, output)?;
    let identity = home.identity(output)?;
    let checkpoints: Vec<_> = match only {
        Some(checkpoint) => vec![checkpoint.clone()],
        None => catalogue.checkpoints().cloned().collect(),
    };
    let mut text = String::new();
    let mut renewed = Vec::new();
    for checkpoint in &checkpoints {
        let rules = match catalogue.rules_in_force(checkpoint) {
            Ok(rules) => rules,
            Err(client::Error::NotPublished { .. }) if only.is_none() => continue,
            Err(error) => return Err(error.into()),
        };
        let grant = match client::find_grant(&vault, &rules, identity.card(), Timestamp::now()) {
            Ok(grant) => grant,
            Err(client::Error::NoGrant { .. } | client::Error::GrantRefused { .. }) if only.is_none() => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let lease = renew(home, &vault, &rules, &grant, output)?;
        writeln!(text, "{checkpoint}: leased until {}", lease.expires)?;
        renewed.push(json!({ "checkpoint": checkpoint, "grant": grant.digest(), "expires": lease.expires }));
    }
    if renewed.is_empty() {
        text.push_str("no grant is valid now: `portcullis request list` shows the state of your requests\n");
    }
    output.result(&renewed, text)
}

/// Gets a new lease from the registry's server and keeps it.
fn renew(
    home: &Home,
    vault: &Vault,
    rules: &RulesInForce,
    grant: &Verified<Statement<Grant>>,
    output: Output,
) -> anyhow::Result<Verified<Lease>> {
    let Place::Address(address) = home.place()? else {
        anyhow::bail!("a folder issues no lease");
    };
    let remote = registry::remote(home, &address, output)?;
    let mut journal = usage::sync(home, rules, output)?;
    let lease = loop {
        match remote.lease(grant.digest(), Some(&journal)) {
            Ok(lease) => break lease,
            Err(error) => {
                // Another process may have brought more in the meantime.
                let now = usage::sync(home, rules, output)?;
                if now == journal {
                    return Err(error.into());
                }
                journal = now;
            }
        }
    };
    let lease = vault.keep_lease(&lease, grant, rules, Timestamp::now())?;
    if let Some(record) = vault.record() {
        let entry = EntryRef { kind: EntryKind::Lease, statement: lease.digest() };
        record.fetch(entry, &remote, &rules.registry)?;
    }
    Ok(lease)
}

/// Sees to it that a live lease is there, if it can be had: a new one once half of the old one's time is over. If the registry is
/// unreachable, the earlier lease is used until it ends.
pub(in crate::cli) fn keep_alive(
    home: &Home,
    vault: &Vault,
    rules: &RulesInForce,
    card: &Card,
    output: Output,
) -> anyhow::Result<()> {
    let now = Timestamp::now();
    if home.is_offline() || !matches!(home.place()?, Place::Address(_)) {
        return Ok(());
    }
    // What is wrong with a grant, the gate says.
    let Ok(grant) = client::find_grant(vault, rules, card, now) else {
        return Ok(());
    };
    // A lease for another journal lets nothing be recorded here.
    let own = Journal::id_in(&home.journal())?;
    let fits = |lease: &Verified<Lease>| lease.journal.is_none_or(|mark| Some(mark.journal) == own);
    let live = client::find_lease(vault, &grant, rules, now)?.filter(fits);
    if live.as_ref().is_some_and(|lease| now < lease.renewal_due()) {
        return Ok(());
    }
    match (renew(home, vault, rules, &grant, output), live) {
        (Ok(_), _) => tell_decisions(home, rules, card, output),
        (Err(error), Some(lease)) => {
            let until = lease.expires;
            output
                .note(format_args!("note: the lease was not renewed ({error:#}); it is valid until {until}"));
            Ok(())
        }
        (Err(error), None) => Err(error),
    }
}

/// Tells a person what auditors decided about them; asked with each new lease, not with each run.
fn tell_decisions(home: &Home, rules: &RulesInForce, card: &Card, output: Output) -> anyhow::Result<()> {
    let statements = registry::statements(home, output)?;
    let now = Timestamp::now();
    for decision in load_decisions(&*statements, rules, &[card.verifying_key])? {
        if let Some(words) = decision.describe(now) {
            let case = registry::short_digest(decision.case);
            output.note(format_args!(
                "note: auditors decided a case about you: {words} (`portcullis case show {case}`)"
            ));
        }
    }
    Ok(())
}
