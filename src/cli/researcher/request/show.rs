//! `portcullis request show`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::queue::{self, Names};
use crate::access::{Evidence, state_of, verify_request};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::people::{self, People};
use crate::cli::registry;
use crate::time::Timestamp;

/// Show a request: who asks, what for, and how it stands
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// The first digits of the request's digest
    request: String,
}

impl Show {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let exchange = registry::statements(home, output)?;
        let found = exchange.find("request", &self.request)?;
        let catalogue = registry::catalogue(home, output)?;
        let request = verify_request(&found.envelope, catalogue.id())?;
        let asked = &request.predicate;
        let rules = catalogue.rules_in_force(&asked.checkpoint)?;
        let state =
            state_of(&request, &Evidence::about(&*exchange, request.digest())?, &rules, Timestamp::now());
        let holders = asked.holders()?;
        let affiliations = people::affiliations(&*exchange, &holders, &rules)?;
        let people = People::known(&holders, &rules, &affiliations, Timestamp::now());
        let organization =
            people.organization(&asked.card).map(|words| format!(", {words}")).unwrap_or_default();
        let uses: Vec<_> = asked.uses.iter().map(ToString::to_string).collect();
        let mut text = String::new();
        writeln!(text, "{state}")?;
        writeln!(text, "  request      {}", request.digest())?;
        writeln!(text, "  checkpoint   {} in stage `{}`", asked.checkpoint, rules.stage)?;
        writeln!(text, "  who          {}{organization}", asked.card.name)?;
        writeln!(text, "  key id       {}", asked.card.verifying_key.id())?;
        for member in holders.iter().skip(1) {
            let organization =
                people.organization(member).map(|words| format!(", {words}")).unwrap_or_default();
            let key = member.verifying_key.id();
            writeln!(text, "  and          {}{organization}, key id {key}", member.name)?;
        }
        writeln!(
            text,
            "  uses         {}",
            if uses.is_empty() { "any".to_owned() } else { uses.join(", ") }
        )?;
        writeln!(text, "  days         {}", asked.days)?;
        writeln!(text, "  agreement    {}", if asked.agreement.is_some() { "accepted" } else { "none" })?;
        writeln!(text, "  asked        {}", asked.created)?;
        writeln!(text, "  purpose      {}", asked.purpose.quoted(15))?;
        let standing = match home.address()? {
            Some(address) => Some(registry::remote(home, &address, output)?.standing(request.digest())?),
            None => None,
        };
        if let Some(standing) = &standing {
            let author = (asked.card.verifying_key.id(), asked.card.name.to_string());
            text.push_str(&queue::describe(standing, &Names { catalogue: &catalogue, author }));
        }
        let value = json!({
            "digest": request.digest(), "request": asked, "status": state, "standing": standing,
            "confirmed": people.confirmed_json(&asked.card),
        });
        output.result(&value, text)
    }
}
