//! Reports and verifications as text.

use std::fmt::Write as _;

use super::summary::{ErasedRow, Usage};
use super::{Report, Verification};
use crate::log::EntryKind;
use crate::time::Timestamp;
use crate::visible::{one_line, one_row};

/// Maximum rows of a table in text; the other formats have all rows.
const MAX_ROWS: usize = 20;

/// A verification as text.
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
        void,
        unproved,
        ..
    } = verification;
    let mut text = String::new();
    let verdict = if verification.holds() { "the record is valid" } else { "the record is NOT valid" };
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "{verdict}: {} of {log}\n  root       {root}", counted(*entries, "entry"));
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
    for (title, noted) in [("overruled by a board", remarks), ("of no effect", void)] {
        if !noted.is_empty() {
            let _ = writeln!(text, "{title}:");
        }
        for noted in noted.iter().take(MAX_ROWS) {
            let place = noted.entry.map(|entry| format!("entry {entry}: ")).unwrap_or_default();
            let _ = writeln!(text, "  * {place}{}", one_line(&noted.what));
        }
    }
    if !findings.is_empty() {
        let _ = writeln!(text, "found:");
        for finding in findings.iter().take(MAX_ROWS) {
            let place = finding.entry.map(|entry| format!("entry {entry}: ")).unwrap_or_default();
            let _ = writeln!(text, "  ! {place}{}", one_line(&finding.what));
        }
        let more = finding_count.saturating_sub(findings.len().min(MAX_ROWS) as u64);
        if more > 0 {
            let _ = writeln!(text, "  … and {more} more: --json has them");
        }
    }
    text
}

/// A report as text.
pub fn report_text(report: &Report) -> String {
    let name = report.registry.as_deref().unwrap_or("an unnamed registry");
    let address = report.address.as_ref().map(|address| format!(" ({address})")).unwrap_or_default();
    let mut text =
        format!("Report of {name}{address} from {} to {}\n\n", report.from.date(), report.to.date());
    if !report.attention.is_empty() {
        text.push_str("needs attention:\n");
        for line in &report.attention {
            let _ = writeln!(text, "  - {}", one_line(line));
        }
        text.push('\n');
    }
    text.push_str(&verification_text(&report.verification));
    table(
        &mut text,
        "Stages entered",
        report
            .releases
            .iter()
            .map(|row| format!("{}  {:<14} {}", row.at.date(), row.checkpoint, row.marked_stage())),
    );
    table(
        &mut text,
        "Requests",
        report.requests.iter().map(|row| {
            let erased = if row.erased > 0 { format!(", {} erased", row.erased) } else { String::new() };
            let pace = match row.median_seconds {
                None => String::new(),
                median => format!(
                    "; half decided within {}, nine of ten within {}",
                    duration(median),
                    duration(row.p90_seconds)
                ),
            };
            format!(
                "{:<14} {} asked, {} granted, {} denied, {} withdrawn, {} waiting{erased}{pace}",
                row.checkpoint, row.asked, row.granted, row.denied, row.withdrawn, row.pending,
            )
        }),
    );
    let holds = report.holdings.iter().filter(|row| row.state == "holds").count();
    let ended = report.holdings.len() - holds;
    let erased = match report.erased_of(EntryKind::Grant) {
        0 => String::new(),
        erased => format!(", {erased} erased"),
    };
    let _ = writeln!(text, "\nGrants: {holds} hold, {ended} ended in the period{erased}");
    for row in report.holdings.iter().filter(|row| row.state == "holds").take(MAX_ROWS) {
        let _ = writeln!(text, "  {:<14} {:<30} until {}", row.checkpoint, row.person, row.until.date());
    }
    reasons(&mut text, report);
    usage_and_cases(&mut text, report);
    text
}

fn reasons(text: &mut String, report: &Report) {
    let denials =
        report.denials.iter().map(|row| (row.at, &row.checkpoint, &row.person, row.reason.as_str()));
    let revoked: Vec<_> = report.holdings.iter().filter(|row| row.state == "revoked").collect();
    let revoked = revoked
        .iter()
        .map(|row| (row.until, &row.checkpoint, &row.person, row.reason.as_deref().unwrap_or_default()));
    let line = |(at, checkpoint, person, reason): (Timestamp, &String, &String, &str)| {
        format!("{}  {checkpoint:<14} {:<24} {}", at.date(), one_line(person), one_line(reason))
    };
    table(text, "Denied", denials.map(line));
    table(text, "Revoked", revoked.map(line));
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
        "Reads of private data",
        report.readings.iter().map(|(who, count)| format!("{who}: {}", counted(*count, "time"))),
    );
    table(
        text,
        "Erased",
        report.erasures.iter().map(|row| {
            format!("{}  {}: {}", row.at.date(), counted(row.statements, "statement"), row.reason)
        }),
    );
    table(
        text,
        "Erased since it was received: only counts are left",
        erased_words(&report.erased)
            .into_iter()
            .map(|(checkpoint, words)| format!("{checkpoint:<14} {words}")),
    );
}

fn table(text: &mut String, title: &str, rows: impl ExactSizeIterator<Item = String>) {
    let count = rows.len();
    if count == 0 {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for row in rows.take(MAX_ROWS) {
        let _ = writeln!(text, "  {}", one_row(&row));
    }
    if count > MAX_ROWS {
        let _ = writeln!(text, "  … and {} more", count - MAX_ROWS);
    }
}

/// Erased statements, in a line per checkpoint.
pub(super) fn erased_words(rows: &[ErasedRow]) -> Vec<(&str, String)> {
    let of = |checkpoint: &str| {
        let rows = rows.iter().filter(|row| row.checkpoint == checkpoint);
        rows.map(|row| counted(row.count, noun(row.kind))).collect::<Vec<_>>().join(", ")
    };
    let mut checkpoints: Vec<&str> = rows.iter().map(|row| row.checkpoint.as_str()).collect();
    checkpoints.dedup();
    let named = checkpoints.into_iter().map(|checkpoint| match checkpoint {
        "" => ("(of several)", of(checkpoint)),
        checkpoint => (checkpoint, of(checkpoint)),
    });
    named.collect()
}

/// The noun for what an entry of a kind records.
fn noun(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Usage => "usage batch",
        EntryKind::Journal => "journal declaration",
        EntryKind::Case => "step in a case",
        kind => kind.as_str(),
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

/// A number with its noun.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let plural = match noun {
        "usage batch" => "usage batches".to_owned(),
        "step in a case" => "steps in cases".to_owned(),
        "witness" => "witnesses".to_owned(),
        "entry" => "entries".to_owned(),
        noun => format!("{noun}s"),
    };
    if number == 1 { format!("1 {noun}") } else { format!("{} {plural}", count(number)) }
}

/// A number with its digits in groups of three.
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

/// A duration in words.
pub(super) fn duration(seconds: Option<i64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 120 => format!("{seconds} s"),
        Some(seconds) if seconds < 2 * 3600 => format!("{} min", seconds / 60),
        Some(seconds) if seconds < 2 * 24 * 3600 => format!("{} h", seconds / 3600),
        Some(seconds) => format!("{} days", seconds / (24 * 3600)),
    }
}
