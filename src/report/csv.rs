//! Reports as comma-separated values (RFC 4180): one row per fact, with its section.

use super::Report;
use super::summary::Usage;
use crate::visible::one_row;

/// Characters at which spreadsheets begin a formula, also in full width.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '|', '%', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

const HEADS: [&str; 9] = ["section", "name", "checkpoint", "from", "to", "state", "count", "tokens", "note"];

/// A row; unset cells are empty.
#[derive(Debug, Clone, Default)]
struct Row {
    section: &'static str,
    name: String,
    checkpoint: String,
    from: String,
    to: String,
    state: String,
    count: String,
    tokens: String,
    note: String,
}

impl Row {
    fn in_section(section: &'static str) -> Self {
        Self { section, ..Self::default() }
    }

    fn line(&self) -> String {
        let Self { section, name, checkpoint, from, to, state, count, tokens, note } = self;
        let [name, checkpoint, from, to] = [name, checkpoint, from, to].map(String::as_str);
        let [state, count, tokens, note] = [state, count, tokens, note].map(String::as_str);
        line([section, name, checkpoint, from, to, state, count, tokens, note])
    }
}

/// A report in rows of `section,name,checkpoint,from,to,state,count,tokens,note`.
pub fn to_csv(report: &Report) -> String {
    let rows = about(report)
        .chain(releases(report))
        .chain(requests(report))
        .chain(denials(report))
        .chain(holdings(report))
        .chain(usage("usage-by-checkpoint", &report.usage_by_checkpoint))
        .chain(usage("usage-by-person", &report.usage_by_person))
        .chain(usage("usage-by-purpose", &report.usage_by_purpose))
        .chain(days(report))
        .chain(cases(report))
        .chain(record(report));
    line(HEADS) + &rows.map(|row| row.line()).collect::<String>()
}

fn about(report: &Report) -> impl Iterator<Item = Row> {
    let registry = Row {
        name: report.registry.clone().unwrap_or_default(),
        from: report.from.to_string(),
        to: report.to.to_string(),
        note: report.address.clone().unwrap_or_default(),
        ..Row::in_section("registry")
    };
    let attention =
        report.attention.iter().map(|line| Row { note: line.clone(), ..Row::in_section("attention") });
    std::iter::once(registry).chain(attention)
}

fn releases(report: &Report) -> impl Iterator<Item = Row> {
    report.releases.iter().map(|row| Row {
        name: row.stage.clone(),
        checkpoint: row.checkpoint.clone(),
        from: row.at.to_string(),
        note: row.against.join("; "),
        ..Row::in_section("stage")
    })
}

fn requests(report: &Report) -> impl Iterator<Item = Row> {
    report.requests.iter().flat_map(|row| {
        let counts = [
            ("asked", row.asked),
            ("granted", row.granted),
            ("denied", row.denied),
            ("withdrawn", row.withdrawn),
            ("pending", row.pending),
            ("erased", row.erased),
        ];
        counts.map(|(state, count)| Row {
            checkpoint: row.checkpoint.clone(),
            state: state.to_owned(),
            count: count.to_string(),
            ..Row::in_section("requests")
        })
    })
}

fn denials(report: &Report) -> impl Iterator<Item = Row> {
    report.denials.iter().map(|row| Row {
        name: row.person.clone(),
        checkpoint: row.checkpoint.clone(),
        from: row.at.to_string(),
        note: row.reason.clone(),
        ..Row::in_section("denial")
    })
}

fn holdings(report: &Report) -> impl Iterator<Item = Row> {
    report.holdings.iter().map(|row| Row {
        name: row.person.clone(),
        checkpoint: row.checkpoint.clone(),
        from: row.since.to_string(),
        to: row.until.to_string(),
        state: row.state.to_owned(),
        count: row.leases.to_string(),
        tokens: row.tokens.to_string(),
        note: match &row.reason {
            Some(reason) => format!("{}: {reason}", row.stage),
            None => row.stage.clone(),
        },
        ..Row::in_section("grant")
    })
}

fn usage(section: &'static str, rows: &[Usage]) -> impl Iterator<Item = Row> {
    rows.iter().map(move |row| Row {
        name: row.name.clone(),
        count: row.usage.generations.to_string(),
        tokens: row.usage.tokens.to_string(),
        note: format!("{} flagged, {} blocked", row.usage.flagged, row.usage.blocked),
        ..Row::in_section(section)
    })
}

fn days(report: &Report) -> impl Iterator<Item = Row> {
    report.usage_by_day.iter().map(|row| Row {
        name: row.day.clone(),
        checkpoint: row.checkpoint.clone(),
        tokens: row.tokens.to_string(),
        ..Row::in_section("usage-by-day")
    })
}

fn cases(report: &Report) -> impl Iterator<Item = Row> {
    report.cases.iter().map(|row| Row {
        name: row.person.clone(),
        checkpoint: row.checkpoint.clone(),
        from: row.opened.to_string(),
        state: row.outcome.to_owned(),
        note: row.about.clone(),
        ..Row::in_section("case")
    })
}

fn record(report: &Report) -> impl Iterator<Item = Row> {
    let policies = report.policies.iter().map(|row| Row {
        name: format!("version {}", row.version),
        checkpoint: row.checkpoint.clone(),
        from: row.at.to_string(),
        note: row.changes.join("; "),
        ..Row::in_section("policy")
    });
    let readings = report.readings.iter().map(|(who, count)| Row {
        name: who.clone(),
        count: count.to_string(),
        ..Row::in_section("reading")
    });
    let erasures = report.erasures.iter().map(|row| Row {
        from: row.at.to_string(),
        count: row.statements.to_string(),
        note: row.reason.clone(),
        ..Row::in_section("erasure")
    });
    let findings = report.verification.findings.iter().map(|finding| Row {
        name: finding.entry.map(|entry| entry.to_string()).unwrap_or_default(),
        note: finding.what.clone(),
        ..Row::in_section("finding")
    });
    let erased = report.erased.iter().map(|row| Row {
        name: row.kind.to_string(),
        checkpoint: row.checkpoint.clone(),
        count: row.count.to_string(),
        ..Row::in_section("erased")
    });
    policies.chain(readings).chain(erasures).chain(erased).chain(findings)
}

fn line(cells: [&str; 9]) -> String {
    cells.map(quoted).join(",") + "\r\n"
}

/// A quoted cell, prefixed if a spreadsheet would take it for a formula.
fn quoted(cell: &str) -> String {
    let cell = one_row(cell);
    let is_formula = cell.starts_with(FORMULA);
    let cell = if is_formula { format!("'{cell}") } else { cell };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}
