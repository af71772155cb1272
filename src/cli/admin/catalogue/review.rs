//! `portcullis catalogue review`: what is proposed, in plain words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::conditions::Conditions;
use super::workshop::Workshop;
use super::{files, require_trusted_base, words};
use crate::catalogue::{Change, Review, Roster};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::statement::Quorum;
use crate::time::Timestamp;

/// Show what is proposed, in plain words, before you sign
#[derive(Debug, Args)]
pub(in crate::cli) struct ReviewCommand {}

impl ReviewCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        require_trusted_base(home, now, output)?;
        let workshop = Workshop::open(home, output)?;
        let repository = workshop.repository();
        let reviews = repository.review()?;
        let roster = repository.roster()?;
        let mut text = String::new();
        if reviews.is_empty() {
            writeln!(text, "nothing is proposed")?;
        }
        let mut json = Vec::new();
        for Review { changes, standing } in &reviews {
            writeln!(text, "{}, version {}", standing.subject, standing.version)?;
            let conditions = Conditions { repository, subject: &standing.subject, now };
            let changes: Vec<_> = changes
                .iter()
                .map(|change| describe(change, &roster, &conditions))
                .collect::<Result<_, _>>()?;
            let changes = in_order(changes);
            for change in &changes {
                writeln!(text, "  {}", change.trim_end())?;
            }
            for tally in &standing.tallies {
                writeln!(text, "  {}", words::tally(tally, &roster))?;
            }
            let mut review = words::standing_json(standing, &roster);
            review["changes"] = Value::from(changes);
            json.push(review);
        }
        output.result(&json!({ "proposed": json }), text)
    }
}

/// Cards in the order of their owners' names, which the order of their digests would shuffle.
fn in_order(mut changes: Vec<String>) -> Vec<String> {
    changes.sort_by_key(|change| {
        let is_card = change.starts_with("adds the card");
        (is_card, if is_card { change.clone() } else { String::new() })
    });
    changes
}

fn describe(change: &Change, roster: &Roster, conditions: &Conditions<'_>) -> anyhow::Result<String> {
    Ok(match change {
        Change::File { path, before, after } => {
            files::describe(path, before.as_ref(), after.as_ref(), conditions)?
        }
        Change::Signers { before, after } => describe_signers(before.as_ref(), after.as_ref(), roster),
        Change::Expiry { before, after } => {
            let was = before.map(|before| format!(" (was {})", before.date())).unwrap_or_default();
            format!("expires {}, {}{was}", after.date(), words::from_now(*after, conditions.now))
        }
    })
}

fn describe_signers(before: Option<&Quorum>, after: Option<&Quorum>, roster: &Roster) -> String {
    let none = BTreeSet::new();
    let (old, new) = (before.map_or(&none, Quorum::keys), after.map_or(&none, Quorum::keys));
    let quorum = after.or(before).map(Quorum::name).unwrap_or_default();
    let threshold = |quorum: Option<&Quorum>| quorum.map_or(0, Quorum::threshold);
    if before.is_none() {
        return format!("{quorum}: {} of {}", threshold(after), words::names_and_ids(new, roster));
    }
    if after.is_none() {
        return format!("{quorum} is dissolved");
    }
    let mut parts = Vec::new();
    let gone: Vec<_> = old.difference(new).collect();
    let come: Vec<_> = new.difference(old).collect();
    if !gone.is_empty() {
        parts.push(format!("{} leaves", words::names(gone, roster)));
    }
    if !come.is_empty() {
        parts.push(format!("{} joins", words::names_and_ids(come, roster)));
    }
    parts.push(format!("threshold {} (was {})", threshold(after), threshold(before)));
    format!("{quorum}: {}", parts.join(", "))
}
