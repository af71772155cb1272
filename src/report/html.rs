//! Reports as one page of HTML that a board reads in five minutes: nothing is fetched, nothing runs, and it prints.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::chart::{Span, bars, escape, timeline};
use super::summary::Usage;
use super::text::{count, duration};
use super::{Report, Verification};
use crate::time::Timestamp;

/// Rows of a long table that a page shows; JSON and CSV have all of them.
const MOST_ROWS: usize = 40;
/// People who are shown by name among those who hold a grant.
const MOST_HOLDINGS: usize = 20;

const STYLE: &str = "
:root{color-scheme:light}
body{font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;color:#1a1a1a;background:#fff;max-width:800px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin:0 0 .2rem}h2{font-size:1.2rem;margin:2.2rem 0 .5rem;border-bottom:2px solid #1a1a1a;padding-bottom:.15rem}
p.lead{color:#444;margin:0 0 1rem}
.verdict{border-left:6px solid #009E73;background:#eef7f3;padding:.6rem 1rem;margin:1rem 0}.verdict.bad{border-color:#D55E00;background:#fdf1ea}
.verdict strong{font-size:1.1rem}.verdict ul{margin:.4rem 0 0;padding-left:1.2rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(120px,1fr));gap:.8rem;margin:1.2rem 0}
.figures div{border:1px solid #bbb;padding:.5rem .7rem}.figures b{display:block;font-size:1.5rem}.figures span{color:#444;font-size:.85rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}caption{text-align:left;color:#444;padding:.2rem 0}
th,td{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #ddd;vertical-align:top}td.d{white-space:nowrap}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;display:block;margin:.6rem 0}svg text{font:13px system-ui,sans-serif}svg text.axis{font-size:11px;fill:#444}
code{font-size:.8rem;overflow-wrap:anywhere}footer{margin-top:3rem;color:#444;font-size:.85rem}
@media print{body{margin:0;max-width:none;font-size:11pt}h2{break-after:avoid}svg,table,.figures,.verdict{break-inside:avoid}a{color:inherit}}
";

/// A report as one self-contained page.
pub fn to_html(report: &Report) -> String {
    let (from, to) = (report.from.date(), report.to.date());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Release report, {from} to {to}</title><style>{STYLE}</style></head><body><main>\n\
         <h1>Release report</h1><p class=\"lead\">{from} to {to}; made on {}</p>\n",
        report.created.date()
    );
    page.push_str(&verdict(&report.verification));
    page.push_str(&figures(report));
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

fn verdict(verification: &Verification) -> String {
    let (class, word) = match verification.holds() {
        true => ("verdict", "The record holds."),
        false => ("verdict bad", "The record does not hold."),
    };
    let mut html = format!(
        "<section class=\"{class}\" aria-label=\"Verification\"><strong>{word}</strong> {} entries of the log were read and checked.<ul>",
        count(verification.entries)
    );
    for finding in verification.findings.iter().take(10) {
        let place = finding.entry.map(|entry| format!("Entry {entry}: ")).unwrap_or_default();
        let _ = write!(html, "<li>{place}{}</li>", escape(&finding.what));
    }
    if verification.finding_count > 10 {
        let _ = write!(html, "<li>and {} more findings</li>", verification.finding_count - 10);
    }
    for remark in verification.remarks.iter().take(10) {
        let _ = write!(html, "<li>Overruled by a board: {}</li>", escape(&remark.what));
    }
    for line in &verification.unproved {
        let _ = write!(html, "<li>Not proved: {}</li>", escape(line));
    }
    html.push_str("</ul></section>\n");
    html
}

fn figures(report: &Report) -> String {
    let asked: u64 = report.requests.iter().map(|row| row.asked).sum();
    let holds = report.holdings.iter().filter(|row| row.state == "holds").count() as u64;
    let people: std::collections::BTreeSet<_> =
        report.holdings.iter().filter(|row| row.state == "holds").map(|row| &row.person).collect();
    let tokens: u64 = report.usage_by_checkpoint.iter().map(|row| row.usage.tokens).sum();
    let open = report.cases.iter().filter(|row| matches!(row.outcome, "open" | "appealed")).count() as u64;
    let figures = [
        (count(asked), "requests"),
        (count(holds), "grants that hold"),
        (count(people.len() as u64), "people who hold one"),
        (count(tokens), "tokens generated"),
        (count(report.cases.len() as u64), "cases so far"),
        (count(open), "cases open"),
    ];
    let mut html = "<div class=\"figures\">".to_owned();
    for (number, words) in figures {
        let _ = write!(html, "<div><b>{number}</b><span>{words}</span></div>");
    }
    html.push_str("</div>\n");
    html
}

fn releases(page: &mut String, report: &Report) {
    if report.releases.is_empty() {
        return;
    }
    page.push_str("<h2>Stages</h2>\n");
    let mut spans = Vec::new();
    let mut by: BTreeMap<&str, Vec<(Timestamp, &str)>> = BTreeMap::new();
    for row in &report.releases {
        by.entry(&row.checkpoint).or_default().push((row.at, &row.stage));
    }
    for (checkpoint, stages) in &by {
        for (place, (at, stage)) in stages.iter().enumerate() {
            let end = stages.get(place + 1).map_or(report.to, |(next, _)| *next);
            if end > report.from && *at < report.to {
                let (from, to) = ((*at).max(report.from), end.min(report.to));
                spans.push(Span { row: (*checkpoint).to_owned(), from, to, label: (*stage).to_owned() });
            }
        }
    }
    page.push_str(&timeline("Stages of each checkpoint over time", &spans, (report.from, report.to)));
    let rows = report.releases.iter().map(|row| vec![row.at.date(), row.checkpoint.clone(), row.marked()]);
    table(page, "Every stage that was entered", &["entered", "checkpoint", "stage"], rows);
}

fn requests(page: &mut String, report: &Report) {
    if report.requests.is_empty() {
        return;
    }
    page.push_str("<h2>Requests and decisions</h2>\n");
    let rows: Vec<_> =
        report.months.iter().map(|row| (row.month.clone(), vec![row.granted, row.denied])).collect();
    page.push_str(&bars("Decisions by month", &["granted", "denied"], &rows));
    let rows = report.requests.iter().map(|row| {
        vec![
            row.checkpoint.clone(),
            count(row.asked),
            count(row.granted),
            count(row.denied),
            count(row.withdrawn),
            count(row.pending),
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
        "#half within",
        "#90 % within",
    ];
    table(page, "Requests that came in", &heads, rows);
}

fn holdings(page: &mut String, report: &Report) {
    page.push_str("<h2>Who holds what</h2>\n");
    let mut holding: Vec<_> = report.holdings.iter().filter(|row| row.state == "holds").collect();
    if holding.is_empty() {
        page.push_str("<p>Nobody held a grant at the end of the period.</p>\n");
    } else {
        let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for row in &holding {
            *sums.entry((&row.checkpoint, &row.stage)).or_default() += 1;
        }
        let rows: Vec<_> = sums
            .iter()
            .map(|((checkpoint, stage), grants)| {
                vec![(*checkpoint).to_owned(), (*stage).to_owned(), count(*grants)]
            })
            .collect();
        table(
            page,
            "Grants that hold at the end of the period",
            &["checkpoint", "stage", "#grants"],
            rows.into_iter(),
        );
        holding.sort_by(|one, two| (two.tokens, &one.person).cmp(&(one.tokens, &two.person)));
        let shown = holding.len().min(MOST_HOLDINGS);
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
        let caption =
            format!("The {shown} of {} who generated most; the other formats have all", holding.len());
        table(page, &caption, &heads, rows);
    }
    let ended = report.holdings.len() - holding.len();
    let revoked = report.holdings.iter().filter(|row| row.state == "revoked").count();
    if ended > 0 {
        let (ended, revoked) = (count(ended as u64), count(revoked as u64));
        let _ = writeln!(page, "<p>{ended} grants ended in the period, {revoked} of them revoked.</p>");
    }
}

fn usage(page: &mut String, report: &Report) {
    if report.usage_by_checkpoint.is_empty() {
        return;
    }
    page.push_str("<h2>Usage</h2>\n");
    let series: Vec<&str> = report.usage_by_checkpoint.iter().map(|row| row.name.as_str()).collect();
    let mut periods: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let days: std::collections::BTreeSet<_> = report.usage_by_day.iter().map(|row| &row.day).collect();
    // Days where there are few of them, months otherwise.
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
    page.push_str(&bars(&format!("Tokens by {by} and checkpoint"), &series, &rows));
    for (caption, usage) in [
        ("By checkpoint", &report.usage_by_checkpoint),
        ("By purpose; who was granted several uses counts under each", &report.usage_by_purpose),
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
    page.push_str(&bars("Cases by outcome", &["cases"], &rows));
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
    table(page, "Who read what is private", &["who", "#times"], rows);
    let rows =
        report.erasures.iter().map(|row| vec![row.at.date(), count(row.statements), row.reason.clone()]);
    table(page, "Personal data that was erased", &["on", "#statements", "reason"], rows);
    let verification = &report.verification;
    if !verification.proved.is_empty() {
        page.push_str("<p>What was proved:</p><ul>");
        for line in &verification.proved {
            let _ = write!(page, "<li>{}</li>", escape(line));
        }
        page.push_str("</ul>\n");
    }
    let _ = writeln!(
        page,
        "<footer>Log <code>{}</code>, {} entries, root <code>{}</code>. <code>portcullis audit verify</code> checks it again.</footer>",
        escape(&verification.log),
        count(verification.entries),
        escape(&verification.root)
    );
}

/// A table; columns whose head begins with `#` hold numbers.
fn table(page: &mut String, caption: &str, heads: &[&str], rows: impl ExactSizeIterator<Item = Vec<String>>) {
    let total = rows.len();
    if total == 0 {
        return;
    }
    let class = |head: &str| if head.starts_with('#') { " class=\"n\"" } else { "" };
    let _ = write!(page, "<table><caption>{}</caption><thead><tr>", escape(caption));
    for head in heads {
        let _ =
            write!(page, "<th scope=\"col\"{}>{}</th>", class(head), escape(head.trim_start_matches('#')));
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows.take(MOST_ROWS) {
        page.push_str("<tr>");
        for (head, cell) in heads.iter().zip(row) {
            let class = if is_date(&cell) { " class=\"d\"" } else { class(head) };
            let _ = write!(page, "<td{class}>{}</td>", escape(&cell));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table>\n");
    if total > MOST_ROWS {
        let _ = writeln!(
            page,
            "<p>… and {} more rows; <code>--format csv</code> has them all.</p>",
            total - MOST_ROWS
        );
    }
}

/// Whether a cell holds a day, which is not to be broken.
fn is_date(cell: &str) -> bool {
    cell.len() == 10
        && cell
            .bytes()
            .enumerate()
            .all(|(n, byte)| if n == 4 || n == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}
