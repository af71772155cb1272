//! `portcullis request list`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use crate::access::{Evidence, Request, State, Statements, state_of, verify_request};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::page::Page;
use crate::cli::people::person;
use crate::cli::registry;
use crate::cli::table::{Cell, Fit, Table, Tone};
use crate::cli::units::age;
use crate::client::Catalogue;
use crate::name::CheckpointId;
use crate::statement::{Statement, Verified};
use crate::time::Timestamp;

/// List requests and their state
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Only for this checkpoint
    checkpoint: Option<CheckpointId>,

    /// Only pending requests
    #[arg(long)]
    pending: bool,
}

/// A request, and how it stands.
pub(in crate::cli) type Standing = (Verified<Statement<Request>>, State);

impl List {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        self.checkpoint.as_ref().map_or(Ok(()), |wanted| catalogue.board_of(wanted).map(drop))?;
        let exchange = registry::statements(home, output)?;
        let now = Timestamp::now();
        let mut requests = standings(&*exchange, &catalogue, now, output)?;
        requests.retain(|(request, state)| {
            let is_wanted = |wanted: &CheckpointId| request.predicate.checkpoint == *wanted;
            self.checkpoint.as_ref().is_none_or(is_wanted)
                && (!self.pending || matches!(state, State::Pending(_)))
        });
        let mut page = Page::new();
        page.table_or(&table(&requests, now), "no requests");
        let value: Vec<_> = requests
            .iter()
            .map(|(request, state)| {
                json!({ "digest": request.digest(), "request": request.predicate, "status": state })
            })
            .collect();
        output.page(&value, &page)
    }
}

/// Every request that this person may read, the oldest first, and how it stands.
pub(in crate::cli) fn standings(
    exchange: &dyn Statements,
    catalogue: &Catalogue,
    now: Timestamp,
    output: Output,
) -> anyhow::Result<Vec<Standing>> {
    let evidence = Evidence::read(exchange)?;
    let mut rules = BTreeMap::new();
    let mut requests = Vec::new();
    for found in exchange.list(<Request as crate::statement::Predicate>::KIND)? {
        let Ok(request) = verify_request(&found.envelope, catalogue.id()) else {
            output.note(format_args!("note: {} is not signed by its author", found.path.display()));
            continue;
        };
        let checkpoint = &request.predicate.checkpoint;
        let rules = rules.entry(checkpoint.clone()).or_insert_with(|| catalogue.rules_in_force(checkpoint));
        let state = match rules {
            // What the others of an organization were granted concerns its author by the request alone.
            Ok(rules) if !request.predicate.members.is_empty() => {
                state_of(&request, &Evidence::about(exchange, request.digest())?, rules, now)
            }
            Ok(rules) => state_of(&request, &evidence, rules, now),
            Err(error) => State::Outdated { reason: error.to_string() },
        };
        requests.push((request, state));
    }
    requests.sort_by_key(|(request, _)| request.predicate.created);
    Ok(requests)
}

/// Requests as a table.
pub(in crate::cli) fn table(requests: &[Standing], now: Timestamp) -> Table<6> {
    let mut table = Table::new([
        ("REQUEST", Fit::Whole),
        ("CHECKPOINT", Fit::Cut),
        ("PERSON", Fit::Cut),
        ("AGE", Fit::Whole),
        ("DAYS", Fit::Whole),
        ("STATE", Fit::Cut),
    ]);
    for (request, state) in requests {
        let asked = &request.predicate;
        let others = match asked.members.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        table.row([
            Cell::new(registry::short_digest(request.digest())),
            Cell::new(&asked.checkpoint),
            Cell::new(format!("{}{others}", person(&asked.card.name, asked.card.verifying_key.id()))),
            Cell::new(age(asked.created, now)),
            Cell::new(asked.days),
            Cell::new(state).with_tone(tone(state)),
        ]);
    }
    table
}

/// The tone of a state.
pub(in crate::cli) fn tone(state: &State) -> Tone {
    match state {
        State::Pending(_) => Tone::Waits,
        State::Granted { .. } => Tone::Good,
        State::Ended { .. } | State::Denied { .. } => Tone::Bad,
        State::Withdrawn | State::Outdated { .. } => Tone::Faint,
    }
}
