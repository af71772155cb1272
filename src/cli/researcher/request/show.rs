//! `portcullis request show`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::list::tone;
use super::queue;
use crate::access::{
    BoardApprovals, Evidence, Grant, Request, RulesInForce, State, approvals, state_of, verify_request,
};
use crate::api::{ApprovalItem, RequestStanding};
use crate::cli::handovers;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::page::Page;
use crate::cli::people::{self, Names, People, person};
use crate::cli::{registry, resolve};
use crate::client::Catalogue;
use crate::identity::{KeyId, VerifyingKey};
use crate::statement::Envelope;
use crate::time::Timestamp;

/// Show a request: its author, purpose, approvals and state
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// The first digits of the request's digest
    request: String,
}

impl Show {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let exchange = registry::statements(home, output)?;
        let found = resolve::request(&*exchange, &self.request)?;
        let catalogue = registry::catalogue(home, output)?;
        let request = verify_request(&found.envelope, catalogue.id())?;
        let asked = &request.predicate;
        let rules = catalogue.rules_in_force(&asked.checkpoint)?;
        let evidence = Evidence::about(&*exchange, request.digest())?;
        let state = state_of(&request, &evidence, &rules, Timestamp::now());
        let holders = asked.holders()?;
        let affiliations = people::affiliations(&*exchange, &holders, &rules)?;
        let people = People::from_affiliations(&holders, &rules, &affiliations, Timestamp::now());
        let standing = match home.address()? {
            Some(address) => Some(registry::remote(home, &address, output)?.standing(request.digest())?),
            None => None,
        };
        let names = Names { catalogue: &catalogue, author: &asked.card };
        let given = approvals(find_least_approved(&evidence, &state, &rules).as_ref(), &rules);
        let when = standing.as_ref().map(|standing| standing.approvals.as_slice()).unwrap_or_default();

        let mut page = Page::new();
        page.toned_line(tone(&state), &state);
        page.line(describe_request(asked, request.digest(), &rules, &people)?);
        for board in &given {
            page.line(format_args!("  approved     {}", describe_approvals(board, &state, &catalogue, when)));
        }
        let is_barred = standing.as_ref().is_some_and(|standing| !standing.sanctions.is_empty());
        if matches!(&state, State::Pending(tally) if tally.needed == 0)
            && handovers::is_granted_by_registry(&rules)
            && !is_barred
        {
            page.line(format_args!(
                "  waits for    the board, which has not handed over its shares: its members run `{}`",
                handovers::handover_command(&rules.checkpoint)
            ));
        }
        if let Some(standing) = &standing {
            let more = queue::describe(standing, &names);
            if !more.is_empty() {
                page.line(more);
            }
        }
        let given: Vec<_> = given.iter().map(|board| board_json(board, &catalogue, when)).collect();
        let value = json!({
            "digest": request.digest(), "request": asked, "status": state, "approvals": given,
            "standing": standing.as_ref().map(|standing: &RequestStanding| json!(standing)),
            "confirmed": people.confirmed_json(&asked.card),
        });
        output.page(&value, &page)
    }
}

/// What was asked, line by line.
fn describe_request(
    asked: &Request,
    digest: crate::digest::Sha256Digest,
    rules: &RulesInForce,
    people: &People,
) -> anyhow::Result<String> {
    let of = |card| people.organization(card).map(|words| format!(", {words}")).unwrap_or_default();
    let uses: Vec<_> = asked.uses.iter().map(ToString::to_string).collect();
    let mut text = String::new();
    writeln!(text, "  request      {digest}")?;
    writeln!(text, "  checkpoint   {} in stage `{}`", asked.checkpoint, rules.stage)?;
    writeln!(text, "  who          {}{}", asked.card.name, of(&asked.card))?;
    writeln!(text, "  key id       {}", asked.card.verifying_key.id())?;
    for member in asked.holders()?.iter().skip(1) {
        let key = member.verifying_key.id();
        writeln!(text, "  and          {}{}, key id {key}", member.name, of(member))?;
    }
    writeln!(text, "  uses         {}", if uses.is_empty() { "any".to_owned() } else { uses.join(", ") })?;
    writeln!(text, "  days         {}", asked.days)?;
    writeln!(text, "  agreement    {}", if asked.agreement.is_some() { "accepted" } else { "none" })?;
    writeln!(text, "  asked        {}", asked.created)?;
    writeln!(text, "  purpose      {}", asked.purpose.quoted(15))?;
    Ok(text)
}

/// Of the grants that answer a request, one for each person, the one that lacks the most. While it is pending, signatures under an earlier
/// policy count for nothing.
fn find_least_approved(evidence: &Evidence, state: &State, rules: &RulesInForce) -> Option<Envelope> {
    let mut best = std::collections::BTreeMap::new();
    for found in &evidence.grants {
        let Ok(claim) = found.envelope.claim::<Grant>() else { continue };
        if matches!(state, State::Pending(_)) && claim.predicate.policy != rules.policy_digest {
            continue;
        }
        let holder = claim.predicate.researcher.verifying_key.id();
        let missing: usize = approvals(Some(&found.envelope), rules).iter().map(|board| board.missing).sum();
        let known = best.entry(holder).or_insert((missing, found));
        if missing < known.0 {
            *known = (missing, found);
        }
    }
    best.into_values().max_by_key(|(missing, _)| *missing).map(|(_, found)| found.envelope.clone())
}

/// `board, 2 needed: ada (3f2a9c81) on 2026-06-30T00:00:00Z; 1 more of ben (…), cy (…)`.
fn describe_approvals(
    board: &BoardApprovals,
    state: &State,
    catalogue: &Catalogue,
    when: &[ApprovalItem],
) -> String {
    let called = |key: &VerifyingKey| person(catalogue.name_of(key), key.id());
    let mut signed: Vec<_> =
        board.signed.iter().map(|key| (signed_at(key.id(), when), called(key))).collect();
    signed.sort();
    let signed: Vec<_> = signed
        .iter()
        .map(|(at, who)| format!("{who}{}", at.map(|at| format!(" on {at}")).unwrap_or_default()))
        .collect();
    let by = if signed.is_empty() { "none yet".to_owned() } else { signed.join(", ") };
    let missing = match (board.missing, state) {
        (missing @ 1.., State::Pending(_)) => {
            let mut open: Vec<_> = board.open.iter().map(called).collect();
            open.sort();
            format!("; {missing} more of {}", open.join(", "))
        }
        _ => String::new(),
    };
    format!("{}, {} needed: {by}{missing}", board.board, board.needed)
}

/// When a member's first signature of a grant arrived, by the registry's clock.
fn signed_at(key: KeyId, when: &[ApprovalItem]) -> Option<Timestamp> {
    when.iter().filter(|item| item.signer == key).map(|item| item.at).min()
}

fn board_json(board: &BoardApprovals, catalogue: &Catalogue, when: &[ApprovalItem]) -> Value {
    let signed = board.signed.iter().map(
        |key| json!({ "key_id": key.id(), "name": catalogue.name_of(key), "at": signed_at(key.id(), when) }),
    );
    let open = board.open.iter().map(|key| json!({ "key_id": key.id(), "name": catalogue.name_of(key) }));
    json!({
        "board": board.board, "needed": board.needed, "missing": board.missing,
        "signed": signed.collect::<Vec<_>>(), "open": open.collect::<Vec<_>>(),
    })
}
