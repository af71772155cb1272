//! `portcullis policy simulate`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::grants::{Grants, Proposed};
use super::{read, text};
use crate::access::Request;
use crate::cli::failure::Refusal;
use crate::cli::files;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::people::person;
use crate::cli::progress::read_stdin;
use crate::digest::Sha256Digest;
use crate::policy::{
    self, Application, Decision, PersonKey, Simulated, Simulation, StageName, Terms, Verdict,
};
use crate::time::Timestamp;
use crate::visible::one_line;

/// Longest file of requests that is read.
const MAX_BYTES: u64 = 64 << 20;
/// Days for which an organization counts as confirmed, of which a list of requests tells nothing: a century.
const LONG_CONFIRMED: u32 = 36_500;
/// Longest policy that is read.
const MAX_POLICY_BYTES: u64 = policy::MAX_BYTES as u64;

/// Replay past requests against a draft, and say for each what the policy in force and the draft answer
///
/// The requests are what `portcullis request list --json` prints, or one a line as JSON: checkpoint, person, organization, uses, days,
/// agreement, approvals. Requests of other checkpoints are passed over in such a list, which tells nothing of who approved.
#[derive(Debug, Args)]
pub(in crate::cli) struct Simulate {
    /// The draft
    draft: PathBuf,

    /// The requests; `-` reads standard input, such as `portcullis request list --json | portcullis policy simulate … --requests -`
    #[arg(long, value_name = "FILE", required_unless_present = "grants")]
    requests: Option<PathBuf>,

    /// The stage that they ask under
    #[arg(long, required_unless_present = "grants")]
    stage: Option<StageName>,

    /// Instead, say for each grant that stands now whether it goes on or ends if the draft comes into force, and by which rule
    #[arg(long, conflicts_with_all = ["requests", "stage", "in_force", "agreement", "at"])]
    grants: bool,

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
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let draft = read(&self.draft)?;
        let (Some(requests), Some(stage)) = (&self.requests, &self.stage) else {
            let policy = &text(&self.draft, MAX_POLICY_BYTES)?;
            let grants = Grants::under(Proposed { policy, ..Proposed::default() }, home, output)?;
            return output.result(&grants.json(), grants.text()?);
        };
        let in_force = self.in_force.as_deref().map(read).transpose()?;
        require_stage(stage, &draft, in_force.as_ref())?;
        let agreement = self.agreement.as_deref().map(|path| files::read(path, 1 << 20)).transpose()?;
        let (applications, names) = applications(requests, &draft)?;
        let simulation = Simulation {
            in_force: in_force.as_ref(),
            draft: &draft,
            stage,
            terms: agreement
                .map(|bytes| Terms { agreement: Some(Sha256Digest::compute(&bytes)), ..Terms::default() }),
            now: self.at.unwrap_or_else(Timestamp::now),
        };
        let results: Vec<_> = policy::simulate(simulation, &applications).collect();
        let mut report = String::new();
        for (place, result) in results.iter().enumerate() {
            let who = format!("{}. {}", place + 1, named(result, names.get(place)));
            write!(report, "{}", lines(&who, result)?)?;
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

/// A request as `request list --json` prints it.
#[derive(Deserialize)]
struct Listed {
    request: Request,
}

/// Refuses a stage of which no policy here says anything: everybody would be refused, for no reason of their own.
fn require_stage(
    stage: &policy::StageName,
    draft: &policy::Policy,
    in_force: Option<&policy::Policy>,
) -> Result<(), Refusal> {
    if [Some(draft), in_force].into_iter().flatten().any(|policy| policy.stage(stage).is_some()) {
        return Ok(());
    }
    let stages: Vec<_> = draft.stages.iter().map(|stage| stage.name.to_string()).collect();
    Err(Refusal::usage(
        format!("the draft has no stage `{stage}`"),
        format!("its stages: {}", stages.join(", ")),
    ))
}

/// The applications of a file, or of standard input: a list of requests, or one application a line. Of requests, who asks is known by name.
fn applications(path: &Path, draft: &policy::Policy) -> anyhow::Result<(Vec<Application>, Vec<String>)> {
    let is_stdin = path.as_os_str() == "-";
    let place = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
    let text = if is_stdin {
        let bytes = read_stdin(MAX_BYTES).context("cannot read standard input")?;
        String::from_utf8(bytes)
            .map_err(|_| Refusal::usage("standard input is not UTF-8", "convert it to UTF-8 first"))?
    } else {
        text(path, MAX_BYTES)?
    };
    if !text.trim_start().starts_with('[') {
        return Ok((policy::read_applications(&text).context(place)?, Vec::new()));
    }
    let listed: Vec<Listed> = crate::json::from_str(&text).map_err(|error| {
        let next = "give what `portcullis request list --json` prints, or one application a line";
        Refusal::unverified(format!("{place} is no list of requests: {error}"), next)
    })?;
    let (mut applications, mut names) = (Vec::new(), Vec::new());
    for Listed { request } in listed {
        if request.checkpoint == draft.checkpoint {
            applications.extend(applications_of(&request).context(place.clone())?);
            let called = |card: &crate::identity::Card| person(&card.name, card.verifying_key.id());
            names.extend(request.holders()?.iter().map(called));
        }
    }
    Ok((applications, names))
}

/// What a request asks for, for each of its people. Approvals are not told with it: what the board confirms of an organization is taken as
/// confirmed.
fn applications_of(request: &Request) -> anyhow::Result<Vec<Application>> {
    let holders = request.holders()?.into_iter();
    let application = |card: crate::identity::Card| Application {
        checkpoint: request.checkpoint.clone(),
        person: PersonKey::from_bytes(*card.verifying_key.as_bytes()),
        organization: card.organization.and_then(|name| name.as_str().parse().ok()),
        confirmed_until: Some(request.created.plus_days(LONG_CONFIRMED)),
        uses: request.uses.clone(),
        days: request.days,
        agreement: request.agreement,
        approvals: std::collections::BTreeMap::new(),
        approvers: std::collections::BTreeMap::new(),
    };
    Ok(holders.map(application).collect())
}

/// Who applies: by name, if a request tells it.
fn named(result: &Simulated<'_>, name: Option<&String>) -> String {
    let key = || result.application.person.to_string().chars().take(8).collect();
    name.map_or_else(key, |name| one_line(name))
}

fn lines(who: &str, result: &Simulated<'_>) -> Result<String, std::fmt::Error> {
    let of = result.application.organization.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    let answer = word(result.draft.verdict());
    let mut text = format!("{who}{of}: ");
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
