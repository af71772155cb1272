//! Misuse rules as they are written: TOML to [`Rules`].
//!
//! The text is hostile until its signature was checked, and read before. So everything is counted before it is
//! compiled: patterns have no back references (the `regex` crate matches in linear time) and a bounded program.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use regex::{RegexSet, RegexSetBuilder};
use serde::Deserialize;
use toml::Spanned;

use super::error::Error;
use super::rule::{Action, KindName, Rule, RuleKind, Rules, Scope, Severity, Yardstick};
use crate::policy::excerpt::{Excerpt, message_of, place_of};
use crate::policy::{RuleId, Use};

/// Longest text of rules that is read.
pub const MAX_BYTES: usize = 64 * 1024;
/// The version of the format that is read.
pub const SCHEMA: u32 = 1;
const MAX_RULES: usize = 64;
const MAX_PATTERNS: usize = 256;
const MAX_PATTERN_BYTES: usize = 512;
/// Largest compiled form of one rule's patterns.
const MAX_PROGRAM_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesText {
    schema: Spanned<u32>,
    version: NonZeroU32,
    #[serde(default)]
    rule: Vec<RuleText>,
}

/// All keys that any kind of rule knows: which of them belong is told once the kind is known, with the place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    id: Spanned<RuleId>,
    kind: Spanned<KindName>,
    severity: Severity,
    action: Action,
    reason: String,
    scope: Option<Spanned<Scope>>,
    hits: Option<Spanned<NonZeroU32>>,
    patterns: Option<Spanned<Vec<Spanned<String>>>>,
    against: Option<Spanned<Yardstick>>,
    times: Option<Spanned<f64>>,
    floor: Option<Spanned<u64>>,
    hours: Option<Spanned<NonZeroU32>>,
    similarity: Option<Spanned<f64>>,
    count: Option<Spanned<NonZeroU32>>,
    explained_by: Option<Spanned<BTreeSet<Use>>>,
}

impl Rules {
    /// Reads the TOML of misuse rules and compiles their patterns.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its line, column and the line itself.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(Error::TooLong { bytes: text.len() });
        }
        let parsed: RulesText = toml::Deserializer::parse(text)
            .and_then(crate::json::deserialize_strict)
            .map_err(|error| Error::Toml { at: place_of(text, &error), message: message_of(&error) })?;
        let at = Excerpt::of(text, parsed.schema.span());
        if *parsed.schema.get_ref() != SCHEMA {
            return Err(Error::Schema { at, found: parsed.schema.into_inner() });
        }
        let mut max = [("rules", parsed.rule.len(), MAX_RULES), ("patterns", 0, MAX_PATTERNS)];
        max[1].1 = parsed.rule.iter().filter_map(|rule| Some(rule.patterns.as_ref()?.get_ref().len())).sum();
        if let Some((what, count, max)) = max.into_iter().find(|(_, count, max)| count > max) {
            return Err(Error::TooMany { at, what, count, max });
        }
        let mut ids = BTreeSet::new();
        for RuleText { id, .. } in &parsed.rule {
            if !ids.insert(id.get_ref()) {
                return Err(Error::RuleTwice { at: Excerpt::of(text, id.span()), id: id.get_ref().clone() });
            }
        }
        let rules = parsed.rule.into_iter().map(|rule| rule.read(text)).collect::<Result<_, _>>()?;
        Ok(Self { version: parsed.version.get(), rules })
    }
}

impl RuleText {
    fn read(mut self, text: &str) -> Result<Rule, Error> {
        let kind = self.kind(text)?;
        let name = *self.kind.get_ref();
        // What the kind did not take does not belong to it.
        if let Some((key, place)) = self.left_over() {
            return Err(Error::Foreign { at: Excerpt::of(text, place), kind: name, key });
        }
        Ok(Rule {
            id: self.id.into_inner(),
            name,
            kind,
            severity: self.severity,
            action: self.action,
            reason: self.reason,
        })
    }

    fn kind(&mut self, text: &str) -> Result<RuleKind, Error> {
        let hits = |hits: Option<Spanned<NonZeroU32>>| hits.map_or(1, |hits| hits.into_inner().get());
        Ok(match self.kind.get_ref() {
            KindName::Patterns => RuleKind::Patterns {
                scope: self.scope.take().map(Spanned::into_inner).unwrap_or_default(),
                hits: hits(self.hits.take()),
                set: self.set(text)?,
            },
            KindName::PersonalData => RuleKind::PersonalData {
                scope: self.scope.take().map(Spanned::into_inner).unwrap_or_default(),
                hits: hits(self.hits.take()),
                set: self.set(text)?,
            },
            KindName::Impersonation => RuleKind::Impersonation { set: self.set(text)? },
            KindName::OffPurpose => {
                let uses = self.explained_by.take();
                RuleKind::OffPurpose {
                    explained_by: self.needed(text, "explained_by", uses)?,
                    set: self.set(text)?,
                }
            }
            KindName::Volume => self.volume(text)?,
            KindName::NearDuplicates => {
                let similarity = self.similarity.take();
                RuleKind::NearDuplicates {
                    similarity: self.number(text, "similarity", similarity)?,
                    count: self.count(text)?,
                    hours: self.hours(text)?,
                }
            }
            KindName::MassGeneration => {
                RuleKind::MassGeneration { count: self.count(text)?, hours: self.hours(text)? }
            }
        })
    }

    fn volume(&mut self, text: &str) -> Result<RuleKind, Error> {
        let (against, times, floor) = (self.against.take(), self.times.take(), self.floor.take());
        Ok(RuleKind::Volume {
            against: self.needed(text, "against", against)?,
            times: self.number(text, "times", times)?,
            floor: self.needed(text, "floor", floor)?,
            hours: self.hours(text)?,
        })
    }

    fn needed<T>(&self, text: &str, key: &'static str, value: Option<Spanned<T>>) -> Result<T, Error> {
        let missing =
            || Error::Needs { at: Excerpt::of(text, self.kind.span()), kind: *self.kind.get_ref(), key };
        value.map(Spanned::into_inner).ok_or_else(missing)
    }

    fn count(&mut self, text: &str) -> Result<u32, Error> {
        let count = self.count.take();
        self.needed(text, "count", count).map(NonZeroU32::get)
    }

    fn hours(&mut self, text: &str) -> Result<u32, Error> {
        let hours = self.hours.take();
        self.needed(text, "hours", hours).map(NonZeroU32::get)
    }

    /// A similarity lies above 0 and is at most 1; a multiple is above 1.
    fn number(&self, text: &str, key: &'static str, value: Option<Spanned<f64>>) -> Result<f64, Error> {
        let place = value.as_ref().map(Spanned::span);
        let value = self.needed(text, key, value)?;
        let (holds, wanted) = match key {
            "similarity" => (value > 0.0 && value <= 1.0, "a number above 0 and at most 1"),
            _ => (value > 1.0 && value.is_finite(), "a number above 1"),
        };
        match place {
            Some(place) if !holds => Err(Error::Number { at: Excerpt::of(text, place), key, wanted }),
            _ => Ok(value),
        }
    }

    fn set(&mut self, text: &str) -> Result<RegexSet, Error> {
        let place = self.patterns.as_ref().map(Spanned::span);
        let patterns = self.patterns.take();
        let patterns = self.needed(text, "patterns", patterns)?;
        let refusal = |place, message: String| Error::Pattern {
            at: Excerpt::of(text, place),
            message: message
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .chars()
                .take(200)
                .collect(),
        };
        for pattern in &patterns {
            let (place, pattern) = (pattern.span(), pattern.get_ref());
            if pattern.len() > MAX_PATTERN_BYTES {
                return Err(refusal(place, format!("it is longer than {MAX_PATTERN_BYTES} bytes")));
            }
            // One at a time first, so that the refusal points at the one.
            let set =
                build(&[pattern.as_str()]).map_err(|error| refusal(place.clone(), error.to_string()))?;
            if set.is_match("") {
                return Err(refusal(place, "it matches every text".to_owned()));
            }
        }
        let place = place.unwrap_or_default();
        if patterns.is_empty() {
            return Err(refusal(place, "there is none".to_owned()));
        }
        let patterns: Vec<_> = patterns.iter().map(|pattern| pattern.get_ref().as_str()).collect();
        build(&patterns).map_err(|error| refusal(place, error.to_string()))
    }

    fn left_over(&self) -> Option<(&'static str, std::ops::Range<usize>)> {
        fn span<T>(key: Option<&Spanned<T>>) -> Option<std::ops::Range<usize>> {
            key.map(Spanned::span)
        }
        let keys = [
            ("scope", span(self.scope.as_ref())),
            ("hits", span(self.hits.as_ref())),
            ("patterns", span(self.patterns.as_ref())),
            ("against", span(self.against.as_ref())),
            ("times", span(self.times.as_ref())),
            ("floor", span(self.floor.as_ref())),
            ("hours", span(self.hours.as_ref())),
            ("similarity", span(self.similarity.as_ref())),
            ("count", span(self.count.as_ref())),
            ("explained_by", span(self.explained_by.as_ref())),
        ];
        keys.into_iter().find_map(|(key, place)| Some((key, place?)))
    }
}

/// Letters match in either case; the program and what it may need while it runs are bounded.
fn build(patterns: &[&str]) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(patterns)
        .case_insensitive(true)
        .size_limit(MAX_PROGRAM_BYTES)
        .dfa_size_limit(MAX_PROGRAM_BYTES)
        .nest_limit(32)
        .build()
}
