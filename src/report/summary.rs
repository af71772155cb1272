//! Facts of a period, summed up for a board.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Facts, GrantFact, UsageFact, Verification};
use crate::misuse::RuleId;
use crate::time::Timestamp;

/// A report about a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// When it was made.
    pub created: Timestamp,
    /// The period's beginning.
    pub from: Timestamp,
    /// The period's end, exclusive.
    pub to: Timestamp,
    /// What was proved of the record that it rests on.
    pub verification: Verification,
    /// Stages that checkpoints entered, ever: what is in force at the end may have begun before the period.
    pub releases: Vec<Release>,
    /// Requests of the period, by checkpoint.
    pub requests: Vec<Decisions>,
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
    /// Who read what is private, and how often, ever.
    pub readings: Vec<(String, u64)>,
    /// Erasures of the period.
    pub erasures: Vec<ErasureRow>,
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
    pub(super) fn marked(&self) -> String {
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
    /// Seconds that half of the decisions took at most.
    pub median_seconds: Option<i64>,
    /// Seconds that nine of ten took at most.
    pub p90_seconds: Option<i64>,
}

/// Requests and answers of a month.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Month {
    /// The month, as `2019-05`.
    pub month: String,
    /// Requests that came in.
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
    /// `holds`, `expired` or `revoked`, at the end of the period.
    pub state: &'static str,
    /// Leases.
    pub leases: u64,
    /// Tokens, ever.
    pub tokens: u64,
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

/// Sums up the facts of a period.
pub fn summarize(
    facts: &Facts,
    verification: Verification,
    (from, to): (Timestamp, Timestamp),
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
    let [usage_by_checkpoint, usage_by_person, usage_by_purpose] = usage(facts, within);
    Report {
        created,
        from,
        to,
        releases: releases.filter(|release| release.at < to).collect(),
        requests: requests(facts, within),
        months: months(facts, within),
        holdings: holdings(facts, (from, to)),
        usage_by_checkpoint,
        usage_by_person,
        usage_by_purpose,
        usage_by_day: by_day(facts, within),
        cases: cases(facts, to),
        policies: policies.collect(),
        readings,
        erasures: erasures.collect(),
        verification,
    }
}

fn requests(facts: &Facts, within: impl Fn(Timestamp) -> bool) -> Vec<Decisions> {
    let mut by: BTreeMap<String, (Decisions, Vec<i64>)> = BTreeMap::new();
    for request in facts.requests.values().filter(|request| within(request.at)) {
        let (sum, times) = by.entry(request.checkpoint.to_string()).or_default();
        sum.asked += 1;
        match request.answer {
            None => sum.pending += 1,
            Some((_, "withdrawn")) => sum.withdrawn += 1,
            Some((at, answer)) => {
                if answer == "granted" {
                    sum.granted += 1
                } else {
                    sum.denied += 1
                }
                times.push(at.seconds_since(request.at));
            }
        }
    }
    let summed = by.into_iter().map(|(checkpoint, (mut sum, mut times))| {
        times.sort_unstable();
        // Nearest rank.
        let rank = |part: usize| times.get((times.len() * part).div_ceil(100).saturating_sub(1)).copied();
        (sum.checkpoint, sum.median_seconds, sum.p90_seconds) = (checkpoint, rank(50), rank(90));
        sum
    });
    summed.collect()
}

fn month(at: Timestamp) -> String {
    at.date().chars().take(7).collect()
}

fn months(facts: &Facts, within: impl Fn(Timestamp) -> bool) -> Vec<Month> {
    let mut by: BTreeMap<String, Month> = BTreeMap::new();
    for request in facts.requests.values() {
        if within(request.at) {
            by.entry(month(request.at)).or_default().asked += 1;
        }
        match request.answer.filter(|(at, _)| within(*at)) {
            Some((at, "granted")) => by.entry(month(at)).or_default().granted += 1,
            Some((at, "denied")) => by.entry(month(at)).or_default().denied += 1,
            _ => {}
        }
    }
    for case in facts.cases.values().filter(|case| within(case.at)) {
        by.entry(month(case.at)).or_default().cases += 1;
    }
    by.into_iter().map(|(month, sum)| Month { month, ..sum }).collect()
}

fn state(grant: &GrantFact, at: Timestamp) -> &'static str {
    match &grant.revoked {
        Some((on, _)) if *on < at => "revoked",
        _ if grant.expires <= at => "expired",
        _ => "holds",
    }
}

fn holdings(facts: &Facts, (from, to): (Timestamp, Timestamp)) -> Vec<Holding> {
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
            state: state(grant, to),
            leases: grant.leases,
            tokens: grant.tokens,
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
        let person = grant.map_or_else(|| "somebody who was erased".to_owned(), |grant| grant.person.clone());
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
                .map_or_else(|| "somebody who was erased".to_owned(), |grant| grant.person.clone()),
            severity: case.severity,
            about: if case.rules.is_empty() { case.reason.clone() } else { RuleId::list(&case.rules) },
            outcome: case.standing.word(),
            days: case.standing.decided.map(|decided| decided.seconds_since(case.at) / (24 * 3600)),
        })
        .collect();
    rows.sort_by_key(|row| row.opened);
    rows
}
