//! The differences between two policies or two stages, in plain words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::num::NonZeroU32;

use serde::Serialize;

use super::stage::{AffiliationProof, Audience, EvidenceBound, Policy, Requires, Stage};
use super::word::{BoardName, StageName};

/// Whether a change permits more or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// More is permitted.
    Widens,
    /// Less is permitted.
    Narrows,
    /// Neither, or it cannot be decided.
    Differs,
}

impl Effect {
    /// As written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Widens => "widens",
            Self::Narrows => "narrows",
            Self::Differs => "differs",
        }
    }

    fn from_widening(widens: bool) -> Self {
        if widens { Self::Widens } else { Self::Narrows }
    }
}

/// A difference between two policies.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The stage concerned, or `None` for the whole policy.
    pub stage: Option<StageName>,
    pub effect: Effect,
    /// The change in words.
    pub words: String,
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stage {
            Some(stage) => write!(f, "{stage}: {} ({})", self.words, self.effect.as_str()),
            None => write!(f, "{} ({})", self.words, self.effect.as_str()),
        }
    }
}

/// Collects changes.
struct Changes {
    stage: Option<StageName>,
    found: Vec<Change>,
}

impl Changes {
    fn say(&mut self, effect: Effect, words: impl Display) {
        self.found.push(Change { stage: self.stage.clone(), effect, words: words.to_string() });
    }
}

/// The changes from `old` to `new`, stage by stage.
pub fn diff(old: &Policy, new: &Policy) -> Vec<Change> {
    let mut changes = Changes { stage: None, found: Vec::new() };
    if old.checkpoint != new.checkpoint {
        let words = format_args!("governs {} instead of {}", new.checkpoint, old.checkpoint);
        changes.say(Effect::Differs, words);
    }
    if old.version > new.version {
        let words =
            format!("version {} would follow version {}: versions must increase", new.version, old.version);
        changes.say(Effect::Differs, words);
    }
    if old.expires != new.expires {
        let words = format!("ends {} instead of {}", new.expires.date(), old.expires.date());
        changes.say(Effect::from_widening(new.expires > old.expires), words);
    }
    grants(&mut changes, old, new);
    for stage in &old.stages {
        if new.stage(&stage.name).is_none() {
            changes.say(Effect::Narrows, format_args!("the stage {} was removed", stage.name));
        }
    }
    order(&mut changes, old, new);
    let mut found = changes.found;
    let whole = found.len();
    for stage in &new.stages {
        match old.stage(&stage.name) {
            Some(before) => found.extend(stage_changes(before, stage)),
            None => found.push(Change {
                stage: Some(stage.name.clone()),
                effect: Effect::Widens,
                words: format!("is a new stage, for {}", audience(&stage.audience)),
            }),
        }
    }
    if old.version == new.version && !found.is_empty() {
        let words = format!("both have version {}: raise it", new.version);
        found.insert(whole, Change { stage: None, effect: Effect::Differs, words });
    }
    found
}

/// Which earlier grants stay valid. By default all of them end, which is not a change.
fn grants(changes: &mut Changes, old: &Policy, new: &Policy) {
    let from = new.keeps_grants_from;
    if new.version <= old.version {
        return;
    }
    if from < old.keeps_grants_from {
        let words = format!(
            "would keep grants made under version {from} or later, but grants made before version {} have ended",
            old.keeps_grants_from
        );
        changes.say(Effect::Differs, words);
    } else if new.keeps_grants() {
        let words = format_args!("grants made under version {from} or later stay valid if it permits them");
        changes.say(Effect::Differs, words);
    }
}

fn order(changes: &mut Changes, old: &Policy, new: &Policy) {
    let names = |policy: &Policy, other: &Policy| -> Vec<StageName> {
        let names = policy.stages.iter().map(|stage| &stage.name);
        names.filter(|name| other.stage(name).is_some()).cloned().collect()
    };
    let (before, after) = (names(old, new), names(new, old));
    if before != after {
        let row = after.iter().map(StageName::as_str).collect::<Vec<_>>().join(", ");
        changes.say(Effect::Differs, format_args!("the stages come in another order: {row}"));
    }
}

/// An audience in words.
pub(super) fn audience(audience: &Audience) -> String {
    match audience {
        Audience::Anyone => "anyone".to_owned(),
        Audience::Named { organizations, people, affiliation } => {
            let mut names: Vec<_> = organizations.iter().map(ToString::to_string).collect();
            match people.len() {
                0 => {}
                1 => names.push("1 person".to_owned()),
                count => names.push(format!("{count} people")),
            }
            let confirmed =
                if *affiliation == AffiliationProof::Confirmed { " (confirmed by registrars)" } else { "" };
            if names.is_empty() { "nobody".to_owned() } else { names.join(", ") + confirmed }
        }
    }
}

/// The changes between two stages of the same name.
fn stage_changes(old: &Stage, new: &Stage) -> Vec<Change> {
    let mut found = access_changes(old, new);
    let mut changes = Changes { stage: Some(new.name.clone()), found: Vec::new() };
    requirements(&mut changes, &old.requires, &new.requires);
    found.append(&mut changes.found);
    found
}

/// The changes in who gets what access, without the requirements for entering the stage.
pub(super) fn access_changes(old: &Stage, new: &Stage) -> Vec<Change> {
    let mut changes = Changes { stage: Some(new.name.clone()), found: permission_changes(old, new) };
    let (before, after) = (old.limits, new.limits);
    limit(&mut changes, "tokens a day", before.tokens_per_day, after.tokens_per_day);
    let hours = |hours: Option<u32>| hours.map(u64::from);
    limit(&mut changes, "hours between leases", hours(before.lease_hours), hours(after.lease_hours));
    if before.usage != after.usage {
        let words = format!("usage is kept as {} instead of {}", after.usage.as_str(), before.usage.as_str());
        changes.say(Effect::from_widening(after.usage > before.usage), words);
    }
    changes.found
}

/// The changes in what [`decide`](super::decide) permits.
pub(super) fn permission_changes(old: &Stage, new: &Stage) -> Vec<Change> {
    let mut changes = Changes { stage: Some(new.name.clone()), found: Vec::new() };
    admission(&mut changes, &old.audience, &new.audience);
    approvals(&mut changes, &old.approvals, &new.approvals);
    match (&old.agreement, &new.agreement) {
        (None, Some(name)) => changes.say(Effect::Narrows, format_args!("{name} must be signed")),
        (Some(name), None) => changes.say(Effect::Widens, format_args!("{name} need not be signed")),
        (Some(before), Some(after)) if before != after => {
            changes.say(Effect::Differs, format_args!("{after} must be signed instead of {before}"));
        }
        _ => {}
    }
    uses(&mut changes, old, new);
    let (before, after) = (old.limits, new.limits);
    limit(&mut changes, "days", before.max_days.map(u64::from), after.max_days.map(u64::from));
    changes.found
}

fn admission(changes: &mut Changes, old: &Audience, new: &Audience) {
    match (old, new) {
        (Audience::Anyone, Audience::Anyone) => {}
        (Audience::Named { .. }, Audience::Anyone) => {
            changes.say(Effect::Widens, format_args!("anyone is admitted instead of {}", audience(old)));
        }
        (Audience::Anyone, Audience::Named { .. }) => {
            changes.say(Effect::Narrows, format_args!("only {} instead of anyone", audience(new)));
        }
        (
            Audience::Named { organizations: old_names, people: old_people, affiliation: before },
            Audience::Named { organizations, people, affiliation },
        ) => {
            newcomers(changes, "", old_names, organizations);
            newcomers(changes, "the person ", old_people, people);
            match (before, affiliation) {
                (AffiliationProof::Unconfirmed, AffiliationProof::Confirmed) => {
                    changes.say(Effect::Narrows, "a registrar must confirm who belongs to an organization");
                }
                (AffiliationProof::Confirmed, AffiliationProof::Unconfirmed) => {
                    changes.say(Effect::Widens, "no registrar need confirm who belongs to an organization");
                }
                _ => {}
            }
        }
    }
}

fn newcomers<T: Ord + Display>(changes: &mut Changes, what: &str, old: &BTreeSet<T>, new: &BTreeSet<T>) {
    for gone in old.difference(new) {
        changes.say(Effect::Narrows, format_args!("{what}{gone} is no longer admitted"));
    }
    for come in new.difference(old) {
        changes.say(Effect::Widens, format_args!("{what}{come} is admitted"));
    }
}

type Approvals = BTreeMap<BoardName, NonZeroU32>;

fn approvals(changes: &mut Changes, old: &Approvals, new: &Approvals) {
    let boards: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    // Most policies have one board; its name is then left out.
    let several = boards.len() > 1;
    for board in boards {
        let count = |of: &Approvals| of.get(board).map_or(0, |count| count.get());
        let (before, after) = (count(old), count(new));
        if before == after {
            continue;
        }
        let plural = if after == 1 { "" } else { "s" };
        let of_board = if several { format!(" of {board}") } else { String::new() };
        let words = match (before, after) {
            (_, 0) => format!("no approval{of_board} instead of {before}"),
            (0, _) => format!("{after} approval{plural}{of_board} instead of none"),
            _ => format!("{after} approval{plural}{of_board} instead of {before}"),
        };
        changes.say(Effect::from_widening(after < before), words);
    }
}

fn uses(changes: &mut Changes, old: &Stage, new: &Stage) {
    match (old.is_public(), new.is_public()) {
        (true, true) => {}
        (false, true) => changes.say(Effect::Widens, "any use is allowed"),
        (true, false) => {
            let open: Vec<_> = new.uses.iter().map(|one| one.as_str()).collect();
            changes.say(Effect::Narrows, format_args!("only these uses are allowed: {}", open.join(", ")));
        }
        (false, false) => {
            for gone in old.uses.difference(&new.uses) {
                changes.say(Effect::Narrows, format_args!("the use {gone} is no longer allowed"));
            }
            for come in new.uses.difference(&old.uses) {
                changes.say(Effect::Widens, format_args!("the use {come} is allowed"));
            }
        }
    }
}

fn limit(changes: &mut Changes, unit: &str, old: Option<u64>, new: Option<u64>) {
    match (old, new) {
        (Some(before), Some(after)) if before != after => {
            let words = format!("at most {} {unit} instead of {}", Thousands(after), Thousands(before));
            changes.say(Effect::from_widening(after > before), words);
        }
        (Some(before), None) => {
            changes.say(Effect::Widens, format_args!("no limit of {unit} instead of {}", Thousands(before)));
        }
        (None, Some(after)) => {
            changes.say(
                Effect::Narrows,
                format_args!("at most {} {unit}, which had no limit", Thousands(after)),
            );
        }
        _ => {}
    }
}

/// A number with its digits in groups of three: `2,000,000`.
struct Thousands(u64);

impl Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.chars().enumerate() {
            let comma = if i > 0 && (digits.len() - i).is_multiple_of(3) { "," } else { "" };
            write!(f, "{comma}{digit}")?;
        }
        Ok(())
    }
}

fn requirements(changes: &mut Changes, old: &Requires, new: &Requires) {
    if old.soak_days != new.soak_days {
        let words = format!("{} days in the previous stage instead of {}", new.soak_days, old.soak_days);
        changes.say(Effect::from_widening(new.soak_days < old.soak_days), words);
    }
    let measures =
        |one: &EvidenceBound, other: &EvidenceBound| one.kind == other.kind && one.metric == other.metric;
    for bound in &old.evidence {
        let others: Vec<_> = new.evidence.iter().filter(|other| measures(bound, other)).collect();
        match others.as_slice() {
            [] => changes.say(Effect::Widens, format_args!("no longer requires {bound}")),
            others if others.iter().any(|other| same(bound, other)) => {}
            [other, ..] => {
                let effect = match (eases(bound, other), eases(other, bound)) {
                    (true, false) => Effect::Widens,
                    (false, true) => Effect::Narrows,
                    _ => Effect::Differs,
                };
                changes.say(effect, format_args!("requires {other} instead of {bound}"));
            }
        }
    }
    for bound in &new.evidence {
        if !old.evidence.iter().any(|other| measures(bound, other)) {
            changes.say(Effect::Narrows, format_args!("requires {bound}"));
        }
    }
}

fn same(one: &EvidenceBound, other: &EvidenceBound) -> bool {
    (one.at_least, one.at_most, one.samples) == (other.at_least, other.at_most, other.samples)
}

/// Whether `new` accepts everything that `old` accepts.
fn eases(old: &EvidenceBound, new: &EvidenceBound) -> bool {
    let least = |bound: &EvidenceBound| bound.at_least.unwrap_or(f64::NEG_INFINITY);
    let max = |bound: &EvidenceBound| bound.at_most.unwrap_or(f64::INFINITY);
    least(new) <= least(old) && max(new) >= max(old) && new.samples <= old.samples
}
