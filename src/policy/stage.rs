//! A policy as the rest of the program knows it: every value checked, nothing left open that a grant must say.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::word::{AgreementName, BoardName, EvidenceKind, Metric, Organization, PersonKey, StageName, Use};
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// The release rules of one checkpoint; made by [`Policy::parse`] only.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Policy {
    /// The checkpoint that it governs.
    pub checkpoint: CheckpointId,
    /// Counts up with every change.
    pub version: u32,
    /// From this instant on it permits nothing.
    pub expires: Timestamp,
    /// Grants made under this version or a later one go on, as long as this policy permits them; its own version, if it keeps none of
    /// before.
    pub keeps_grants_from: u32,
    /// At least one, from the narrowest to the widest; no name stands twice.
    pub stages: Vec<Stage>,
    #[serde(skip)]
    pub(super) expires_line: usize,
    #[serde(skip)]
    pub(super) keeps_line: usize,
    #[serde(skip)]
    pub(super) version_line: usize,
}

impl Policy {
    /// The stage of this name.
    pub fn stage(&self, name: &StageName) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == *name)
    }

    /// Whether a grant made under an earlier version goes on, as long as this policy permits it.
    pub fn keeps_grants_of(&self, version: u32) -> bool {
        (self.keeps_grants_from..self.version).contains(&version)
    }

    /// Whether it keeps grants of any earlier version.
    pub fn keeps_grants(&self) -> bool {
        self.keeps_grants_from < self.version
    }

    /// How many stages stand before this one.
    pub(super) fn position(&self, name: &StageName) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name == *name)
    }
}

/// One step of a release: who may have the weights, for what, for how long, and how their use is recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Stage {
    /// Its name.
    pub name: StageName,
    /// Who may ask.
    pub audience: Audience,
    /// How many distinct people of which board must approve. With none, the registry grants by itself.
    pub approvals: BTreeMap<BoardName, NonZeroU32>,
    /// What an applicant must have signed.
    pub agreement: Option<AgreementName>,
    /// What may be asked for. A public stage leaves it open.
    pub uses: BTreeSet<Use>,
    /// What a grant copies.
    pub limits: Limits,
    /// What must be shown before the board may enter it.
    pub requires: Requires,
    #[serde(skip)]
    pub(super) lines: Lines,
}

impl Stage {
    /// Whether the weights are for anyone, without asking: nobody approves and nothing is signed.
    pub fn is_public(&self) -> bool {
        self.audience == Audience::Anyone && self.approvals.is_empty() && self.agreement.is_none()
    }

    /// Whether what registrars confirmed can change who is admitted: it is demanded, or nobody looks at names here.
    pub fn heeds_registrars(&self) -> bool {
        match &self.audience {
            Audience::Named { organizations, affiliation, .. } => {
                !organizations.is_empty()
                    && (*affiliation == AffiliationProof::Confirmed || self.approvals.is_empty())
            }
            Audience::Anyone => false,
        }
    }
}

/// What a stage lets a grant allow; a grant copies it as it was when it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Limits {
    /// What is kept of each use.
    pub usage: UsageMode,
    /// Hours until a lease must be renewed; a gated stage has it.
    pub lease_hours: Option<u32>,
    /// Tokens that one person may generate in 24 hours.
    pub tokens_per_day: Option<u64>,
    /// Days until a grant ends; a gated stage has it.
    pub max_days: Option<u32>,
}

/// What a usage record keeps, from the most to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageMode {
    /// Prompts and outputs, sealed to the auditors.
    Sealed,
    /// Digests of prompts and outputs.
    Digest,
    /// Numbers of tokens alone.
    Counts,
}

impl UsageMode {
    /// As a policy writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Digest => "digest",
            Self::Counts => "counts",
        }
    }
}

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Everybody.
    Anyone,
    /// These, and nobody else.
    Named {
        /// Whoever belongs to one of these.
        organizations: BTreeSet<Organization>,
        /// These themselves.
        people: BTreeSet<PersonKey>,
        /// What shows that somebody belongs to one.
        affiliation: AffiliationProof,
    },
}

/// What shows that somebody belongs to an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AffiliationProof {
    /// Their own word on their card; who approves confirms it.
    #[default]
    Unconfirmed,
    /// A statement of one of the organization's registrars, whom the owners named in the catalogue.
    Confirmed,
}

impl AffiliationProof {
    /// As a policy writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unconfirmed => "unconfirmed",
            Self::Confirmed => "confirmed",
        }
    }
}

impl Audience {
    /// Whether it holds this person, or the organization that they belong to.
    pub fn admits(&self, person: PersonKey, organization: Option<&Organization>) -> bool {
        match self {
            Self::Anyone => true,
            Self::Named { organizations, people, .. } => {
                people.contains(&person) || organization.is_some_and(|name| organizations.contains(name))
            }
        }
    }

    /// Whether this person is admitted only for an organization that has to confirm them.
    pub(super) fn wants_confirmed(&self, person: PersonKey) -> bool {
        match self {
            Self::Anyone => false,
            Self::Named { people, affiliation, .. } => {
                *affiliation == AffiliationProof::Confirmed && !people.contains(&person)
            }
        }
    }

    /// Whether it holds nobody.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Named { organizations, people, .. } if organizations.is_empty() && people.is_empty())
    }
}

/// What must be shown before the board may enter a stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Requires {
    /// Days to be spent in the stage before.
    pub soak_days: u32,
    /// Measurements, all of them.
    pub evidence: Vec<EvidenceBound>,
}

impl Requires {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.soak_days == 0 && self.evidence.is_empty()
    }
}

/// What one measurement must show; at least one of the bounds is there, and both are finite.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EvidenceBound {
    /// The kind of evidence.
    pub kind: EvidenceKind,
    /// What it measures.
    pub metric: Metric,
    /// The least that it may show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The most that it may show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// The fewest samples that it may rest on.
    pub samples: u64,
    #[serde(skip)]
    pub(super) line: usize,
}

impl EvidenceBound {
    /// Whether a value is within the bounds; one that is no number never is.
    pub fn admits(&self, value: f64) -> bool {
        value.is_finite()
            && self.at_least.is_none_or(|least| value >= least)
            && self.at_most.is_none_or(|max| value <= max)
    }
}

impl std::fmt::Display for EvidenceBound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, metric, at_least, at_most, samples, .. } = self;
        write!(f, "{kind} {metric}")?;
        match (at_least, at_most) {
            (Some(least), Some(max)) => write!(f, " from {least} to {max}")?,
            (Some(least), None) => write!(f, " of at least {least}")?,
            (None, Some(max)) => write!(f, " of at most {max}")?,
            (None, None) => {}
        }
        if *samples > 0 { write!(f, " on {samples} samples") } else { Ok(()) }
    }
}

/// Where a stage's keys stand, counted from 1; a key that is absent stands where the stage's name does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lines {
    pub(super) name: usize,
    pub(super) audience: usize,
    pub(super) approvals: usize,
    pub(super) uses: usize,
    pub(super) max_days: usize,
    pub(super) lease_hours: usize,
    pub(super) tokens_per_day: usize,
}
