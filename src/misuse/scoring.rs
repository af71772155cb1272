//! Scoring: which rules a text meets, and which a person's history does. A hit raises a question; none of them is proof.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder, RegexSet};

use super::folding::fold;
use super::rule::{Action, Baseline, Rule, RuleKind, Rules, Scope, Severity};
use super::sketch::Sketch;
use crate::policy::{RuleId, Use};
use crate::time::Timestamp;

/// Maximum bytes of a text that rules read.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// A rule that was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Which rule.
    pub rule: RuleId,
    /// How grave it would be.
    pub severity: Severity,
    /// What follows at once.
    pub action: Action,
    /// What the rule says, and what was found.
    pub reason: String,
}

/// Rules, ready to score.
#[derive(Debug)]
pub struct Scorer {
    rules: Rules,
    /// Of each rule whose matches are counted, its patterns one by one.
    counted: Vec<Vec<Regex>>,
}

/// What somebody generated once.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// When it began.
    pub at: Timestamp,
    /// Tokens that came out.
    pub tokens: u64,
    /// What the prompt looked like, if that is kept.
    pub sketch: Option<Sketch>,
}

/// What a person did, and what others under the same stage usually do.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The person's generations, the oldest first.
    pub own: Vec<Generation>,
    /// Tokens in 24 hours of the others, if that is known: the median of those who generated anything.
    pub cohort_day: Option<u64>,
}

impl Scorer {
    /// Makes rules ready.
    ///
    /// # Errors
    /// What the patterns' compiler says; not for patterns that were compiled in a set before.
    pub fn new(rules: Rules) -> Result<Self, regex::Error> {
        let one_by_one = |rule: &Rule| match &rule.kind {
            RuleKind::PersonalData { set, .. } => set.patterns().iter().map(|text| single(text)).collect(),
            _ => Ok(Vec::new()),
        };
        let counted = rules.rules.iter().map(one_by_one).collect::<Result<_, _>>()?;
        Ok(Self { rules, counted })
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The rules that a prompt meets, for somebody with these uses.
    pub fn score_prompt(&self, prompt: &str, uses: &BTreeSet<Use>) -> Vec<Hit> {
        self.score_text(cut(prompt), Scope::Prompt, uses)
    }

    /// The rules that an output meets.
    pub fn score_output(&self, output: &str) -> Vec<Hit> {
        self.score_text(cut(output), Scope::Output, &BTreeSet::new())
    }

    /// The rules that a history meets at `now`.
    pub fn score_history(&self, history: &History, now: Timestamp) -> Vec<Hit> {
        let found = self.rules.rules.iter().filter_map(|rule| {
            let found = match &rule.kind {
                RuleKind::Volume { against, times, floor, hours } => {
                    volume(history, *against, *times, *floor, Window::before(now, *hours))
                }
                RuleKind::NearDuplicates { similarity, count, hours } => {
                    near_duplicates(history, *similarity, *count, Window::before(now, *hours))
                }
                RuleKind::MassGeneration { count, hours } => {
                    let made = recent(history, Window::before(now, *hours)).count();
                    (made >= *count as usize).then(|| format!("{made} outputs in {hours} hours"))
                }
                _ => None,
            };
            found.map(|found| hit(rule, &found))
        });
        found.collect()
    }

    fn score_text(&self, text: &str, side: Scope, uses: &BTreeSet<Use>) -> Vec<Hit> {
        let folded = fold(text);
        let readings = if *folded == *text { vec![text] } else { vec![text, &*folded] };
        let is_match = |set: &RegexSet| readings.iter().any(|reading| set.is_match(reading));
        let reads = |scope: Scope| scope == side || scope == Scope::Both;
        let found = self.rules.rules.iter().zip(&self.counted).filter_map(|(rule, counted)| {
            let found = match &rule.kind {
                RuleKind::Patterns { scope, hits, set } if reads(*scope) => {
                    // A pattern that both readings meet is one pattern.
                    let met: BTreeSet<usize> =
                        readings.iter().flat_map(|reading| set.matches(reading).into_iter()).collect();
                    let met = met.len();
                    (met >= *hits as usize).then(|| format!("{met} of its patterns"))
                }
                RuleKind::OffPurpose { explained_by, set } if side == Scope::Prompt => {
                    (uses.is_disjoint(explained_by) && is_match(set))
                        .then(|| "no granted use explains it".to_owned())
                }
                RuleKind::Impersonation { set } if side == Scope::Prompt => {
                    is_match(set).then(|| "a named person".to_owned())
                }
                RuleKind::PersonalData { scope, hits, .. } if reads(*scope) => {
                    let pieces = |reading: &&str| -> usize {
                        counted.iter().map(|regex| regex.find_iter(reading).count()).sum()
                    };
                    let count = readings.iter().map(pieces).max().unwrap_or_default();
                    (count >= *hits as usize).then(|| format!("{count} pieces"))
                }
                _ => None,
            };
            found.map(|found| hit(rule, &found))
        });
        found.collect()
    }
}

fn hit(rule: &Rule, found: &str) -> Hit {
    Hit {
        rule: rule.id.clone(),
        severity: rule.severity,
        action: rule.action,
        reason: format!("{} ({found})", rule.reason),
    }
}

fn single(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).case_insensitive(true).build()
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The span of time that a rule looks at: after `from`, up to `to`.
#[derive(Clone, Copy)]
struct Window {
    from: Timestamp,
    to: Timestamp,
}

impl Window {
    fn before(now: Timestamp, hours: u32) -> Self {
        Self { from: now.plus_seconds(-i64::from(hours) * 3600), to: now }
    }
}

fn recent(history: &History, window: Window) -> impl Iterator<Item = &Generation> {
    history.own.iter().filter(move |generated| generated.at > window.from && generated.at <= window.to)
}

fn volume(history: &History, against: Baseline, times: f64, floor: u64, window: Window) -> Option<String> {
    let made: u64 = recent(history, window).map(|generated| generated.tokens).sum();
    if made < floor {
        return None;
    }
    let hours = window.to.seconds_since(window.from) / 3600;
    let (usual, whose) = match against {
        Baseline::Cohort => {
            let usual = history.cohort_day? as f64 / 24.0 * hours as f64;
            (usual, "the others' usual")
        }
        Baseline::History => {
            let before: Vec<_> = history.own.iter().filter(|generated| generated.at <= window.from).collect();
            let since = before.first()?.at;
            let spans = (window.from.seconds_since(since) as f64 / (hours as f64 * 3600.0)).max(1.0);
            let tokens: u64 = before.iter().map(|generated| generated.tokens).sum();
            (tokens as f64 / spans, "the person's own usual")
        }
    };
    (made as f64 > usual * times)
        .then(|| format!("{made} tokens in {hours} hours, and {whose} is {usual:.0}"))
}

fn near_duplicates(history: &History, similarity: f64, count: u32, window: Window) -> Option<String> {
    let sketches: Vec<_> =
        recent(history, window).filter_map(|generated| generated.sketch.as_ref()).collect();
    // The newest prompt with how many it resembles: what makes a mailing is many of one kind, not the pairs among all.
    let newest = sketches.last()?;
    let alike = sketches.iter().filter(|sketch| sketch.similarity(newest) >= similarity).count();
    (alike >= count as usize).then(|| format!("{alike} nearly identical prompts"))
}
