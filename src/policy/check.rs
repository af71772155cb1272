//! Likely mistakes in a policy: stages that admit no one, access that widens without a requirement, bounds that nothing meets.

use serde::Serialize;

use super::boards::Boards;
use super::diff::{Effect, access_changes};
use super::stage::{AffiliationProof, Audience, EvidenceBound, Policy, Stage};
use super::succession::require_succession;
use super::word::StageName;
use crate::time::Timestamp;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policy should not be signed.
    Error,
    /// Worth a second look.
    Warning,
}

impl Severity {
    /// As written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A likely mistake in a policy.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// The stage concerned, or `None` for the whole policy.
    pub stage: Option<StageName>,
    /// The line, counted from 1.
    pub line: usize,
    /// The problem.
    pub words: String,
    /// The remedy.
    pub remedy: String,
}

/// Collects findings.
pub(super) struct Findings<'a> {
    stage: Option<&'a StageName>,
    pub(super) found: Vec<Finding>,
}

impl Findings<'_> {
    pub(super) fn error(&mut self, line: usize, words: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Error, line, words.into(), remedy.into());
    }

    pub(super) fn warning(&mut self, line: usize, words: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Warning, line, words.into(), remedy.into());
    }

    fn add(&mut self, severity: Severity, line: usize, words: String, remedy: String) {
        self.found.push(Finding { severity, stage: self.stage.cloned(), line, words, remedy });
    }
}

/// All findings in a policy, in the order of its lines. Thresholds are compared with known boards only.
pub fn check(policy: &Policy, boards: &Boards, now: Timestamp) -> Vec<Finding> {
    let mut findings = Findings { stage: None, found: Vec::new() };
    if policy.expires <= now {
        let words = format!("the policy expired at {}: it permits nothing", policy.expires);
        findings.error(policy.expires_line, words, "set `expires` to a later date, and raise `version`");
    } else if policy.expires <= now.plus_days(30) {
        let words = format!("the policy expires on {}, within 30 days", policy.expires.date());
        findings.warning(policy.expires_line, words, "prepare the next version");
    }
    let before = std::iter::once(None).chain(policy.stages.iter().map(Some));
    for (stage, before) in policy.stages.iter().zip(before) {
        findings.stage = Some(&stage.name);
        if stage.is_public() {
            public(&mut findings, stage);
        } else {
            gated(&mut findings, stage);
            limits(&mut findings, stage);
        }
        boards.find(&mut findings, stage);
        for bound in &stage.requires.evidence {
            evidence(&mut findings, bound);
        }
        match before {
            Some(before) => widening(&mut findings, before, stage),
            None if stage.requires.soak_days > 0 => findings.error(
                stage.lines.name,
                format!(
                    "requires {} days in the previous stage, but it is the first",
                    stage.requires.soak_days
                ),
                "drop `soak_days` here, or put a stage before it",
            ),
            None => {}
        }
    }
    let mut found = findings.found;
    found.sort_by_key(|finding| finding.line);
    found
}

/// The finding if a policy may not follow the earlier ones, which are in the order of their versions, the last in force.
pub fn check_succession(earlier: &[Policy], next: &Policy) -> Option<Finding> {
    let refused = require_succession(earlier, next).err()?;
    let line = if refused.min_kept().is_some() { next.keeps_line } else { next.version_line };
    let remedy = match refused.min_kept() {
        Some(least) => format!(
            "write `keeps_grants_from = {least}` or a later version, or leave the line out: then every grant made before it ends"
        ),
        None => "raise `version`".to_owned(),
    };
    let words = format!("the policy {refused}");
    Some(Finding { severity: Severity::Error, stage: None, line, words, remedy })
}

fn public(findings: &mut Findings<'_>, stage: &Stage) {
    let limits = [
        (!stage.uses.is_empty(), "uses", stage.lines.uses),
        (stage.limits.max_days.is_some(), "max_days", stage.lines.max_days),
        (stage.limits.lease_hours.is_some(), "lease_hours", stage.lines.lease_hours),
        (stage.limits.tokens_per_day.is_some(), "limits.tokens_per_day", stage.lines.tokens_per_day),
    ];
    for (_, key, line) in limits.into_iter().filter(|(there, ..)| *there) {
        let words = format!("`{key}` has no effect: the stage is public, so anyone can keep the weights");
        findings.warning(line, words, format!("drop `{key}`, or gate the stage with an agreement"));
    }
}

fn gated(findings: &mut Findings<'_>, stage: &Stage) {
    if stage.audience.is_empty() {
        let remedy = "name organizations or people, or write `audience = \"anyone\"`";
        findings.error(stage.lines.audience, "nobody can request access: the audience is empty", remedy);
    }
    if let Audience::Named { organizations, affiliation: AffiliationProof::Confirmed, .. } = &stage.audience
        && organizations.is_empty()
    {
        let words = "`affiliation` has no effect: no organization is named";
        findings.warning(stage.lines.audience, words, "drop it, or name organizations");
    }
    if stage.uses.is_empty() {
        let words = "nobody can request access: no use is allowed, and a request names at least one";
        findings.error(stage.lines.uses, words, "list what the weights may be used for in `uses`");
    }
    if stage.agreement.is_none() {
        let words = "the stage is gated but requires no agreement: recipients of the weights promise nothing";
        findings.error(stage.lines.name, words, "name the agreement, such as `agreement = \"agreement.md\"`");
    }
}

fn limits(findings: &mut Findings<'_>, stage: &Stage) {
    let (limits, lines) = (stage.limits, stage.lines);
    let days = limits.max_days;
    if days == Some(0) {
        let words = "nobody can request access: a grant of at most 0 days expires at once";
        findings.error(lines.max_days, words, "give at least 1 day");
    }
    if limits.tokens_per_day == Some(0) {
        findings.error(lines.tokens_per_day, "0 tokens a day: nothing can be generated", "allow at least 1");
    }
    match limits.lease_hours {
        Some(0) => {
            findings.error(lines.lease_hours, "a lease of 0 hours expires at once", "24 is usual");
        }
        Some(hours) if days.is_some_and(|days| days > 0 && u64::from(hours) > u64::from(days) * 24) => {
            let words = format!("a lease of {hours} hours outlives every grant");
            findings.error(lines.lease_hours, words, "keep it within `max_days`; 24 is usual");
        }
        Some(hours) if hours > 7 * 24 => {
            let words = format!("a lease of {hours} hours: a revocation takes that long to take effect");
            findings.warning(lines.lease_hours, words, "renew at least weekly; 24 is usual");
        }
        _ => {}
    }
}

/// Whether the metric's name says that it is a share between 0 and 1.
fn is_share(metric: &str) -> bool {
    let endings = ["accuracy", "auroc", "rate", "share", "fraction", "precision", "recall", "f1"];
    endings.iter().any(|ending| {
        metric.strip_suffix(ending).is_some_and(|rest| rest.is_empty() || rest.ends_with(['_', '-']))
    })
}

/// Whether the metric's name says that it counts something and is never negative.
fn is_count(metric: &str) -> bool {
    ["cases", "count", "differences", "incidents"].iter().any(|ending| metric.ends_with(ending))
}

fn evidence(findings: &mut Findings<'_>, bound: &EvidenceBound) {
    let (least, max) = (bound.at_least, bound.at_most);
    let share = is_share(bound.metric.as_str());
    let unmet = if let (Some(least), Some(max)) = (least, max)
        && least > max
    {
        format!("at least {least} and at most {max} at once")
    } else if let Some(least) = least.filter(|least| share && *least > 1.0) {
        format!("at least {least}, and a share is at most 1")
    } else if let Some(max) = max.filter(|max| (share || is_count(bound.metric.as_str())) && *max < 0.0) {
        format!("at most {max}, and it is never below 0")
    } else {
        return;
    };
    let words = format!("{} {} cannot be met: {unmet}", bound.kind, bound.metric);
    findings.error(bound.line, words, "correct the bound");
}

/// A stage that gives more than the previous one must require time or evidence first.
fn widening(findings: &mut Findings<'_>, before: &Stage, stage: &Stage) {
    let changes = access_changes(before, stage);
    let mut wider = changes.iter().filter(|change| change.effect == Effect::Widens).peekable();
    if wider.peek().is_none() {
        let narrower = changes.iter().any(|change| change.effect == Effect::Narrows);
        if narrower {
            let words = format!("only narrows what {} gives, yet comes after it", before.name);
            findings.warning(stage.lines.name, words, "order the stages from the narrowest to the widest");
        }
        return;
    }
    if stage.requires.is_empty() {
        let gains: Vec<_> = wider.map(|change| change.words.as_str()).collect();
        let words =
            format!("widens access over {} and requires nothing first: {}", before.name, gains.join("; "));
        let remedy = "add [stage.requires] with soak_days, or evidence";
        findings.error(stage.lines.name, words, remedy);
    }
}
