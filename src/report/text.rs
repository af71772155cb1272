//! Reports and verifications as text.

use std::fmt::Write as _;

use super::summary::Usage;
use super::{Report, Verification};
use crate::visible::one_line;

/// Rows of a table that are shown in text; the other formats have all of them.
const MOST_ROWS: usize = 20;

/// A verification in words.
pub fn verification_text(verification: &Verification) -> String {
    let Verification {
        log,
        entries,
        root,
        witnesses,
        proved,
        findings,
        finding_count,
        remarks,
        unproved,
        ..
    } = verification;
    let mut text = String::new();
    let verdict = if verification.holds() { "the record holds" } else { "the record does NOT hold" };
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "{verdict}: {entries} entries of {log}\n  root       {root}");
    if !witnesses.is_empty() {
        let _ = writeln!(text, "  witnesses  {}", witnesses.join(", "));
    }
    for (title, lines) in [("proved", proved), ("not proved", unproved)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "{title}:");
            for line in lines {
                let _ = writeln!(text, "  - {line}");
            }
        }
    }
    if !remarks.is_empty() {
        let _ = writeln!(text, "overruled by a board:");
        for remark in remarks.iter().take(MOST_ROWS) {
            let place = remark.entry.map(|entry| format!("entry {entry}: ")).unwrap_or_default();
            let _ = writeln!(text, "  * {place}{}", remark.what);
        }
    }
    if !findings.is_empty() {
        let _ = writeln!(text, "found:");
        for finding in findings.iter().take(MOST_ROWS) {
            let place = finding.entry.map(|entry| format!("entry {entry}: ")).unwrap_or_default();
            let _ = writeln!(text, "  ! {place}{}", one_line(&finding.what));
        }
        let more = finding_count.saturating_sub(findings.len().min(MOST_ROWS) as u64);
        if more > 0 {
            let _ = writeln!(text, "  … and {more} more: --json has them");
        }
    }
    text
}

/// A report in words.
pub fn report_text(report: &Report) -> String {
    let mut text = format!("Report from {} to {}\n\n", report.from.date(), report.to.date());
    text.push_str(&verification_text(&report.verification));
    table(
        &mut text,
        "Stages entered",
        report
            .releases
            .iter()
            .map(|row| format!("{}  {:<14} {}", row.at.date(), row.checkpoint, row.marked())),
    );
    table(&mut text, "Requests", report.requests.iter().map(|row| {
        format!(
            "{:<14} {} asked, {} granted, {} denied, {} withdrawn, {} waiting; half decided within {}, nine of ten within {}",
            row.checkpoint, row.asked, row.granted, row.denied, row.withdrawn, row.pending,
            duration(row.median_seconds), duration(row.p90_seconds),
        )
    }));
    let holds = report.holdings.iter().filter(|row| row.state == "holds").count();
    let _ = writeln!(text, "\nGrants: {holds} hold, {} ended in the period", report.holdings.len() - holds);
    for row in report.holdings.iter().filter(|row| row.state == "holds").take(MOST_ROWS) {
        let _ = writeln!(text, "  {:<14} {:<30} until {}", row.checkpoint, row.person, row.until.date());
    }
    usage_and_cases(&mut text, report);
    text
}

fn usage_and_cases(text: &mut String, report: &Report) {
    for (title, rows) in [
        ("Usage by checkpoint", &report.usage_by_checkpoint),
        ("Usage by person", &report.usage_by_person),
        ("Usage by purpose", &report.usage_by_purpose),
    ] {
        table(text, title, rows.iter().map(usage));
    }
    table(
        text,
        "Cases",
        report.cases.iter().map(|row| {
            format!(
                "{}  {:<14} {:<24} {:<10} {}",
                row.opened.date(),
                row.checkpoint,
                row.person,
                row.outcome,
                row.about
            )
        }),
    );
    table(
        text,
        "Changes of policies",
        report.policies.iter().map(|row| {
            format!(
                "{}  {:<14} version {}: {}",
                row.at.date(),
                row.checkpoint,
                row.version,
                row.changes.join("; ")
            )
        }),
    );
    table(
        text,
        "Read what is private",
        report.readings.iter().map(|(who, count)| format!("{who}: {}", counted(*count, "time"))),
    );
    table(
        text,
        "Erased",
        report
            .erasures
            .iter()
            .map(|row| format!("{}  {} statements: {}", row.at.date(), row.statements, row.reason)),
    );
}

fn table(text: &mut String, title: &str, rows: impl ExactSizeIterator<Item = String>) {
    let count = rows.len();
    if count == 0 {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for row in rows.take(MOST_ROWS) {
        let _ = writeln!(text, "  {}", one_line(&row));
    }
    if count > MOST_ROWS {
        let _ = writeln!(text, "  … and {} more", count - MOST_ROWS);
    }
}

fn usage(row: &Usage) -> String {
    let blocked =
        if row.usage.blocked > 0 { format!(", {} blocked", row.usage.blocked) } else { String::new() };
    let flagged =
        if row.usage.flagged > 0 { format!(", {} flagged", row.usage.flagged) } else { String::new() };
    format!(
        "{:<30} {} in {}{flagged}{blocked}",
        row.name,
        counted(row.usage.tokens, "token"),
        counted(row.usage.generations, "generation")
    )
}

/// A number of things.
fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", count(number)) }
}

/// A number with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds in a word or two.
pub(super) fn duration(seconds: Option<i64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 120 => format!("{seconds} s"),
        Some(seconds) if seconds < 2 * 3600 => format!("{} min", seconds / 60),
        Some(seconds) if seconds < 2 * 24 * 3600 => format!("{} h", seconds / 3600),
        Some(seconds) => format!("{} days", seconds / (24 * 3600)),
    }
}
