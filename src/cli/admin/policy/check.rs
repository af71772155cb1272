//! `portcullis policy check`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{boards, counted, read};
use crate::catalogue::{Client, TrustedCatalogue};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::policy::{self, Board, BoardName, Boards, Finding, Policy, Severity};
use crate::time::Timestamp;

/// Find likely mistakes: a stage that nothing can enter, access that widens without evidence, bounds that nothing meets
#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    /// The policies
    #[arg(required = true, value_name = "FILE")]
    policies: Vec<PathBuf>,

    /// The sizes of the boards, to compare thresholds with, such as board=3,ethics=2 [default: the boards of the
    /// trusted catalogue]
    #[arg(long, value_name = "NAME=MEMBERS", value_delimiter = ',', value_parser = board)]
    boards: Vec<(BoardName, usize)>,

    /// The policy in force, to compare versions and kept grants with
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// Check as of this instant, such as 2027-06-30T00:00:00Z; now by default
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

/// `board=3`
fn board(text: &str) -> Result<(BoardName, usize), String> {
    let (name, members) = text.split_once('=').ok_or("write a board as name=members, such as board=3")?;
    let members = members.parse().map_err(|_| format!("`{members}` is not a number of members"))?;
    Ok((name.parse::<BoardName>().map_err(|error| error.to_string())?, members))
}

impl Check {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = self.at.unwrap_or_else(Timestamp::now);
        let sizes: Boards = self.boards.into_iter().map(|(name, size)| (name, Board::Size(size))).collect();
        // Nothing is asked of the registry: what was seen last does.
        let catalogue = Client::new(home.catalogue_state()).load_offline(Timestamp::now()).ok();
        let before = self.against.as_deref().map(read).transpose()?;
        let (mut text, mut reports) = (String::new(), Vec::new());
        let (mut errors, mut bad) = (0, Vec::new());
        for path in &self.policies {
            let policy = read(path)?;
            let shown = shown(path);
            let named = |catalogue: &TrustedCatalogue| boards(&policy, |role| catalogue.board(role).cloned());
            let known = catalogue
                .as_ref()
                .filter(|_| sizes == Boards::default())
                .and_then(named)
                .map(Boards::as_last_seen);
            let mut findings = policy::check(&policy, known.as_ref().unwrap_or(&sizes), now);
            if let Some(before) = &before {
                require_same(before, &policy)?;
                findings.extend(policy::check_succession(std::slice::from_ref(before), &policy));
            }
            for finding in &findings {
                writeln!(text, "{}", line(&shown, finding))?;
            }
            let count = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
            let (id, version) = (&policy.checkpoint, policy.version);
            if count == 0 {
                let stages = counted(policy.stages.len(), "stage");
                let warnings = counted(findings.len(), "warning");
                writeln!(text, "{shown}: {id} version {version} is sound: {stages}, {warnings}")?;
            } else {
                bad.push(shown.clone());
            }
            errors += count;
            reports.push(json!({
                "file": shown, "checkpoint": id, "version": version, "sound": count == 0, "findings": findings,
            }));
        }
        output.result(&json!({ "policies": reports }), text)?;
        if errors == 0 {
            return Ok(());
        }
        let message = format!("{} should not be signed: {}", bad.join(", "), counted(errors, "error"));
        Err(Refusal::unverified(message, "correct the listed errors and check again").into())
    }
}

/// Refuses to compare policies of two checkpoints.
fn require_same(before: &Policy, policy: &Policy) -> Result<(), Refusal> {
    if before.checkpoint == policy.checkpoint {
        return Ok(());
    }
    let message = format!("the policy of {} does not follow one of {}", policy.checkpoint, before.checkpoint);
    Err(Refusal::usage(message, "give the policy of the same checkpoint with --against"))
}

fn line(file: &str, finding: &Finding) -> String {
    let Finding { severity, stage, line, words, remedy } = finding;
    let stage = stage.as_ref().map(|stage| format!("{stage}: ")).unwrap_or_default();
    format!("{file}:{line}: {}: {stage}{words}\n  next: {remedy}", severity.as_str())
}
