//! A parsed policy: every value is checked, and every key that a grant needs is present.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::word::{AgreementName, BoardName, EvidenceKind, Metric, Organization, PersonKey, StageName, Use};
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// The release rules of one checkpoint; made by [`Policy::parse`] only.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Policy {
    pub checkpoint: CheckpointId,
    /// Increases with every change.
    pub version: u32,
    /// End: from this instant on the policy permits nothing.
    pub expires: Timestamp,
    /// Grants made under this version or later stay valid if this policy permits them. Equals the policy's own version if it keeps none.
    pub keeps_grants_from: u32,
    /// At least one, from the narrowest to the widest, with distinct names.
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

    /// Whether a grant of an earlier version stays valid if this policy permits it.
    pub fn keeps_grants_since(&self, version: u32) -> bool {
        (self.keeps_grants_from..self.version).contains(&version)
    }

    /// Whether the policy keeps grants of any earlier version.
    pub fn keeps_grants(&self) -> bool {
        self.keeps_grants_from < self.version
    }

    /// The number of stages before this one.
    pub(super) fn position(&self, name: &StageName) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name == *name)
    }
}

/// One step of a release: who may have the weights, for which uses, for how long, and how use is recorded.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Stage {
    pub name: StageName,
    pub audience: Audience,
    /// Required approvals by board, of distinct people. If empty, the registry grants by itself.
    pub approvals: BTreeMap<BoardName, NonZeroU32>,
    /// The agreement that a request must sign.
    pub agreement: Option<AgreementName>,
    /// Permitted uses. A public stage does not restrict them.
    pub uses: BTreeSet<Use>,
    /// Limits that a grant copies.
    pub limits: Limits,
    /// Requirements for entering the stage.
    pub requires: Requires,
    #[serde(skip)]
    pub(super) lines: Lines,
}

impl Stage {
    /// Whether the weights are public: no approval, no agreement.
    pub fn is_public(&self) -> bool {
        self.audience == Audience::Anyone && self.approvals.is_empty() && self.agreement.is_none()
    }

    /// Whether affiliations can change who is admitted.
    pub fn depends_on_registrars(&self) -> bool {
        match &self.audience {
            Audience::Named { organizations, affiliation, .. } => {
                !organizations.is_empty()
                    && (*affiliation == AffiliationProof::Confirmed || self.approvals.is_empty())
            }
            Audience::Anyone => false,
        }
    }
}

/// Limits of the grants of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Limits {
    /// What usage records keep.
    pub usage: UsageMode,
    /// Hours of a lease; required in a gated stage.
    pub lease_hours: Option<u32>,
    /// Maximum tokens per person in 24 hours.
    pub tokens_per_day: Option<u64>,
    /// Maximum days of a grant; required in a gated stage.
    pub max_days: Option<u32>,
}

/// What a usage record keeps of texts, from the most to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageMode {
    /// Prompts and outputs, sealed to the auditors.
    Sealed,
    /// Digests of prompts and outputs.
    Digest,
    /// Token counts only.
    Counts,
}

impl UsageMode {
    /// As written in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Digest => "digest",
            Self::Counts => "counts",
        }
    }
}

/// Who may request access.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    Anyone,
    /// Named organizations and people.
    Named {
        /// Members of these organizations.
        organizations: BTreeSet<Organization>,
        /// These people.
        people: BTreeSet<PersonKey>,
        /// The required proof of membership.
        affiliation: AffiliationProof,
    },
}

/// The proof that a person belongs to an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AffiliationProof {
    /// The person's own card; the approvers confirm it.
    #[default]
    Unconfirmed,
    /// A registrar's statement.
    Confirmed,
}

impl AffiliationProof {
    /// As written in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unconfirmed => "unconfirmed",
            Self::Confirmed => "confirmed",
        }
    }
}

impl Audience {
    /// Whether the audience includes this person or their organization.
    pub fn admits(&self, person: PersonKey, organization: Option<&Organization>) -> bool {
        match self {
            Self::Anyone => true,
            Self::Named { organizations, people, .. } => {
                people.contains(&person) || organization.is_some_and(|name| organizations.contains(name))
            }
        }
    }

    /// Whether this person is admitted only by a confirmed affiliation.
    pub(super) fn requires_confirmation(&self, person: PersonKey) -> bool {
        match self {
            Self::Anyone => false,
            Self::Named { people, affiliation, .. } => {
                *affiliation == AffiliationProof::Confirmed && !people.contains(&person)
            }
        }
    }

    /// Whether the audience includes no one.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Named { organizations, people, .. } if organizations.is_empty() && people.is_empty())
    }
}

/// Requirements for entering a stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Requires {
    /// Days in the previous stage.
    pub soak_days: u32,
    /// Required measurements, all of them.
    pub evidence: Vec<EvidenceBound>,
}

impl Requires {
    /// Whether there are no requirements.
    pub fn is_empty(&self) -> bool {
        self.soak_days == 0 && self.evidence.is_empty()
    }
}

/// Bounds on a measurement; at least one is set, and both are finite.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EvidenceBound {
    pub kind: EvidenceKind,
    pub metric: Metric,
    /// Lower bound, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// Upper bound, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Minimum number of samples.
    pub samples: u64,
    #[serde(skip)]
    pub(super) line: usize,
}

impl EvidenceBound {
    /// Whether the value is within the bounds; NaN never is.
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

/// The lines of a stage's keys, counted from 1; an absent key has the line of the stage's name.
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
