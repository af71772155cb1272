//! `portcullis request list`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use crate::access::{Evidence, State, state_of, verify_request};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// List requests and how they stand
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Those for this checkpoint only
    checkpoint: Option<CheckpointId>,

    /// Those that wait for a decision only
    #[arg(long)]
    pending: bool,
}

impl List {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        let exchange = registry::statements(home, output)?;
        let evidence = Evidence::read(&*exchange)?;
        let now = Timestamp::now();
        let mut rules = BTreeMap::new();
        let mut requests = Vec::new();
        for found in exchange.list("request")? {
            let Ok(request) = verify_request(&found.envelope, catalogue.id()) else {
                output.note(format_args!("note: {} is not signed by its author", found.path.display()));
                continue;
            };
            let checkpoint = &request.predicate.checkpoint;
            if self.checkpoint.as_ref().is_some_and(|wanted| wanted != checkpoint) {
                continue;
            }
            let rules =
                rules.entry(checkpoint.clone()).or_insert_with(|| catalogue.rules_in_force(checkpoint));
            let state = match rules {
                Ok(rules) => state_of(&request, &evidence, rules, now),
                Err(error) => State::Outdated { reason: error.to_string() },
            };
            if !self.pending || matches!(state, State::Pending { .. }) {
                requests.push((request, state));
            }
        }
        requests.sort_by_key(|(request, _)| request.predicate.created);
        let mut text = String::new();
        for (request, state) in &requests {
            let asked = &request.predicate;
            writeln!(
                text,
                "{}  {}  {:16} {}, {} days: {state}",
                registry::short_digest(request.digest()),
                asked.created.date(),
                asked.checkpoint.to_string(),
                asked.card.name,
                asked.days,
            )?;
        }
        if requests.is_empty() {
            text.push_str("no requests\n");
        }
        let value: Vec<_> = requests
            .iter()
            .map(|(request, state)| {
                json!({ "digest": request.digest(), "request": request.predicate, "status": state })
            })
            .collect();
        output.result(&value, text)
    }
}
