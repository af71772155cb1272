//! Parsed misuse rules.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use regex::RegexSet;
use serde::{Deserialize, Serialize};

use crate::policy::{RuleId, Use};

/// The severity of a suspected misuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Review when there is time.
    Low,
    /// Review this week.
    Medium,
    /// Review today.
    High,
    /// A person may come to harm.
    Severe,
}

impl Severity {
    /// As written in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Severe => "severe",
        }
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Low, Self::Medium, Self::High, Self::Severe];
        let found = all.into_iter().find(|severity| severity.as_str() == text);
        found.ok_or_else(|| "write low, medium, high or severe".to_owned())
    }
}

/// The immediate consequence of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A case is opened; the generation runs.
    Flag,
    /// The person must give a reason first, and a case is opened.
    Justify,
    /// The generation is refused, and a case is opened.
    Block,
}

/// The text that a rule reads.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    #[default]
    Prompt,
    Output,
    Both,
}

/// What a volume is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// The person's own history.
    History,
    /// Other holders of grants under the same stage.
    Cohort,
}

/// The kinds of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KindName {
    /// Words and phrases.
    Patterns,
    /// Unusually many tokens.
    Volume,
    /// Many similar prompts.
    NearDuplicates,
    /// Prompts that no granted use explains.
    OffPurpose,
    /// Text in the name of a living person.
    Impersonation,
    /// Requests for, or output of, personal data.
    PersonalData,
    /// Many outputs in a short time.
    MassGeneration,
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patterns => "patterns",
            Self::Volume => "volume",
            Self::NearDuplicates => "near-duplicates",
            Self::OffPurpose => "off-purpose",
            Self::Impersonation => "impersonation",
            Self::PersonalData => "personal-data",
            Self::MassGeneration => "mass-generation",
        })
    }
}

/// A rule's condition.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RuleKind {
    /// At least `hits` of the patterns in one text.
    Patterns {
        scope: Scope,
        /// Minimum number of matching patterns.
        hits: u32,
        set: RegexSet,
    },
    /// More than `times` the baseline's tokens within a window, and at least `floor`.
    Volume {
        against: Baseline,
        times: f64,
        /// Fewer tokens never meet the rule.
        floor: u64,
        /// The window in hours.
        hours: u32,
    },
    /// `count` prompts within a window with similar shingles.
    NearDuplicates {
        /// Minimum estimated Jaccard similarity, above 0 and at most 1.
        similarity: f64,
        count: u32,
        /// The window in hours.
        hours: u32,
    },
    /// A pattern in the prompt of a person who has none of the uses that would explain it.
    OffPurpose { explained_by: BTreeSet<Use>, set: RegexSet },
    /// A pattern for speech in another person's name.
    Impersonation { set: RegexSet },
    /// At least `hits` matches of personal data in one text.
    PersonalData { scope: Scope, hits: u32, set: RegexSet },
    /// `count` outputs within a window.
    MassGeneration {
        count: u32,
        /// The window in hours.
        hours: u32,
    },
}

/// A misuse rule.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rule {
    pub id: RuleId,
    pub name: KindName,
    /// The condition with its parameters.
    pub kind: RuleKind,
    pub severity: Severity,
    pub action: Action,
    /// The explanation for the person and the auditor.
    pub reason: String,
}

/// Misuse rules; made by [`Rules::parse`] only.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rules {
    /// Increases with every change.
    pub version: u32,
    /// In order, with distinct ids.
    pub rules: Vec<Rule>,
}
