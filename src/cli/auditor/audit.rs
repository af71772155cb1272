//! `portcullis audit`: proving what happened, and reporting it.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::board_report::{BoardReport, Boards, boards_of};
use crate::catalogue::Client;
use crate::cli::failure::Refusal;
use crate::cli::files;
use crate::cli::home::{Home, Place};
use crate::cli::output::{Output, shown};
use crate::cli::progress::Bar;
use crate::cli::registry;
use crate::client::Catalogue;
use crate::log::{HeadNote, LogKey};
use crate::report::{
    self, BundleReader, Depth, Facts, Verification, report_text, summarize, to_csv, to_html,
    verification_text,
};
use crate::statement::Quorum;
use crate::time::Timestamp;
use crate::visible::{visible, visible_json};

/// Prove what was released to whom, under which rule, and how it was used
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AuditCommand {
    Verify(Verify),
    Bundle(Bundle),
    Report(Report),
    Key(Key),
}

/// Verify everything from the log and the statements that it records
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// A bundle, in place of the registry
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,

    /// Check the log and the digests only, not every signature and rule: for a quick look at a long log
    #[arg(long)]
    quick: bool,
}

/// Write a bundle: one file that can be verified offline
#[derive(Debug, Args)]
pub(in crate::cli) struct Bundle {
    /// The file
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Report what happened in a period: releases, requests, grants, usage, cases
///
/// An auditor's report rests on the whole record, which is proved first. Members of boards get the requests, grants, decisions and cases of
/// the checkpoints that they decide on, as text or JSON; the registry puts on the record that they read them.
#[derive(Debug, Args)]
pub(in crate::cli) struct Report {
    /// The first day, such as 2019-02-14 [default: the log's first parse_day]
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Timestamp>,

    /// The day after the last [default: tomorrow]
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    to: Option<Timestamp>,

    /// The format [default: text, or JSON with --json]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// A bundle, in place of the registry
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,

    /// Check the log and the digests only, not every signature and rule: for a quick look at a long log
    #[arg(long)]
    quick: bool,
}

/// Show the key of the registry's log, which witnesses need
#[derive(Debug, Args)]
pub(in crate::cli) struct Key {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
    Html,
}

fn parse_day(text: &str) -> Result<Timestamp, String> {
    format!("{text}T00:00:00Z").parse().map_err(|_| "write a day as 2019-02-14".to_owned())
}

fn depth(is_quick: bool) -> Depth {
    if is_quick { Depth::Digests } else { Depth::Everything }
}

impl AuditCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Verify(verify) => verify.run(home, output),
            Self::Bundle(bundle) => bundle.run(home, output),
            Self::Report(report) => report.run(home, output),
            Self::Key(_) => key(home, output),
        }
    }
}

impl Verify {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let (verification, _) = audit(home, self.bundle.as_deref(), depth(self.quick), output)?;
        output.result(&verification, verification_text(&verification))?;
        if verification.holds() {
            return Ok(());
        }
        let findings = match verification.finding_count {
            1 => "1 finding".to_owned(),
            count => format!("{count} findings"),
        };
        Err(Refusal::unverified(
            format!("verification failed: {findings}"),
            "keep the bundle (`portcullis audit bundle --to <file>`), and show the findings to the board",
        )
        .into())
    }
}

impl Bundle {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let entries = files::write_with(&self.to, |file| gather(home, file, output))?;
        let to = shown(&self.to);
        let text = format!(
            "wrote {to}: {entries} entries with their statements\n  next: portcullis audit verify --bundle {to}\n"
        );
        output.result(&json!({ "path": to, "entries": entries }), text)
    }
}

impl Report {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        if let Some((catalogue, boards)) = self.own_boards(home, output)? {
            return self.run_for_boards(&catalogue, boards, home, now, output);
        }
        let (verification, facts) = audit(home, self.bundle.as_deref(), depth(self.quick), output)?;
        let span = facts.span.unwrap_or((now, now));
        let from = self.from.unwrap_or_else(|| midnight(span.0));
        let to = self.to.unwrap_or_else(|| midnight(span.1).plus_days(1));
        require_order(from, to)?;
        let mut report = summarize(&facts, verification, (from, to), now);
        report.address = address(home);
        let plain = if output.is_json() { Format::Json } else { Format::Text };
        let text = match self.format.unwrap_or(plain) {
            Format::Text => visible(&report_text(&report)).into_owned(),
            Format::Json => visible_json(&serde_json::to_string_pretty(&report)?).into_owned() + "\n",
            Format::Csv => to_csv(&report),
            Format::Html => to_html(&report),
        };
        match self.output {
            None => output.raw(text),
            Some(path) => {
                files::write(&path, text.as_bytes())?;
                let path = shown(path);
                output.result(&json!({ "path": path }), format_args!("wrote {path}\n"))
            }
        }
    }
}

impl Report {
    /// The boards of a member who is not an auditor and so cannot read the whole record.
    fn own_boards(&self, home: &Home, output: Output) -> anyhow::Result<Option<(Catalogue, Boards)>> {
        let (None, Some(card), Place::Address(_)) = (&self.bundle, home.own_card()?, home.place()?) else {
            return Ok(None);
        };
        let catalogue = registry::catalogue(home, output)?;
        let is_of = |quorum: &Quorum| quorum.keys().contains(&card.verifying_key);
        if catalogue.auditors().is_some_and(is_of) || is_of(catalogue.registry()) {
            return Ok(None);
        }
        let boards = boards_of(&catalogue, &card);
        Ok((!boards.is_empty()).then_some((catalogue, boards)))
    }

    fn run_for_boards(
        self,
        catalogue: &Catalogue,
        boards: Boards,
        home: &Home,
        now: Timestamp,
        output: Output,
    ) -> anyhow::Result<()> {
        let output = match self.format {
            Some(Format::Csv | Format::Html) => {
                let message = "a board member's report is available as text or JSON only";
                return Err(
                    Refusal::usage(message, "leave --format out, or ask an auditor for the page").into()
                );
            }
            Some(Format::Json) => output.as_json(),
            Some(Format::Text) | None => output,
        };
        let to = self.to.unwrap_or_else(|| midnight(now).plus_days(1));
        if let Some(from) = self.from {
            require_order(from, to)?;
        }
        BoardReport { catalogue, boards, from: self.from, to }.run(home, self.output, output)
    }
}

fn require_order(from: Timestamp, to: Timestamp) -> Result<(), Refusal> {
    if to <= from {
        return Err(Refusal::usage("the period ends before it begins", "give --from and --to in order"));
    }
    Ok(())
}

/// Where the registry of this home is: whatever was audited is its record, if the home trusts a first root.
fn address(home: &Home) -> Option<String> {
    Client::new(home.catalogue_state()).first_root().ok()??;
    Some(home.address().ok()??.to_string())
}

fn midnight(at: Timestamp) -> Timestamp {
    Timestamp::from_unix_seconds(at.unix_seconds().div_euclid(24 * 3600) * 24 * 3600)
}

/// Audits the registry, or a bundle.
fn audit(
    home: &Home,
    offline: Option<&Path>,
    depth: Depth,
    output: Output,
) -> anyhow::Result<(Verification, Facts)> {
    let witnesses = home.witnesses()?;
    let trusted = Client::new(home.catalogue_state()).first_root()?;
    if let Some(path) = offline {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut bundle = BundleReader::open(BufReader::with_capacity(1 << 20, file))?;
        return Ok(report::audit(&mut bundle, trusted, &witnesses, depth)?);
    }
    let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
    gather(home, &mut file, output)?;
    file.rewind()?;
    let mut bundle = BundleReader::open(BufReader::with_capacity(1 << 20, file))?;
    let (mut verification, facts) = report::audit(&mut bundle, trusted, &witnesses, depth)?;
    if verification.holds() {
        verification.proved.extend(prove_continuity(home)?);
    }
    Ok((verification, facts))
}

/// Brings everything that an audit reads into a file, and refuses a log that does not continue the last one that was seen here.
fn gather(home: &Home, file: &mut File, output: Output) -> anyhow::Result<u64> {
    let Place::Address(address) = home.place()? else {
        let message = "this registry is a folder and has no log";
        return Err(Refusal::usage(message, "audit a registry server, or a bundle (--bundle)").into());
    };
    let catalogue = registry::catalogue(home, output)?;
    let remote = registry::remote(home, &address, output)?;
    let bar = Bar::new(output);
    let head = report::gather(&remote, BufWriter::with_capacity(1 << 20, file), Timestamp::now(), &bar)?;
    drop(bar);
    registry::record(home)?.refresh(&remote, catalogue.registry())?;
    Ok(head.size())
}

/// What is proved because this home saw the log before.
fn prove_continuity(home: &Home) -> anyhow::Result<Option<String>> {
    let head = registry::record(home)?.head()?;
    Ok(head.map(|_| "the log is consistent with every head that this home saw before".to_owned()))
}

fn key(home: &Home, output: Output) -> anyhow::Result<()> {
    let Place::Address(address) = home.place()? else {
        return Err(
            Refusal::usage("this registry is a folder and has no log", "use a registry server").into()
        );
    };
    let catalogue = registry::catalogue(home, output)?;
    let note = HeadNote::parse(&registry::remote(home, &address, output)?.log_head()?)?;
    let keys: Vec<String> = catalogue
        .registry()
        .keys()
        .iter()
        .map(|key| LogKey::new(note.log(), *key).map(|key| key.to_string()))
        .collect::<Result<_, _>>()?;
    output.result(&json!({ "log": note.log(), "keys": keys }), format_args!("{}\n", keys.join("\n")))
}
