//! Scoring: the rules that a text or a person's history meets. A hit raises a question and is no proof.

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
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub rule: RuleId,
    pub severity: Severity,
    pub action: Action,
    /// The rule's reason, and what was found.
    pub reason: String,
}

/// Rules prepared for scoring.
#[derive(Debug)]
pub struct Scorer {
    rules: Rules,
    /// The single patterns of rules that count matches.
    counted: Vec<Vec<Regex>>,
}

/// A past generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The time of its beginning.
    pub at: Timestamp,
    /// Generated tokens.
    pub tokens: u64,
    /// The prompt's sketch, if it is kept.
    pub sketch: Option<Sketch>,
}

/// A person's generations, and the usual volume of others under the same stage.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The person's generations, the oldest first.
    pub own: Vec<Generation>,
    /// The median of other people's tokens in 24 hours, if known.
    pub cohort_day: Option<u64>,
}

impl Scorer {
    /// Prepares rules.
    ///
    /// # Errors
    /// The regex compiler's error; patterns that were parsed in a rule compile again.
    pub fn new(rules: Rules) -> Result<Self, regex::Error> {
        let one_by_one = |rule: &Rule| match &rule.kind {
            RuleKind::PersonalData { set, .. } => set.patterns().iter().map(|text| single(text)).collect(),
            _ => Ok(Vec::new()),
        };
        let counted = rules.rules.iter().map(one_by_one).collect::<Result<_, _>>()?;
        Ok(Self { rules, counted })
    }

    /// The prepared rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The rules that a prompt meets, for a person with these uses.
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
                    // A pattern that matches both the raw and the folded text counts once.
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

/// The span of time of a rule: after `from`, up to `to`.
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
    // Counts the prompts that resemble the newest: a mailing is many prompts of one kind, not many similar pairs.
    let newest = sketches.last()?;
    let alike = sketches.iter().filter(|sketch| sketch.similarity(newest) >= similarity).count();
    (alike >= count as usize).then(|| format!("{alike} nearly identical prompts"))
}
