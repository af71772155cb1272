//! Reports as one HTML page for a board: it loads nothing, runs nothing, and can be printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::chart::{Span, bars, escape, timeline};
use super::page::{STYLE, chart, list, open_box, table, tiles};
use super::summary::Usage;
use super::text::{count, counted, duration, erased_words};
use super::{Report, Verification};
use crate::time::Timestamp;

/// Maximum number of holders listed by name.
const MAX_HOLDINGS: usize = 20;

/// A report as a self-contained page.
pub fn to_html(report: &Report) -> String {
    let (from, to) = (report.from.date(), report.to.date());
    let name = report.registry.as_deref().unwrap_or("an unnamed registry");
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Release report of {0}, {from} to {to}</title><style>{STYLE}</style></head><body><main>\n\
         <h1>Release report of {0}</h1><p class=\"lead\">{from} to {to}; made on {1}{2}</p>\n",
        escape(name),
        report.created.date(),
        report.address.as_ref().map(|address| format!("; {}", escape(address))).unwrap_or_default(),
    );
    attention(&mut page, report);
    verdict(&mut page, &report.verification);
    figures(&mut page, report);
    releases(&mut page, report);
    requests(&mut page, report);
    holdings(&mut page, report);
    usage(&mut page, report);
    cases(&mut page, report);
    policies(&mut page, report);
    record(&mut page, report);
    page.push_str("</main></body></html>\n");
    page
}

fn attention(page: &mut String, report: &Report) {
    if report.attention.is_empty() {
        return;
    }
    open_box(page, "look", "Needs attention", "Needs attention");
    list(page, report.attention.iter().cloned());
    page.push_str("</section>\n");
}

fn verdict(page: &mut String, verification: &Verification) {
    let (class, word) = match verification.holds() {
        true => ("good", "The record is valid."),
        false => ("bad", "The record is not valid."),
    };
    open_box(page, class, "Verification", word);
    let (entries, were) =
        (counted(verification.entries, "entry"), if verification.entries == 1 { "was" } else { "were" });
    let _ = write!(page, " {entries} of the log {were} read and checked.");
    let findings = verification.findings.iter().take(10).map(|finding| {
        let place = finding.entry.map(|entry| format!("Entry {entry}: ")).unwrap_or_default();
        format!("{place}{}", finding.what)
    });
    let more = verification.finding_count.saturating_sub(10);
    let more = (more > 0).then(|| format!("and {}", counted(more, "more finding")));
    let remarks =
        verification.remarks.iter().take(10).map(|remark| format!("Overruled by a board: {}", remark.what));
    let void = verification.void.iter().take(10).map(|void| format!("Of no effect: {}", void.what));
    let unproved = verification.unproved.iter().map(|line| format!("Not proved: {line}"));
    list(page, findings.chain(more).chain(remarks).chain(void).chain(unproved));
    page.push_str("</section>\n");
}

fn figures(page: &mut String, report: &Report) {
    let asked: u64 = report.requests.iter().map(|row| row.asked).sum();
    let holds = report.holdings.iter().filter(|row| row.state == "holds").count() as u64;
    let people: BTreeSet<_> =
        report.holdings.iter().filter(|row| row.state == "holds").map(|row| &row.person).collect();
    let tokens: u64 = report.usage_by_checkpoint.iter().map(|row| row.usage.tokens).sum();
    let open = report.cases.iter().filter(|row| matches!(row.outcome, "open" | "appealed")).count() as u64;
    let figures = [
        (asked, "request", "requests"),
        (holds, "grant that holds", "grants that hold"),
        (people.len() as u64, "person who holds one", "people who hold one"),
        (tokens, "token generated", "tokens generated"),
        (report.cases.len() as u64, "case so far", "cases so far"),
        (open, "case open", "cases open"),
    ];
    tiles(page, &figures);
}

/// The time at which grants are judged, in words.
fn when(report: &Report) -> &'static str {
    if report.as_of < report.to { "when this report was made" } else { "at the end of the period" }
}

fn releases(page: &mut String, report: &Report) {
    if report.releases.is_empty() {
        return;
    }
    page.push_str("<h2>Stages</h2>\n");
    let mut spans = Vec::new();
    let mut by: BTreeMap<(usize, &str), Vec<(Timestamp, &str)>> = BTreeMap::new();
    for row in &report.releases {
        by.entry((report.rank(&row.checkpoint), &row.checkpoint)).or_default().push((row.at, &row.stage));
    }
    for ((_, checkpoint), stages) in &by {
        for (place, (at, stage)) in stages.iter().enumerate() {
            let end = stages.get(place + 1).map_or(report.as_of, |(next, _)| *next);
            if end > report.from && *at < report.to {
                let (from, to) = ((*at).max(report.from), end.min(report.to));
                spans.push(Span { row: (*checkpoint).to_owned(), from, to, label: (*stage).to_owned() });
            }
        }
    }
    chart(page, &timeline("Stages of each checkpoint over time", &spans, report.from, report.to));
    let rows =
        report.releases.iter().map(|row| vec![row.at.date(), row.checkpoint.clone(), row.marked_stage()]);
    table(page, "Every stage that was entered", &["entered", "checkpoint", "stage"], rows);
}

fn requests(page: &mut String, report: &Report) {
    if report.requests.is_empty() {
        return;
    }
    page.push_str("<h2>Requests and decisions</h2>\n");
    let rows: Vec<_> =
        report.months.iter().map(|row| (row.month.clone(), vec![row.granted, row.denied])).collect();
    chart(page, &bars("Decisions by month", &["granted", "denied"], &rows));
    let rows = report.requests.iter().map(|row| {
        vec![
            row.checkpoint.clone(),
            count(row.asked),
            count(row.granted),
            count(row.denied),
            count(row.withdrawn),
            count(row.pending),
            count(row.erased),
            duration(row.median_seconds),
            duration(row.p90_seconds),
        ]
    });
    let heads = [
        "checkpoint",
        "#asked",
        "#granted",
        "#denied",
        "#withdrawn",
        "#waiting",
        "#erased",
        "#half within",
        "#90 % within",
    ];
    table(page, "Requests received", &heads, rows);
    let rows = report
        .denials
        .iter()
        .map(|row| vec![row.at.date(), row.checkpoint.clone(), row.person.clone(), row.reason.clone()]);
    table(page, "Denials, the newest first", &["on", "checkpoint", "person", "reason"], rows);
}

fn holdings(page: &mut String, report: &Report) {
    page.push_str("<h2>Who holds what</h2>\n");
    let mut holding: Vec<_> = report.holdings.iter().filter(|row| row.state == "holds").collect();
    if holding.is_empty() {
        let _ = writeln!(page, "<p>There was no valid grant {}.</p>", when(report));
    } else {
        let mut sums: BTreeMap<(usize, &str, &str), u64> = BTreeMap::new();
        for row in &holding {
            *sums.entry((report.rank(&row.checkpoint), &row.checkpoint, &row.stage)).or_default() += 1;
        }
        let rows: Vec<_> = sums
            .iter()
            .map(|((_, checkpoint, stage), grants)| {
                vec![(*checkpoint).to_owned(), (*stage).to_owned(), count(*grants)]
            })
            .collect();
        table(
            page,
            &format!("Grants that held {}", when(report)),
            &["checkpoint", "stage", "#grants"],
            rows.into_iter(),
        );
        holding.sort_by(|one, two| (two.tokens, &one.person).cmp(&(one.tokens, &two.person)));
        let shown = holding.len().min(MAX_HOLDINGS);
        let rows = holding[..shown].iter().map(|row| {
            vec![
                row.person.clone(),
                row.checkpoint.clone(),
                row.stage.clone(),
                row.since.date(),
                row.until.date(),
                count(row.leases),
                count(row.tokens),
            ]
        });
        let heads = ["person", "checkpoint", "stage", "since", "until", "#leases", "#tokens"];
        let caption = match holding.len() {
            all if all > shown => {
                format!("The {shown} of {all} grants with most tokens; the other formats have all")
            }
            _ => "Every grant that held, the most tokens first".to_owned(),
        };
        table(page, &caption, &heads, rows);
    }
    let ended = (report.holdings.len() - holding.len()) as u64;
    let revoked: Vec<_> = report.holdings.iter().filter(|row| row.state == "revoked").collect();
    if ended > 0 {
        let revoked = count(revoked.len() as u64);
        let _ = writeln!(
            page,
            "<p>{} ended in the period, {revoked} of them by a revocation.</p>",
            counted(ended, "grant")
        );
    }
    let rows = revoked.iter().map(|row| {
        let reason = row.reason.clone().unwrap_or_default();
        vec![row.until.date(), row.checkpoint.clone(), row.person.clone(), reason]
    });
    table(page, "Revocations", &["on", "checkpoint", "person", "reason"], rows);
}

fn usage(page: &mut String, report: &Report) {
    if report.usage_by_checkpoint.is_empty() {
        return;
    }
    page.push_str("<h2>Usage</h2>\n");
    let series: Vec<&str> = report.usage_by_checkpoint.iter().map(|row| row.name.as_str()).collect();
    let mut periods: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let days: BTreeSet<_> = report.usage_by_day.iter().map(|row| &row.day).collect();
    // By day for short periods, otherwise by month.
    let digits = if days.len() > 45 { 7 } else { 10 };
    for row in &report.usage_by_day {
        let values =
            periods.entry(row.day.chars().take(digits).collect()).or_insert_with(|| vec![0; series.len()]);
        if let Some(place) = series.iter().position(|name| *name == row.checkpoint) {
            values[place] += row.tokens;
        }
    }
    let rows: Vec<_> = periods.into_iter().collect();
    let by = if digits == 7 { "month" } else { "day" };
    chart(page, &bars(&format!("Tokens by {by} and checkpoint"), &series, &rows));
    for (caption, usage) in [
        ("By checkpoint", &report.usage_by_checkpoint),
        ("By purpose; a grant with several uses counts under each", &report.usage_by_purpose),
        ("By person", &report.usage_by_person),
    ] {
        usage_table(page, caption, usage);
    }
}

fn usage_table(page: &mut String, caption: &str, usage: &[Usage]) {
    let rows = usage.iter().map(|row| {
        let usage = &row.usage;
        vec![
            row.name.clone(),
            count(usage.generations),
            count(usage.tokens),
            count(usage.flagged),
            count(usage.blocked),
        ]
    });
    table(page, caption, &["", "#generations", "#tokens", "#flagged", "#blocked"], rows);
}

fn cases(page: &mut String, report: &Report) {
    page.push_str("<h2>Misuse review</h2>\n");
    if report.cases.is_empty() {
        page.push_str("<p>No case was opened.</p>\n");
        return;
    }
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &report.cases {
        *outcomes.entry(row.outcome).or_default() += 1;
    }
    let rows: Vec<_> =
        outcomes.into_iter().map(|(outcome, cases)| (outcome.to_owned(), vec![cases])).collect();
    chart(page, &bars("Cases by outcome", &["cases"], &rows));
    let rows = report.cases.iter().rev().map(|row| {
        let severity = serde_json::to_value(row.severity).ok();
        let severity = severity.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
        let days = row.days.map(|days| days.to_string()).unwrap_or_default();
        vec![
            row.opened.date(),
            row.checkpoint.clone(),
            row.person.clone(),
            severity,
            row.about.clone(),
            row.outcome.to_owned(),
            days,
        ]
    });
    let heads = ["opened", "checkpoint", "person", "severity", "about", "outcome", "#days"];
    table(page, "Cases, the newest first", &heads, rows);
}

fn policies(page: &mut String, report: &Report) {
    if report.policies.is_empty() {
        return;
    }
    page.push_str("<h2>Changes of policy</h2>\n");
    let rows = report.policies.iter().map(|row| {
        vec![row.at.date(), row.checkpoint.clone(), row.version.to_string(), row.changes.join("; ")]
    });
    table(
        page,
        "Policies that came into force",
        &["in force", "checkpoint", "#version", "what changed"],
        rows,
    );
}

fn record(page: &mut String, report: &Report) {
    page.push_str("<h2>The record itself</h2>\n");
    let rows = report.readings.iter().map(|(who, readings)| vec![who.clone(), count(*readings)]);
    table(page, "Reads of private data", &["who", "#times"], rows);
    let rows =
        report.erasures.iter().map(|row| vec![row.at.date(), count(row.statements), row.reason.clone()]);
    table(page, "Personal data that was erased", &["on", "#statements", "reason"], rows);
    let rows: Vec<_> = erased_words(&report.erased)
        .into_iter()
        .map(|(checkpoint, words)| vec![checkpoint.to_owned(), words])
        .collect();
    table(
        page,
        "Erased since it was received: only counts are left",
        &["checkpoint", "what"],
        rows.into_iter(),
    );
    let verification = &report.verification;
    if !verification.proved.is_empty() {
        page.push_str("<p>What was proved:</p>");
        list(page, verification.proved.iter().cloned());
    }
    let _ = writeln!(
        page,
        "<footer>Log <code>{}</code>, {}, root <code>{}</code>. <code>portcullis audit verify</code> checks it again.</footer>",
        escape(&verification.log),
        counted(verification.entries, "entry"),
        escape(&verification.root)
    );
}
