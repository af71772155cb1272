//! Requests and their decisions in summary, and what was erased of them.

use std::collections::BTreeMap;

use super::summary::{Decisions, DenialRow, ErasedRow, Month};
use super::{ErasedFact, Facts};
use crate::log::EntryKind;
use crate::time::Timestamp;

pub(super) fn requests(facts: &Facts, within: impl Fn(Timestamp) -> bool) -> Vec<Decisions> {
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
    for erased in erased_within(facts, &within).filter(|erased| erased.kind == EntryKind::Request) {
        let (sum, _) = by.entry(checkpoint_of(erased)).or_default();
        (sum.asked, sum.erased) = (sum.asked + 1, sum.erased + 1);
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

pub(super) fn months(facts: &Facts, within: impl Fn(Timestamp) -> bool) -> Vec<Month> {
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
    for erased in erased_within(facts, &within) {
        let (EntryKind::Request | EntryKind::Grant | EntryKind::Denial) = erased.kind else { continue };
        let sum = by.entry(month(erased.at)).or_default();
        sum.asked += u64::from(erased.kind == EntryKind::Request);
        sum.granted += u64::from(erased.kind == EntryKind::Grant);
        sum.denied += u64::from(erased.kind == EntryKind::Denial);
    }
    for case in facts.cases.values().filter(|case| within(case.at)) {
        by.entry(month(case.at)).or_default().cases += 1;
    }
    by.into_iter().map(|(month, sum)| Month { month, ..sum }).collect()
}

fn erased_within(facts: &Facts, within: impl Fn(Timestamp) -> bool) -> impl Iterator<Item = &ErasedFact> {
    facts.erased.iter().filter(move |erased| within(erased.at))
}

fn checkpoint_of(erased: &ErasedFact) -> String {
    erased.checkpoint.as_ref().map(ToString::to_string).unwrap_or_default()
}

pub(super) fn erased(facts: &Facts, within: impl Fn(Timestamp) -> bool) -> Vec<ErasedRow> {
    let mut by: BTreeMap<(String, EntryKind), u64> = BTreeMap::new();
    for erased in erased_within(facts, within) {
        *by.entry((checkpoint_of(erased), erased.kind)).or_default() += 1;
    }
    by.into_iter().map(|((checkpoint, kind), count)| ErasedRow { checkpoint, kind, count }).collect()
}

/// Denials of the period, the newest first.
pub(super) fn denials(facts: &Facts, within: impl Fn(Timestamp) -> bool) -> Vec<DenialRow> {
    let denied = facts.requests.values().filter_map(|request| match request.answer {
        Some((at, "denied")) if within(at) => Some(DenialRow {
            at,
            checkpoint: request.checkpoint.to_string(),
            person: request.person.clone(),
            reason: request.reason.clone().unwrap_or_default(),
        }),
        _ => None,
    });
    let mut rows: Vec<_> = denied.collect();
    rows.sort_by(|one, two| (two.at, &one.person).cmp(&(one.at, &two.person)));
    rows
}
