//! What a board should look at first: findings, actions against a policy, and waiting requests.

use super::Report;
use super::text::{count, counted};

/// Maximum number of checkpoints named in a line.
const MAX_NAMES: usize = 5;

/// The lines, the most severe first; empty if nothing needs attention.
pub(super) fn attention(report: &Report) -> Vec<String> {
    [findings(report), open_cases(report), appeals(report), waiting(report), list_silent_grants(report)]
        .into_iter()
        .flatten()
        .collect()
}

fn findings(report: &Report) -> Option<String> {
    let found = report.verification.finding_count;
    (found > 0).then(|| format!("The record is not valid: {}.", counted(found, "finding")))
}

fn cases(report: &Report, outcome: &str) -> Option<(u64, String)> {
    let mut cases = report.cases.iter().filter(|row| row.outcome == outcome).peekable();
    // The oldest is first.
    let oldest = cases.peek()?.opened.date();
    Some((cases.count() as u64, oldest))
}

fn open_cases(report: &Report) -> Option<String> {
    let (open, oldest) = cases(report, "open")?;
    let (are, it) = if open == 1 { ("waits", "it is") } else { ("wait", "the oldest is") };
    Some(format!("{} of misuse {are} for a decision; {it} of {oldest}.", counted(open, "case")))
}

fn appeals(report: &Report) -> Option<String> {
    let (open, oldest) = cases(report, "appealed")?;
    let (wait, it) = if open == 1 { ("waits", "its case is") } else { ("wait", "the oldest case is") };
    Some(format!("{} {wait} for a decision; {it} of {oldest}.", counted(open, "appeal")))
}

fn waiting(report: &Report) -> Option<String> {
    let rows: Vec<_> = report.requests.iter().filter(|row| row.pending > 0).collect();
    let all: u64 = rows.iter().map(|row| row.pending).sum();
    if all == 0 {
        return None;
    }
    let mut names: Vec<_> = rows
        .iter()
        .take(MAX_NAMES)
        .map(|row| format!("{} ({})", row.checkpoint, count(row.pending)))
        .collect();
    if rows.len() > MAX_NAMES {
        names.push(format!("{} more", counted((rows.len() - MAX_NAMES) as u64, "checkpoint")));
    }
    let wait = if all == 1 { "waits" } else { "wait" };
    Some(format!("{} {wait} for an answer: {}.", counted(all, "request"), names.join(", ")))
}

fn list_silent_grants(report: &Report) -> Option<String> {
    let silent = report.holdings.iter().filter(|row| row.is_silent).count() as u64;
    let were = if silent == 1 { "was" } else { "were" };
    (silent > 0).then(|| {
        format!(
            "{} {were} leased more than once, and no usage under it was synced.",
            counted(silent, "grant")
        )
    })
}
