//! `portcullis audit report` for a member of a board: what the registry shows them of the checkpoints that they decide on.
//!
//! Every list that is read goes through the registry's gate, which puts the reading on the record. What is listed is verified one by one;
//! nothing is proved of the record as a whole, which is for auditors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::access::{Denial, Revocation, RulesInForce, Statements, verify_denial, verify_revocation};
use crate::cli::files;
use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::cli::page::Page;
use crate::cli::people::{fingerprint, person};
use crate::cli::registry;
use crate::cli::researcher::grant::list as grants;
use crate::cli::researcher::request::list as requests;
use crate::cli::table::{Cell, Fit, Table, Tone};
use crate::client::Catalogue;
use crate::digest::Sha256Digest;
use crate::identity::{Card, VerifyingKey};
use crate::misuse::{Case, CaseStep, RuleId, Standing, verify_case, verify_step};
use crate::name::CheckpointId;
use crate::statement::Predicate as _;
use crate::time::Timestamp;

/// The checkpoints that a person decides on, with the rules in force.
pub(super) type Boards = BTreeMap<CheckpointId, RulesInForce>;

/// The checkpoints on whose boards a person sits.
pub(super) fn boards_of(catalogue: &Catalogue, card: &Card) -> Boards {
    let in_force = catalogue.checkpoints().filter_map(|name| catalogue.rules_in_force(name).ok());
    let decided = in_force.filter(|rules| rules.deciders().keys().contains(&card.verifying_key));
    decided.map(|rules| (rules.checkpoint.clone(), rules)).collect()
}

/// Of whom, and of when.
pub(super) struct BoardReport<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) boards: Boards,
    /// The first instant, if it is not the first of all.
    pub(super) from: Option<Timestamp>,
    /// The end, exclusive.
    pub(super) to: Timestamp,
}

/// A denial or a revocation.
struct Decision {
    at: Timestamp,
    what: &'static str,
    checkpoint: CheckpointId,
    person: String,
    by: String,
    reason: String,
}

/// What was read, of these boards alone.
struct Findings {
    requests: Vec<requests::Standing>,
    grants: Vec<grants::Standing>,
    decisions: Vec<Decision>,
    cases: Vec<(Sha256Digest, CheckpointId, Case, Standing)>,
}

impl BoardReport<'_> {
    /// Reads everything and writes it to standard output, or to a file.
    pub(super) fn run(&self, home: &Home, target: Option<PathBuf>, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let found = self.read(home, now, output)?;
        let (value, page) = (self.json(&found), self.page(&found, now));
        let Some(path) = target else { return output.page(&value, &page) };
        let text = match output.is_json() {
            true => serde_json::to_string_pretty(&value)? + "\n",
            false => console::strip_ansi_codes(page.text()).into_owned(),
        };
        files::write(&path, text.as_bytes())?;
        output.result(&json!({ "path": shown(&path) }), format_args!("wrote {}\n", path.display()))
    }

    fn is_within(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && at < self.to
    }

    fn read(&self, home: &Home, now: Timestamp, output: Output) -> anyhow::Result<Findings> {
        let statements = registry::statements(home, output)?;
        let mut requests = requests::standings(&*statements, self.catalogue, now, output)?;
        requests.retain(|(request, _)| self.boards.contains_key(&request.predicate.checkpoint));
        let mut grants = grants::standings(&*statements, self.catalogue, now)?;
        grants.retain(|grant| self.boards.contains_key(&grant.claim.predicate.checkpoint));
        let mut decisions = self.denials(&*statements, &requests)?;
        decisions.extend(self.revocations(&*statements, &grants)?);
        decisions.retain(|decision| self.is_within(decision.at));
        decisions.sort_by_key(|decision| decision.at);
        let cases = self.cases(&*statements, &grants)?;
        requests.retain(|(request, _)| self.is_within(request.predicate.created));
        grants.retain(|grant| {
            let grant = &grant.claim.predicate;
            grant.issued < self.to && self.from.is_none_or(|from| grant.expires >= from)
        });
        Ok(Findings { requests, grants, decisions, cases })
    }

    fn denials(
        &self,
        statements: &dyn Statements,
        requests: &[requests::Standing],
    ) -> anyhow::Result<Vec<Decision>> {
        let mut decisions = Vec::new();
        for found in statements.list(Denial::KIND)? {
            let Ok(claim) = found.envelope.claim::<Denial>() else { continue };
            let asked = requests.iter().find(|(request, _)| request.digest() == claim.predicate.request);
            let Some((asked, _)) = asked else { continue };
            let Some(rules) = self.boards.get(&asked.predicate.checkpoint) else { continue };
            let Ok(denial) = verify_denial(&found.envelope, asked.digest(), rules) else { continue };
            decisions.push(Decision {
                at: denial.created,
                what: "denied",
                checkpoint: rules.checkpoint.clone(),
                person: describe_person(&asked.predicate.card),
                by: self.names(denial.signers()),
                reason: denial.reason.to_string(),
            });
        }
        Ok(decisions)
    }

    fn revocations(
        &self,
        statements: &dyn Statements,
        grants: &[grants::Standing],
    ) -> anyhow::Result<Vec<Decision>> {
        let mut decisions = Vec::new();
        for found in statements.list(Revocation::KIND)? {
            let Ok(claim) = found.envelope.claim::<Revocation>() else { continue };
            let grant = grants.iter().find(|grant| grant.found.digest == claim.predicate.grant);
            let Some(grant) = grant.map(|grant| &grant.claim.predicate) else { continue };
            let Some(rules) = self.boards.get(&grant.checkpoint) else { continue };
            let Ok(revocation) = verify_revocation(&found.envelope, rules) else { continue };
            decisions.push(Decision {
                at: revocation.created,
                what: "revoked",
                checkpoint: rules.checkpoint.clone(),
                person: describe_person(&grant.researcher),
                by: self.names(revocation.signers()),
                reason: revocation.reason.to_string(),
            });
        }
        Ok(decisions)
    }

    fn cases(
        &self,
        statements: &dyn Statements,
        grants: &[grants::Standing],
    ) -> anyhow::Result<Vec<(Sha256Digest, CheckpointId, Case, Standing)>> {
        let mut cases = Vec::new();
        for found in statements.list(Case::KIND)? {
            let checkpoint =
                found.envelope.claim::<Case>().ok().and_then(|case| case.subject.name.parse().ok());
            let Some((checkpoint, rules)) = checkpoint.and_then(|name| self.boards.get_key_value(&name))
            else {
                continue;
            };
            let Ok(case) = verify_case(&found.envelope, rules) else { continue };
            let case = case.into_inner().predicate;
            if case.created >= self.to {
                continue;
            }
            let grant = grants.iter().find(|grant| grant.found.digest == case.grant);
            let holder = grant.map(|grant| grant.claim.predicate.researcher.verifying_key);
            let mut standing = Standing::default();
            for step in statements.about(CaseStep::KIND, found.digest)? {
                let step = holder.map(|holder| verify_step(&step.envelope, &holder, rules));
                if let Some(Ok(step)) = step {
                    standing.take(&step);
                }
            }
            cases.push((found.digest, checkpoint.clone(), case, standing));
        }
        cases.sort_by_key(|(_, _, case, _)| case.created);
        Ok(cases)
    }

    /// Keys by the names on their cards.
    fn names<'k>(&self, keys: impl IntoIterator<Item = &'k VerifyingKey>) -> String {
        let names: Vec<_> = keys.into_iter().map(|key| self.catalogue.name_of(key)).collect();
        names.join(", ")
    }

    fn page(&self, found: &Findings, now: Timestamp) -> Page {
        let names: Vec<_> = self.boards.keys().map(ToString::to_string).collect();
        let from = self.from.map(|from| format!("from {} ", from.date())).unwrap_or_default();
        let mut page = Page::new();
        page.line(format_args!("Report for the boards of {} {from}to {}", names.join(", "), self.to.date()));
        page.line(
            "  as the registry shows it, with each statement verified; only an auditor can verify the whole record",
        );
        page.gap();
        page.table_or(&requests::table(&found.requests, now), "no requests");
        page.gap();
        page.table_or(&grants::table(&found.grants, now), "no grants");
        page.gap();
        page.table_or(&decisions(&found.decisions), "nothing was denied or revoked");
        page.gap();
        page.table_or(&cases(found), "no cases");
        page
    }

    fn json(&self, found: &Findings) -> Value {
        let requests = found.requests.iter().map(|(request, state)| {
            json!({ "digest": request.digest(), "request": request.predicate, "status": state })
        });
        let decisions = found.decisions.iter().map(|decision| {
            let Decision { at, what, checkpoint, person, by, reason } = decision;
            json!({ "at": at, "decision": what, "checkpoint": checkpoint, "person": person, "by": by, "reason": reason })
        });
        let cases = found.cases.iter().map(|(digest, checkpoint, case, standing)| {
            json!({ "digest": digest, "checkpoint": checkpoint, "case": case, "standing": standing })
        });
        json!({
            "boards": self.boards.keys().collect::<Vec<_>>(), "from": self.from, "to": self.to,
            "requests": requests.collect::<Vec<_>>(),
            "grants": found.grants.iter().map(grants::to_json).collect::<Vec<_>>(),
            "decisions": decisions.collect::<Vec<_>>(), "cases": cases.collect::<Vec<_>>(),
        })
    }
}

fn describe_person(card: &Card) -> String {
    person(&card.name, card.verifying_key.id())
}

fn decisions(decisions: &[Decision]) -> Table<6> {
    let mut table = Table::new([
        ("DATE", Fit::Whole),
        ("DECISION", Fit::Whole),
        ("CHECKPOINT", Fit::Cut),
        ("PERSON", Fit::Cut),
        ("BY", Fit::Cut),
        ("REASON", Fit::Cut),
    ]);
    for Decision { at, what, checkpoint, person, by, reason } in decisions {
        table.row([
            Cell::new(at.date()),
            Cell::new(what).with_tone(Tone::Bad),
            Cell::new(checkpoint),
            Cell::new(person),
            Cell::new(by),
            Cell::new(reason),
        ]);
    }
    table
}

fn cases(found: &Findings) -> Table<6> {
    let mut table = Table::new([
        ("CASE", Fit::Whole),
        ("OPENED", Fit::Whole),
        ("STATE", Fit::Whole),
        ("CHECKPOINT", Fit::Cut),
        ("PERSON", Fit::Cut),
        ("REASON", Fit::Cut),
    ]);
    for (digest, checkpoint, case, standing) in &found.cases {
        let grant = found.grants.iter().find(|grant| grant.found.digest == case.grant);
        let who = grant.map(|grant| describe_person(&grant.claim.predicate.researcher));
        let is_open = matches!(standing.word(), "open" | "appealed");
        table.row([
            Cell::new(registry::short_digest(*digest)),
            Cell::new(case.created.date()),
            Cell::new(standing.word()).with_tone(if is_open { Tone::Waits } else { Tone::Faint }),
            Cell::new(checkpoint),
            Cell::new(who.unwrap_or_else(|| format!("key {}", fingerprint(case.person)))),
            Cell::new(if case.rules.is_empty() {
                case.reason.to_string()
            } else {
                RuleId::list(&case.rules)
            }),
        ]);
    }
    table
}
