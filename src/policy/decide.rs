//! Whether a policy permits an application, with every rule's answer.
//!
//! Pure and total: the same arguments give the same answer on the registry, the client and an auditor's desk. Nothing
//! is allocated but the list of rules; the words are put together when somebody reads them.

use std::collections::BTreeSet;
use std::fmt;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::application::{Application, Terms};
use super::seats::{Seats, fill_seats};
use super::stage::{Audience, Policy, Stage};
use super::word::{AgreementName, BoardName, Organization, PersonKey, StageName, Use};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// What a rule answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is content.
    Passed,
    /// It is content once something has come in that still may.
    Awaits,
    /// It refuses, whatever comes in.
    Failed,
}

/// Which rule answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The policy governs the checkpoint that is asked for.
    PolicyForThisCheckpoint,
    /// The policy is in force still.
    NotExpired,
    /// The policy has the stage.
    StageExists,
    /// The stage is for this person.
    Audience,
    /// A registrar confirms that the person belongs to the organization.
    Affiliation,
    /// The stage is for these uses.
    Uses,
    /// The stage gives so many days.
    Days,
    /// The agreement in force was signed.
    Agreement,
    /// Enough people of a board approved.
    Approvals,
}

impl Rule {
    /// As it is written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PolicyForThisCheckpoint => "policy-for-this-checkpoint",
            Self::NotExpired => "not-expired",
            Self::StageExists => "stage-exists",
            Self::Audience => "audience",
            Self::Affiliation => "affiliation",
            Self::Uses => "uses",
            Self::Days => "days",
            Self::Agreement => "agreement",
            Self::Approvals => "approvals",
        }
    }
}

/// What was asked and what the rule wants.
#[derive(Debug, Clone, Copy)]
enum Matter<'a> {
    Checkpoint { governs: &'a CheckpointId, asked: &'a CheckpointId },
    Expiry { expires: Timestamp, now: Timestamp },
    Stage { asked: &'a StageName },
    Audience { audience: &'a Audience, person: PersonKey, organization: Option<&'a Organization> },
    Affiliation { organization: Option<&'a Organization>, until: Option<Timestamp> },
    Uses { allowed: &'a BTreeSet<Use>, asked: &'a BTreeSet<Use>, public: bool },
    Days { max: Option<u32>, asked: u32 },
    Agreement { name: Option<&'a AgreementName>, force: Option<Sha256Digest>, signed: Option<Sha256Digest> },
    Approvals { board: &'a BoardName, seats: Seats },
    NoApprovals,
}

/// One rule's answer; its `Display` says what was asked and what the rule wants.
#[derive(Debug, Clone, Copy)]
pub struct RuleOutcome<'a> {
    /// Which rule.
    pub rule: Rule,
    /// What it answered.
    pub verdict: Verdict,
    matter: Matter<'a>,
}

/// Every rule's answer to one application.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    rules: Vec<RuleOutcome<'a>>,
}

impl<'a> Decision<'a> {
    /// The rules in order. Without the stage there are none of its own: the list ends where it is missed.
    pub fn rules(&self) -> &[RuleOutcome<'a>] {
        &self.rules
    }

    /// Whether every rule is content.
    pub fn permits(&self) -> bool {
        self.rules.iter().all(|rule| rule.verdict == Verdict::Passed)
    }

    /// Whether no rule refuses for good: what is missing may still come in.
    pub fn could_permit(&self) -> bool {
        self.rules.iter().all(|rule| rule.verdict != Verdict::Failed)
    }

    /// The weakest of the verdicts.
    pub fn verdict(&self) -> Verdict {
        match (self.permits(), self.could_permit()) {
            (true, _) => Verdict::Passed,
            (false, true) => Verdict::Awaits,
            (false, false) => Verdict::Failed,
        }
    }
}

/// Asks every rule of a stage whether it permits an application.
pub fn decide<'a>(
    policy: &'a Policy,
    stage: &'a StageName,
    application: &'a Application,
    terms: Terms,
    now: Timestamp,
) -> Decision<'a> {
    let mut rules = Vec::with_capacity(9);
    let governs = Matter::Checkpoint { governs: &policy.checkpoint, asked: &application.checkpoint };
    rules.push(answer(Rule::PolicyForThisCheckpoint, policy.checkpoint == application.checkpoint, governs));
    let expiry = Matter::Expiry { expires: policy.expires, now };
    rules.push(answer(Rule::NotExpired, now < policy.expires, expiry));
    let found = policy.stage(stage);
    rules.push(answer(Rule::StageExists, found.is_some(), Matter::Stage { asked: stage }));
    if let Some(stage) = found {
        ask_stage(&mut rules, stage, application, terms, now);
    }
    Decision { rules }
}

fn ask_stage<'a>(
    rules: &mut Vec<RuleOutcome<'a>>,
    stage: &'a Stage,
    asked: &'a Application,
    terms: Terms,
    now: Timestamp,
) {
    let organization = asked.organization.as_ref();
    let admitted = stage.audience.admits(asked.person, organization);
    let audience = Matter::Audience { audience: &stage.audience, person: asked.person, organization };
    rules.push(answer(Rule::Audience, admitted, audience));
    // Of somebody who is not admitted at all, confirming would not mend it.
    if admitted && stage.audience.requires_confirmation(asked.person) {
        let until = asked.confirmed_until;
        let confirmed = until.is_some_and(|until| now < until);
        rules.push(answer(Rule::Affiliation, confirmed, Matter::Affiliation { organization, until }));
    }

    let public = stage.is_public();
    let in_uses = public || (!asked.uses.is_empty() && asked.uses.is_subset(&stage.uses));
    let uses = Matter::Uses { allowed: &stage.uses, asked: &asked.uses, public };
    rules.push(answer(Rule::Uses, in_uses, uses));

    let max = stage.limits.max_days;
    let in_days = asked.days > 0 && max.is_none_or(|max| asked.days <= max);
    rules.push(answer(Rule::Days, in_days, Matter::Days { max, asked: asked.days }));

    let (force, signed) = (terms.agreement, asked.agreement);
    let verdict = match (&stage.agreement, force, signed) {
        (None, _, _) => Verdict::Passed,
        (Some(_), Some(_), None) => Verdict::Awaits,
        (Some(_), Some(force), Some(signed)) if force == signed => Verdict::Passed,
        (Some(_), _, _) => Verdict::Failed,
    };
    let matter = Matter::Agreement { name: stage.agreement.as_ref(), force, signed };
    rules.push(RuleOutcome { rule: Rule::Agreement, verdict, matter });

    if stage.approvals.is_empty() {
        rules.push(answer(Rule::Approvals, true, Matter::NoApprovals));
    }
    let demands = stage.demands(terms.board_threshold);
    for (board, seats) in fill_seats(demands, &asked.approvals, &asked.approvers) {
        let verdict = if seats.filled >= seats.demand.need { Verdict::Passed } else { Verdict::Awaits };
        rules.push(RuleOutcome {
            rule: Rule::Approvals,
            verdict,
            matter: Matter::Approvals { board, seats },
        });
    }
}

fn answer(rule: Rule, content: bool, matter: Matter<'_>) -> RuleOutcome<'_> {
    let verdict = if content { Verdict::Passed } else { Verdict::Failed };
    RuleOutcome { rule, verdict, matter }
}

impl fmt::Display for RuleOutcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.verdict == Verdict::Passed;
        match self.matter {
            Matter::Checkpoint { governs, .. } if passed => write!(f, "the policy governs {governs}"),
            Matter::Checkpoint { governs, asked } => {
                write!(f, "{asked} is requested, but the policy governs {governs}")
            }
            Matter::Expiry { expires, .. } if passed => write!(f, "the policy is valid until {expires}"),
            Matter::Expiry { expires, now } => write!(f, "the policy expired at {expires}; it is now {now}"),
            Matter::Stage { asked } if passed => write!(f, "the policy has the stage {asked}"),
            Matter::Stage { asked } => write!(f, "the policy has no stage {asked}"),
            Matter::Audience { audience, person, organization } => {
                say_audience(f, audience, person, organization)
            }
            Matter::Affiliation { organization, until } => say_affiliation(f, organization, until, passed),
            Matter::Uses { public: true, .. } => f.write_str("any use is allowed"),
            Matter::Uses { asked, .. } if passed => write!(f, "{} may be asked for", List(asked)),
            Matter::Uses { allowed, asked, .. } => say_uses(f, allowed, asked),
            Matter::Days { asked: 0, .. } => {
                f.write_str("0 days are requested, but a grant lasts at least 1")
            }
            Matter::Days { max: None, asked } => write!(f, "{} requested; there is no limit", Days(asked)),
            Matter::Days { max: Some(max), asked } => {
                write!(f, "{} requested; the limit is {max}", Days(asked))
            }
            Matter::Agreement { name, force, signed } => say_agreement(f, name, force, signed),
            Matter::Approvals { board, seats } => say_approvals(f, board, seats),
            Matter::NoApprovals => f.write_str("no approval is required"),
        }
    }
}

/// A number of days as the subject of a sentence.
struct Days(u32);

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 1 { f.write_str("1 day is") } else { write!(f, "{} days are", self.0) }
    }
}

/// Words in a row, or `nothing`.
struct List<'a, T>(&'a BTreeSet<T>);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (i, word) in self.0.iter().enumerate() {
            write!(f, "{}{word}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

fn say_audience(
    f: &mut fmt::Formatter<'_>,
    audience: &Audience,
    person: PersonKey,
    organization: Option<&Organization>,
) -> fmt::Result {
    let Audience::Named { organizations, people, .. } = audience else {
        return f.write_str("anyone may ask");
    };
    match organization {
        _ if people.contains(&person) => return f.write_str("the person is named"),
        Some(name) if organizations.contains(name) => return write!(f, "{name} is admitted"),
        Some(name) => write!(f, "{name} is not admitted, nor is the person named")?,
        None => f.write_str("the person belongs to no organization on record and is not named")?,
    }
    match organizations.len() {
        0 => Ok(()),
        _ => write!(f, "; admitted: {}", List(organizations)),
    }
}

fn say_affiliation(
    f: &mut fmt::Formatter<'_>,
    organization: Option<&Organization>,
    until: Option<Timestamp>,
    passed: bool,
) -> fmt::Result {
    // Who is admitted for an organization has one.
    let Some(name) = organization else { return f.write_str("the person belongs to no organization") };
    match until {
        Some(until) if passed => write!(f, "a registrar of {name} confirms the person until {until}"),
        Some(until) => write!(f, "the confirmation by a registrar of {name} expired at {until}"),
        None => write!(f, "no registrar of {name} has confirmed the person"),
    }
}

fn say_uses(f: &mut fmt::Formatter<'_>, allowed: &BTreeSet<Use>, asked: &BTreeSet<Use>) -> fmt::Result {
    if asked.is_empty() {
        write!(f, "no use is named")?;
    }
    for (i, one) in asked.difference(allowed).enumerate() {
        write!(f, "{}{one}", if i == 0 { "not allowed in this stage: " } else { ", " })?;
    }
    write!(f, "; open: {}", List(allowed))
}

fn say_agreement(
    f: &mut fmt::Formatter<'_>,
    name: Option<&AgreementName>,
    force: Option<Sha256Digest>,
    signed: Option<Sha256Digest>,
) -> fmt::Result {
    match (name, force, signed) {
        (None, _, _) => f.write_str("no agreement is required"),
        (Some(name), None, _) => write!(f, "the catalogue has no {name}"),
        (Some(name), Some(force), None) => write!(f, "{name} ({force}) must be signed"),
        (Some(name), Some(force), Some(signed)) if force == signed => write!(f, "{name} is signed"),
        (Some(name), Some(force), Some(signed)) => {
            write!(f, "{signed} was signed, but the {name} in force is {force}")
        }
    }
}

fn say_approvals(f: &mut fmt::Formatter<'_>, board: &BoardName, seats: Seats) -> fmt::Result {
    let Seats { demand, filled, elsewhere } = seats;
    write!(f, "{filled} of {} approvals of {board}", demand.need)?;
    if demand.by_catalogue {
        write!(f, " (the catalogue's threshold)")?;
    }
    match elsewhere {
        0 => Ok(()),
        _ if filled >= demand.need => Ok(()),
        1 => write!(f, "; 1 more of its members approved and counts for another board: one person, one seat"),
        _ => write!(
            f,
            "; {elsewhere} more of its members approved and count for other boards: one person, one seat"
        ),
    }
}

impl Serialize for RuleOutcome<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut outcome = serializer.serialize_struct("RuleOutcome", 3)?;
        outcome.serialize_field("rule", &self.rule)?;
        outcome.serialize_field("verdict", &self.verdict)?;
        outcome.serialize_field("words", &format_args!("{self}"))?;
        outcome.end()
    }
}

impl Serialize for Decision<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut decision = serializer.serialize_struct("Decision", 2)?;
        decision.serialize_field("verdict", &self.verdict())?;
        decision.serialize_field("rules", &self.rules)?;
        decision.end()
    }
}
