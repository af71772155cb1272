//! Whether the board may move a checkpoint to another stage, with the result of every rule.
//!
//! A release moves forward one stage at a time, so that the required time and evidence cannot be skipped. It may move back to any earlier
//! stage at any time, because that only narrows access.

use std::fmt;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use super::decide::Verdict;
use super::stage::{EvidenceBound, Policy, Stage};
use super::word::{EvidenceKind, Metric, StageName};
use crate::time::Timestamp;

/// A signed measurement; the caller has verified the signature.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    pub kind: EvidenceKind,
    pub metric: Metric,
    pub value: f64,
    /// The number of samples behind the value.
    pub samples: u64,
}

/// The stage that a checkpoint is in.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentStage<'a> {
    pub stage: &'a StageName,
    /// When the board entered it.
    pub since: Timestamp,
}

/// A rule for moving between stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryRule {
    /// The policy has not expired; moves back do not require it.
    NotExpired,
    /// The policy has the stage.
    StageExists,
    /// One stage forward, or any number back.
    Order,
    /// The required days in the previous stage.
    Soak,
    /// One piece of evidence.
    Evidence,
}

#[derive(Debug, Clone, Copy)]
enum Matter<'a> {
    Expiry { expires: Timestamp, now: Timestamp },
    Stage(&'a StageName),
    Back { to: &'a StageName },
    Already { to: &'a StageName },
    First { to: &'a StageName, first: &'a StageName, from: Option<&'a StageName> },
    Forward { from: &'a StageName, to: &'a StageName, next: &'a StageName },
    Soak { days: u32, until: Timestamp },
    NoSoak,
    Unsoaked { days: u32 },
    Evidence { bound: &'a EvidenceBound, found: Option<&'a Measurement> },
}

/// The result of one rule; its `Display` states the requirement and what is there.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy)]
pub struct EntryOutcome<'a> {
    pub rule: EntryRule,
    pub verdict: Verdict,
    matter: Matter<'a>,
}

/// The results of all rules for a move.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    rules: Vec<EntryOutcome<'a>>,
}

impl<'a> Entry<'a> {
    /// The results in order.
    pub fn rules(&self) -> &[EntryOutcome<'a>] {
        &self.rules
    }

    /// Whether the move is permitted now.
    pub fn permits(&self) -> bool {
        self.rules.iter().all(|rule| rule.verdict == Verdict::Passed)
    }

    /// Whether time or further evidence may still permit the move.
    pub fn could_permit(&self) -> bool {
        self.rules.iter().all(|rule| rule.verdict != Verdict::Failed)
    }
}

/// Checks whether the board may enter `to` from the current stage, or as the first stage.
pub fn may_enter<'a>(
    policy: &'a Policy,
    from: Option<CurrentStage<'a>>,
    to: &'a StageName,
    evidence: &'a [Measurement],
    now: Timestamp,
) -> Entry<'a> {
    let mut rules = Vec::new();
    let mut say = |rule, verdict, matter| rules.push(EntryOutcome { rule, verdict, matter });
    let position = policy.position(to);
    let Some((position, stage)) = position.and_then(|at| Some((at, policy.stages.get(at)?))) else {
        say(EntryRule::StageExists, Verdict::Failed, Matter::Stage(to));
        return Entry { rules };
    };
    say(EntryRule::StageExists, Verdict::Passed, Matter::Stage(to));
    let here = from.and_then(|from| policy.position(from.stage));
    if here.is_some_and(|here| position < here) {
        say(EntryRule::Order, Verdict::Passed, Matter::Back { to });
        return Entry { rules };
    }
    let in_force = if now < policy.expires { Verdict::Passed } else { Verdict::Failed };
    say(EntryRule::NotExpired, in_force, Matter::Expiry { expires: policy.expires, now });
    let (verdict, matter) = order(policy, from, here, position);
    say(EntryRule::Order, verdict, matter);
    rules.extend(requirements(stage, from.filter(|_| here.is_some()), evidence, now));
    Entry { rules }
}

/// Whether the stage may follow the current one; moves back are handled before.
fn order<'a>(
    policy: &'a Policy,
    from: Option<CurrentStage<'a>>,
    here: Option<usize>,
    position: usize,
) -> (Verdict, Matter<'a>) {
    let to = &policy.stages[position].name;
    let passed = |yes: bool| if yes { Verdict::Passed } else { Verdict::Failed };
    match (from, here) {
        (Some(_), Some(here)) if here == position => (Verdict::Failed, Matter::Already { to }),
        (Some(from), Some(here)) => {
            let next = &policy.stages[(here + 1).min(position)].name;
            (passed(here + 1 == position), Matter::Forward { from: from.stage, to, next })
        }
        (from, _) => {
            let first = &policy.stages[0].name;
            let from = from.map(|from| from.stage);
            (passed(position == 0), Matter::First { to, first, from })
        }
    }
}

fn requirements<'a>(
    stage: &'a Stage,
    from: Option<CurrentStage<'a>>,
    evidence: &'a [Measurement],
    now: Timestamp,
) -> impl Iterator<Item = EntryOutcome<'a>> {
    let (verdict, matter) = match (stage.requires.soak_days, from) {
        (0, _) => (Verdict::Passed, Matter::NoSoak),
        (days, None) => (Verdict::Failed, Matter::Unsoaked { days }),
        (days, Some(from)) => {
            let until = from.since.plus_days(days);
            let verdict = if now >= until { Verdict::Passed } else { Verdict::Awaits };
            (verdict, Matter::Soak { days, until })
        }
    };
    let soak = EntryOutcome { rule: EntryRule::Soak, verdict, matter };
    std::iter::once(soak).chain(stage.requires.evidence.iter().map(|bound| judge_evidence(bound, evidence)))
}

/// A measurement outside the bound is not outvoted by others; one with too few samples is ignored.
fn judge_evidence<'a>(bound: &'a EvidenceBound, evidence: &'a [Measurement]) -> EntryOutcome<'a> {
    let of_kind = |one: &&Measurement| one.kind == bound.kind && one.metric == bound.metric;
    let counted = || evidence.iter().filter(of_kind).filter(|one| one.samples >= bound.samples);
    let (verdict, found) = match counted().find(|one| !bound.admits(one.value)) {
        Some(miss) => (Verdict::Failed, Some(miss)),
        None => match counted().next() {
            Some(hit) => (Verdict::Passed, Some(hit)),
            None => (Verdict::Awaits, evidence.iter().find(of_kind)),
        },
    };
    EntryOutcome { rule: EntryRule::Evidence, verdict, matter: Matter::Evidence { bound, found } }
}

impl fmt::Display for EntryOutcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.verdict == Verdict::Passed;
        match self.matter {
            Matter::Expiry { expires, .. } if passed => write!(f, "the policy is valid until {expires}"),
            Matter::Expiry { expires, now } => write!(f, "the policy expired at {expires}; it is now {now}"),
            Matter::Stage(name) if passed => write!(f, "the policy has the stage {name}"),
            Matter::Stage(name) => write!(f, "the policy has no stage {name}"),
            Matter::Back { to } => write!(f, "going back to {to} narrows, which is always allowed"),
            Matter::Already { to } => write!(f, "{to} is already in force"),
            Matter::First { to, .. } if passed => write!(f, "{to} is the first stage"),
            Matter::First { to, first, from: None } => {
                write!(f, "{to} is not the first stage; a release begins with {first}")
            }
            Matter::First { to, first, from: Some(from) } => {
                write!(f, "the policy has no stage {from} to go to {to} from; begin with {first}")
            }
            Matter::Forward { from, to, .. } if passed => write!(f, "{to} follows {from}"),
            Matter::Forward { from, to, next } => {
                write!(f, "{to} does not follow {from}: {next} comes between")
            }
            Matter::Soak { days, until } if passed => write!(f, "{days} days ended on {}", until.date()),
            Matter::Soak { days, until } => write!(f, "{days} days end on {}", until.date()),
            Matter::Unsoaked { days } => {
                write!(f, "{days} days in the previous stage are required, but there is none")
            }
            Matter::NoSoak => f.write_str("no time in the previous stage is required"),
            Matter::Evidence { bound, found: None } => write!(f, "{bound} is required; there is none"),
            Matter::Evidence { bound, found: Some(found) } => {
                write!(f, "{bound} is required; there is {} on {} samples", found.value, found.samples)
            }
        }
    }
}

impl Serialize for EntryOutcome<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut outcome = serializer.serialize_struct("EntryOutcome", 3)?;
        outcome.serialize_field("rule", &self.rule)?;
        outcome.serialize_field("verdict", &self.verdict)?;
        outcome.serialize_field("words", &format_args!("{self}"))?;
        outcome.end()
    }
}
