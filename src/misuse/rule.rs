//! Misuse rules as the rest of the program knows them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use regex::RegexSet;
use serde::{Deserialize, Serialize};

use crate::policy::{RuleId, Use};

/// How grave it is if it is what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look when there is time.
    Low,
    /// Worth a look this week.
    Medium,
    /// Worth a look today.
    High,
    /// Somebody may come to harm.
    Severe,
}

impl Severity {
    /// As it is written.
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

/// What follows at once, before anybody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A case is raised; the person goes on.
    Flag,
    /// The person says why before they go on, and a case is raised.
    Justify,
    /// The generation does not start, and a case is raised.
    Block,
}

/// Which text a rule reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// What the person wrote.
    #[default]
    Prompt,
    /// What the model wrote.
    Output,
    /// Either.
    Both,
}

/// What a volume is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// The person's own history.
    History,
    /// Everybody with a grant under the same stage.
    Cohort,
}

/// The kinds of rules by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KindName {
    /// Words and phrases.
    Patterns,
    /// Much more than is usual.
    Volume,
    /// One prompt with small changes, again and again.
    NearDuplicates,
    /// Prompts that the granted uses do not explain.
    OffPurpose,
    /// In the name of a living person.
    Impersonation,
    /// Personal data asked for or given.
    PersonalData,
    /// Text by the thousand.
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

/// What a rule looks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RuleKind {
    /// At least `hits` of the patterns in one text.
    Patterns {
        /// Which text.
        scope: Scope,
        /// How many of them.
        hits: u32,
        /// The patterns.
        set: RegexSet,
    },
    /// More than `times` the tokens of the yardstick within a window, and never below `floor`.
    Volume {
        /// What it is compared with.
        against: Baseline,
        /// How many times as much.
        times: f64,
        /// Tokens below which nothing is said.
        floor: u64,
        /// The window.
        hours: u32,
    },
    /// `count` prompts within a window whose shingles agree.
    NearDuplicates {
        /// The estimated Jaccard similarity from which on two prompts are one, above 0 and up to 1.
        similarity: f64,
        /// How many.
        count: u32,
        /// The window.
        hours: u32,
    },
    /// A pattern in the prompt of someone who was granted none of the uses that would explain it.
    OffPurpose {
        /// The uses that explain it.
        explained_by: BTreeSet<Use>,
        /// The patterns.
        set: RegexSet,
    },
    /// A pattern that has someone speak in another's name.
    Impersonation {
        /// The patterns.
        set: RegexSet,
    },
    /// At least `hits` matches of personal data in one text.
    PersonalData {
        /// Which text.
        scope: Scope,
        /// How many.
        hits: u32,
        /// The patterns.
        set: RegexSet,
    },
    /// `count` outputs within a window.
    MassGeneration {
        /// How many.
        count: u32,
        /// The window.
        hours: u32,
    },
}

/// One rule.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// Its kind by name.
    pub name: KindName,
    /// What it looks for.
    pub kind: RuleKind,
    /// How grave it is.
    pub severity: Severity,
    /// What follows at once.
    pub action: Action,
    /// What is told to the person and to the auditor.
    pub reason: String,
}

/// Misuse rules; made by [`Rules::parse`] only.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rules {
    /// Counts up with every change.
    pub version: u32,
    /// The rules in order; no id stands twice.
    pub rules: Vec<Rule>,
}
