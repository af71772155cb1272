//! Facts of a period, summed up for a board.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::attention::attention;
use super::decisions::{denials, erased, months, requests};
use super::{Facts, GrantFact, UsageFact, Verification};
use crate::log::EntryKind;
use crate::misuse::RuleId;
use crate::time::Timestamp;

/// A report about a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What the registry is called on its card.
    pub registry: Option<String>,
    /// Where it is reached, if that is known.
    pub address: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// The period's beginning.
    pub from: Timestamp,
    /// The period's end, exclusive.
    pub to: Timestamp,
    /// The time at which grants are judged: the period's end, or when the report was made, if the period had not ended.
    pub as_of: Timestamp,
    /// What was proved of the record that it rests on.
    pub verification: Verification,
    /// What a board should look at first, in words, the gravest first.
    pub attention: Vec<String>,
    /// The checkpoints, the smallest first; those whose size is not known stand last.
    pub checkpoints: Vec<String>,
    /// Stages that checkpoints entered, ever: what is in force at the end may have begun before the period.
    pub releases: Vec<Release>,
    /// Requests of the period, by checkpoint.
    pub requests: Vec<Decisions>,
    /// Denials of the period, the newest first.
    pub denials: Vec<DenialRow>,
    /// Requests and answers by month.
    pub months: Vec<Month>,
    /// Who holds what at the end of the period, and who held it in the period.
    pub holdings: Vec<Holding>,
    /// Usage by checkpoint.
    pub usage_by_checkpoint: Vec<Usage>,
    /// Usage by person.
    pub usage_by_person: Vec<Usage>,
    /// Usage by purpose: one with several granted uses counts under each.
    pub usage_by_purpose: Vec<Usage>,
    /// Tokens by day and checkpoint.
    pub usage_by_day: Vec<DayUsage>,
    /// Cases that were open in the period.
    pub cases: Vec<CaseRow>,
    /// Changes of policies in the period.
    pub policies: Vec<PolicyRow>,
    /// Reads of private data, and how often, ever.
    pub readings: Vec<(String, u64)>,
    /// Erasures of the period.
    pub erasures: Vec<ErasureRow>,
    /// What came in within the period and was erased since: it can only be counted.
    pub erased: Vec<ErasedRow>,
}

impl Report {
    /// Where a checkpoint stands in the order of sizes.
    pub(super) fn rank(&self, checkpoint: &str) -> usize {
        self.checkpoints.iter().position(|known| known == checkpoint).unwrap_or(usize::MAX)
    }

    /// How many statements of a kind were erased since.
    pub(super) fn erased_of(&self, kind: EntryKind) -> u64 {
        self.erased.iter().filter(|row| row.kind == kind).map(|row| row.count).sum()
    }
}

/// A checkpoint entered a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// When.
    pub at: Timestamp,
    /// Which checkpoint.
    pub checkpoint: String,
    /// Which stage.
    pub stage: String,
    /// Which rules of the policy's pace the board overruled by entering it then, in words.
    pub against: Vec<String>,
}

impl Release {
    /// The stage; marked, if it was entered against the policy.
    pub(super) fn marked_stage(&self) -> String {
        match self.against.as_slice() {
            [] => self.stage.clone(),
            against => format!("{}, against the policy: {}", self.stage, against.join("; ")),
        }
    }
}

/// Requests for one checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Decisions {
    /// Which.
    pub checkpoint: String,
    /// How many came in.
    pub asked: u64,
    /// How many were granted since.
    pub granted: u64,
    /// How many were denied since.
    pub denied: u64,
    /// How many were taken back.
    pub withdrawn: u64,
    /// How many wait.
    pub pending: u64,
    /// How many were erased: how they were answered is not known any more.
    pub erased: u64,
    /// Seconds that half of the decisions took at most.
    pub median_seconds: Option<i64>,
    /// Seconds that nine of ten took at most.
    pub p90_seconds: Option<i64>,
}

/// A request was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DenialRow {
    /// When.
    pub at: Timestamp,
    /// For which checkpoint it was.
    pub checkpoint: String,
    /// Who had asked.
    pub person: String,
    /// Why, in the member's words.
    pub reason: String,
}

/// Requests and answers of a month.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Month {
    /// The month, as `2019-05`.
    pub month: String,
    /// Requests received.
    pub asked: u64,
    /// Answers that granted.
    pub granted: u64,
    /// Answers that denied.
    pub denied: u64,
    /// Cases that were opened.
    pub cases: u64,
}

/// A grant, as a board wants to see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// To whom.
    pub person: String,
    /// Which checkpoint.
    pub checkpoint: String,
    /// Under which stage.
    pub stage: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// `holds`, `expired` or `revoked`, when the report judges.
    pub state: &'static str,
    /// Why it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Leases.
    pub leases: u64,
    /// Tokens, ever.
    pub tokens: u64,
    /// Whether it was leased more than once without usage that came in.
    pub is_silent: bool,
}

/// Usage of one checkpoint, person or purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Whose, or what for.
    pub name: String,
    /// How much.
    #[serde(flatten)]
    pub usage: UsageFact,
}

/// Tokens of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayUsage {
    /// The day.
    pub day: String,
    /// Which checkpoint.
    pub checkpoint: String,
    /// How many.
    pub tokens: u64,
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseRow {
    /// When it was opened.
    pub opened: Timestamp,
    /// Which checkpoint.
    pub checkpoint: String,
    /// About whom.
    pub person: String,
    /// How grave.
    pub severity: crate::misuse::Severity,
    /// The rules that raised it, or what it is about.
    pub about: String,
    /// `open`, `appealed`, or the outcome.
    pub outcome: &'static str,
    /// Days until it was decided.
    pub days: Option<i64>,
}

/// A policy came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyRow {
    /// When.
    pub at: Timestamp,
    /// Of which checkpoint.
    pub checkpoint: String,
    /// Its version.
    pub version: u32,
    /// What it changed, in words.
    pub changes: Vec<String>,
}

/// Statements were erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasureRow {
    /// When.
    pub at: Timestamp,
    /// How many.
    pub statements: u64,
    /// Why.
    pub reason: String,
}

/// Statements of a kind that came in once and were erased since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasedRow {
    /// Of which checkpoint; empty, if they were about none.
    pub checkpoint: String,
    /// What they were.
    pub kind: EntryKind,
    /// How many.
    pub count: u64,
}

/// Sums up the facts of a period.
pub fn summarize(
    facts: &Facts,
    verification: Verification,
    from: Timestamp,
    to: Timestamp,
    created: Timestamp,
) -> Report {
    let within = |at: Timestamp| at >= from && at < to;
    let releases = facts.stages.iter().map(|fact| Release {
        at: fact.at,
        checkpoint: fact.checkpoint.to_string(),
        stage: fact.stage.clone(),
        against: fact.against.clone(),
    });
    let policies = facts.policies.iter().filter(|(at, ..)| within(*at));
    let policies = policies.map(|(at, checkpoint, version, changes)| PolicyRow {
        at: *at,
        checkpoint: checkpoint.to_string(),
        version: *version,
        changes: changes.clone(),
    });
    let erasures = facts.erasures.iter().filter(|(at, ..)| within(*at));
    let erasures = erasures.map(|(at, statements, reason)| ErasureRow {
        at: *at,
        statements: *statements,
        reason: reason.clone(),
    });
    let readings = facts.readings.iter().map(|(reader, count)| {
        (facts.names.get(reader).cloned().unwrap_or_else(|| format!("key {}", reader.short())), *count)
    });
    let mut readings: Vec<_> = readings.collect();
    readings.sort();
    // What is still to come has not ended.
    let as_of = to.min(created);
    let [usage_by_checkpoint, usage_by_person, usage_by_purpose] = usage(facts, within);
    let mut report = Report {
        registry: facts.registry.clone(),
        address: None,
        attention: Vec::new(),
        checkpoints: checkpoints(facts),
        created,
        from,
        to,
        as_of,
        releases: releases.filter(|release| release.at < to).collect(),
        requests: requests(facts, within),
        denials: denials(facts, within),
        months: months(facts, within),
        holdings: holdings(facts, from, to, as_of),
        usage_by_checkpoint,
        usage_by_person,
        usage_by_purpose,
        usage_by_day: by_day(facts, within),
        cases: cases(facts, to),
        policies: policies.collect(),
        readings,
        erasures: erasures.collect(),
        erased: erased(facts, within),
        verification,
    };
    by_size(&mut report);
    report.attention = attention(&report);
    report
}

/// Every checkpoint of the record, the smallest first.
fn checkpoints(facts: &Facts) -> Vec<String> {
    let stages = facts.stages.iter().map(|stage| &stage.checkpoint);
    let all: BTreeSet<_> = stages
        .chain(facts.requests.values().map(|request| &request.checkpoint))
        .chain(facts.grants.values().map(|grant| &grant.checkpoint))
        .chain(facts.erased.iter().filter_map(|erased| erased.checkpoint.as_ref()))
        .collect();
    let mut all: Vec<_> = all.into_iter().collect();
    // Stable: checkpoints of one size stay in the order of their names.
    all.sort_by_key(|checkpoint| facts.sizes.get(*checkpoint).copied().unwrap_or(u64::MAX));
    all.into_iter().map(ToString::to_string).collect()
}

/// Puts every list of checkpoints in the order of their sizes.
fn by_size(report: &mut Report) {
    let checkpoints = std::mem::take(&mut report.checkpoints);
    let rank = |name: &str| checkpoints.iter().position(|known| known == name).unwrap_or(usize::MAX);
    report.requests.sort_by_key(|row| rank(&row.checkpoint));
    report.holdings.sort_by_key(|row| rank(&row.checkpoint));
    report.usage_by_checkpoint.sort_by_key(|row| rank(&row.name));
    report.erased.sort_by_key(|row| rank(&row.checkpoint));
    report.checkpoints = checkpoints;
}

fn state(grant: &GrantFact, to: Timestamp, as_of: Timestamp) -> &'static str {
    match &grant.revoked {
        Some((on, _)) if *on < to => "revoked",
        _ if grant.expires <= as_of => "expired",
        _ => "holds",
    }
}

fn holdings(facts: &Facts, from: Timestamp, to: Timestamp, as_of: Timestamp) -> Vec<Holding> {
    let grants = facts.grants.values().filter(|grant| {
        let ended = grant.revoked.as_ref().map_or(grant.expires, |(on, _)| (*on).min(grant.expires));
        grant.at < to && ended >= from
    });
    let mut holdings: Vec<_> = grants
        .map(|grant| Holding {
            person: grant.person.clone(),
            checkpoint: grant.checkpoint.to_string(),
            stage: grant.stage.clone(),
            since: grant.at,
            until: grant.revoked.as_ref().map_or(grant.expires, |(on, _)| (*on).min(grant.expires)),
            state: state(grant, to, as_of),
            reason: grant.revoked.as_ref().filter(|(on, _)| *on < to).map(|(_, reason)| reason.clone()),
            leases: grant.leases,
            tokens: grant.tokens,
            is_silent: grant.leases > 1 && grant.last_usage.is_none(),
        })
        .collect();
    holdings.sort_by(|one, two| {
        (&one.checkpoint, one.state != "holds", &one.person).cmp(&(
            &two.checkpoint,
            two.state != "holds",
            &two.person,
        ))
    });
    holdings
}

/// By checkpoint, by person, by purpose; each the most tokens first.
fn usage(facts: &Facts, within: impl Fn(Timestamp) -> bool) -> [Vec<Usage>; 3] {
    let mut sums: [BTreeMap<String, UsageFact>; 3] = Default::default();
    for ((checkpoint, grant, day), usage) in &facts.usage {
        if !day_within(day, &within) {
            continue;
        }
        let grant = facts.grants.get(grant);
        let person = grant.map_or_else(|| "an erased person".to_owned(), |grant| grant.person.clone());
        let purposes = grant.map_or_else(Vec::new, |grant| grant.uses.clone());
        add(&mut sums[0], checkpoint.to_string(), usage);
        add(&mut sums[1], person, usage);
        let purposes = if purposes.is_empty() { vec!["not stated".to_owned()] } else { purposes };
        purposes.into_iter().for_each(|purpose| add(&mut sums[2], purpose, usage));
    }
    sums.map(|sums| {
        let mut rows: Vec<_> = sums.into_iter().map(|(name, usage)| Usage { name, usage }).collect();
        rows.sort_by(|one, two| (two.usage.tokens, &one.name).cmp(&(one.usage.tokens, &two.name)));
        rows
    })
}

fn add(sums: &mut BTreeMap<String, UsageFact>, name: String, usage: &UsageFact) {
    let sum = sums.entry(name).or_default();
    sum.generations += usage.generations;
    sum.tokens += usage.tokens;
    sum.blocked += usage.blocked;
    sum.flagged += usage.flagged;
}

/// A day belongs to the period in which it begins.
fn day_within(day: &str, within: impl Fn(Timestamp) -> bool) -> bool {
    format!("{day}T00:00:00Z").parse().is_ok_and(within)
}

fn by_day(facts: &Facts, within: impl Fn(Timestamp) -> bool) -> Vec<DayUsage> {
    let mut sums: BTreeMap<(String, String), u64> = BTreeMap::new();
    for ((checkpoint, _, day), usage) in &facts.usage {
        if day_within(day, &within) {
            *sums.entry((day.clone(), checkpoint.to_string())).or_default() += usage.tokens;
        }
    }
    sums.into_iter().map(|((day, checkpoint), tokens)| DayUsage { day, checkpoint, tokens }).collect()
}

fn cases(facts: &Facts, to: Timestamp) -> Vec<CaseRow> {
    let mut rows: Vec<_> = facts
        .cases
        .values()
        .filter(|case| case.at < to)
        .map(|case| CaseRow {
            opened: case.at,
            checkpoint: case.checkpoint.to_string(),
            person: facts
                .grants
                .get(&case.grant)
                .map_or_else(|| "an erased person".to_owned(), |grant| grant.person.clone()),
            severity: case.severity,
            about: if case.rules.is_empty() { case.reason.clone() } else { RuleId::list(&case.rules) },
            outcome: case.standing.word(),
            days: case.standing.decided.map(|decided| decided.seconds_since(case.at) / (24 * 3600)),
        })
        .collect();
    rows.sort_by_key(|row| row.opened);
    rows
}
