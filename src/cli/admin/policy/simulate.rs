//! `portcullis policy simulate`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{read, text};
use crate::cli::files;
use crate::cli::output::Output;
use crate::digest::Sha256Digest;
use crate::policy::{self, Decision, Simulated, Simulation, StageName, Terms, Verdict};
use crate::time::Timestamp;

/// Longest file of requests that is read.
const MOST_BYTES: u64 = 64 << 20;

/// Replay past requests against a draft, and say for each what the policy in force and the draft answer
///
/// Each line of the requests is one as JSON: checkpoint, person, organization, uses, days, agreement, approvals.
#[derive(Debug, Args)]
pub(in crate::cli) struct Simulate {
    /// The draft
    draft: PathBuf,

    /// The requests, one a line
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,

    /// The stage that they ask under
    #[arg(long)]
    stage: StageName,

    /// The policy in force, to compare with
    #[arg(long, value_name = "FILE")]
    in_force: Option<PathBuf>,

    /// The agreement in force; where it is left out, what each applicant signed counts as that
    #[arg(long, value_name = "FILE")]
    agreement: Option<PathBuf>,

    /// Ask as of this instant, such as 2027-06-30T00:00:00Z; now where it is left out
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

impl Simulate {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        let draft = read(&self.draft)?;
        let in_force = self.in_force.as_deref().map(read).transpose()?;
        let agreement = self.agreement.as_deref().map(|path| files::read(path, 1 << 20)).transpose()?;
        let requests = text(&self.requests, MOST_BYTES)?;
        let applications = policy::read_applications(&requests)
            .map_err(|error| anyhow::Error::new(error).context(self.requests.display().to_string()))?;
        let simulation = Simulation {
            in_force: in_force.as_ref(),
            draft: &draft,
            stage: &self.stage,
            terms: agreement
                .map(|bytes| Terms { agreement: Some(Sha256Digest::of(&bytes)), ..Terms::default() }),
            now: self.at.unwrap_or_else(Timestamp::now),
        };
        let results: Vec<_> = policy::simulate(simulation, &applications).collect();
        let mut report = String::new();
        for (number, result) in (1..).zip(&results) {
            write!(report, "{}", lines(number, result)?)?;
        }
        let draft = |verdict| results.iter().filter(|result| result.draft.verdict() == verdict).count();
        let changed = results.iter().filter(|result| result.is_changed()).count();
        let (permits, awaits, refuses) =
            (draft(Verdict::Passed), draft(Verdict::Awaits), draft(Verdict::Failed));
        write!(
            report,
            "of {} requests, the draft permits {permits}, lets {awaits} wait and refuses {refuses}",
            results.len(),
        )?;
        if in_force.is_some() {
            write!(report, "; {changed} answers change")?;
        }
        report.push('\n');
        let summary = json!({
            "permits": permits, "awaits": awaits, "refuses": refuses, "changed": changed, "requests": results,
        });
        output.result(&summary, report)
    }
}

fn lines(number: usize, result: &Simulated<'_>) -> Result<String, std::fmt::Error> {
    let person = result.application.person.to_string();
    let short = person.get(..8).unwrap_or_default();
    let of = result.application.organization.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    let answer = word(result.draft.verdict());
    let mut text = format!("{number}. {short}{of}: ");
    match &result.in_force {
        Some(before) if result.is_changed() => {
            writeln!(text, "{answer}, and the policy in force {}", word(before.verdict()))?;
        }
        Some(_) => writeln!(text, "{answer}, as the policy in force does")?,
        None => writeln!(text, "{answer}")?,
    }
    reasons(&mut text, "draft", &result.draft)?;
    if let Some(before) = result.in_force.as_ref().filter(|_| result.is_changed()) {
        reasons(&mut text, "in force", before)?;
    }
    Ok(text)
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "permits",
        Verdict::Awaits => "waits",
        Verdict::Failed => "refuses",
    }
}

/// The rules that are not content.
fn reasons(text: &mut String, whose: &str, decision: &Decision<'_>) -> std::fmt::Result {
    for rule in decision.rules().iter().filter(|rule| rule.verdict != Verdict::Passed) {
        writeln!(text, "   {whose}: {}: {rule}", rule.rule.as_str())?;
    }
    Ok(())
}
