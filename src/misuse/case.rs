//! Cases: one misuse review each. Opened by the registry when a rule is met, or by an auditor; every step is a statement.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{RuleId, Severity};
use crate::access::RulesInForce;
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, VerifyingKey};
use crate::name::Prose;
use crate::statement::{Envelope, Predicate, Quorum, Statement, Verified};
use crate::time::Timestamp;
use crate::usage::JournalId;

/// Most records and rules that an opening names.
const MAX_NAMED: usize = 64;

/// Who may not take part in a case but by an appeal.
const OWN_CASE: &str = "the auditor whom the case is about";

/// A case is opened. Its statement's subject is the manifest of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The grant under which it happened.
    pub grant: Sha256Digest,
    /// The key id of the person whom the grant is made out to.
    pub person: KeyId,
    /// The journal and the records that raised it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordPlace>,
    /// The rules that were met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleId>,
    /// How grave it is if it is what it looks like.
    pub severity: Severity,
    /// What it is about.
    pub reason: Prose,
    /// When.
    pub created: Timestamp,
}

/// A record of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordPlace {
    /// Which journal.
    pub journal: JournalId,
    /// Its place in it.
    pub seq: u64,
    /// Its digest.
    pub digest: Sha256Digest,
}

impl Predicate for Case {
    const KIND: &'static str = "case";
}

/// A step in a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseStep {
    /// The digest of the case's opening.
    pub case: Sha256Digest,
    /// What is done.
    pub step: Step,
    /// When.
    pub created: Timestamp,
}

impl Predicate for CaseStep {
    const KIND: &'static str = "case-step";
}

/// What is done in a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// An auditor looks after it.
    Assign {
        /// Who.
        to: KeyId,
    },
    /// Something is noted, for auditors.
    Comment {
        /// What.
        text: Prose,
    },
    /// It is decided.
    Decide {
        /// What follows.
        outcome: Outcome,
        /// Why: the person reads it.
        reason: Prose,
        /// Until when nothing is leased, for a suspension.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The person objects to the decision.
    Appeal {
        /// Why.
        text: Prose,
    },
}

/// What follows from a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was nothing.
    NoFinding,
    /// The person is told.
    Warn,
    /// Nothing is leased for a while.
    Suspend,
    /// The grant is ended.
    Revoke,
}

impl Outcome {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoFinding => "no-finding",
            Self::Warn => "warn",
            Self::Suspend => "suspend",
            Self::Revoke => "revoke",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::NoFinding, Self::Warn, Self::Suspend, Self::Revoke]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not no-finding, warn, suspend or revoke"))
    }
}

/// How a case stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Who looks after it.
    pub assignee: Option<KeyId>,
    /// The last decision.
    pub outcome: Option<Outcome>,
    /// Until when a suspension lasts.
    pub until: Option<Timestamp>,
    /// When it was decided last.
    pub decided: Option<Timestamp>,
    /// Whether the person objected since.
    pub appealed: bool,
}

impl Standing {
    /// How a case stands after these steps, in the order in which they were taken.
    pub fn after<'a>(steps: impl IntoIterator<Item = &'a CaseStep>) -> Self {
        let mut standing = Self::default();
        steps.into_iter().for_each(|step| standing.take(step));
        standing
    }

    /// Takes one more step.
    pub fn take(&mut self, CaseStep { step, created, .. }: &CaseStep) {
        match step {
            Step::Assign { to } => self.assignee = Some(*to),
            Step::Comment { .. } => {}
            Step::Decide { outcome, until, .. } => {
                (self.outcome, self.until) = (Some(*outcome), *until);
                (self.decided, self.appealed) = (Some(*created), false);
            }
            Step::Appeal { .. } => self.appealed = true,
        }
    }

    /// In a word: `open`, `appealed`, or the outcome.
    pub fn word(&self) -> &'static str {
        match self.outcome {
            None => "open",
            Some(_) if self.appealed => "appealed",
            Some(outcome) => outcome.as_str(),
        }
    }

    /// Until when nothing may be leased.
    pub fn suspended_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.until.filter(|_| self.outcome == Some(Outcome::Suspend));
        until.filter(|until| now < *until)
    }
}

/// A case or a step of it does not count.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// It is not signed by those who must.
    #[error(transparent)]
    Statement(#[from] crate::statement::Error),
    /// The owners named nobody who audits.
    #[error("the catalogue names no auditors")]
    NoAuditors,
    /// Only the person whom a case is about may appeal, and only an auditor may take the other steps.
    #[error("{who} may not take this step in the case")]
    NotTheirs {
        /// Who tried.
        who: &'static str,
    },
    /// More than a case can sensibly name.
    #[error("a case names at most {MAX_NAMED} records and rules")]
    TooMany,
    /// A suspension without an end, or an end without a suspension.
    #[error("a suspension has an end, and nothing else does")]
    Until,
    /// A case about the same grant and rule is open.
    #[error("the case {case} about this grant and rule is open")]
    AlreadyOpen {
        /// Which.
        case: Sha256Digest,
    },
    /// The decision was appealed, and the auditors have not decided again.
    #[error("the decision was appealed already: the auditors have to decide it again first")]
    AlreadyAppealed,
    /// A step in another case than the one that it was found with.
    #[error("the step belongs to the case {found}")]
    OtherCase {
        /// Which.
        found: Sha256Digest,
    },
    /// Nobody knows the key of the person whom the case is about.
    #[error("the key {person} of the person whom the case is about is not known here")]
    UnknownPerson {
        /// Whose.
        person: KeyId,
    },
    /// The case and the grant that it names are about different people or checkpoints.
    #[error("the case is about another person or checkpoint than the grant {grant} that it names")]
    OtherGrant {
        /// Which grant.
        grant: Sha256Digest,
    },
    /// Nothing was decided that one could object to.
    #[error("the case is not decided: there is nothing to appeal against")]
    Undecided,
}

/// The opening of a case, if the registry or an auditor signed it.
///
/// # Errors
/// [`CaseError::Statement`], [`CaseError::TooMany`].
pub fn verify_case(
    envelope: &Envelope,
    rules: &RulesInForce,
) -> Result<Verified<Statement<Case>>, CaseError> {
    let by_registry = envelope.statement::<Case>(&rules.registry);
    let case = match (by_registry, &rules.auditors) {
        (Ok(case), _) => case,
        (Err(_), Some(auditors)) => envelope.statement::<Case>(&auditors.with_threshold_one())?,
        (Err(error), None) => return Err(error.into()),
    };
    if case.predicate.records.len() > MAX_NAMED || case.predicate.rules.len() > MAX_NAMED {
        return Err(CaseError::TooMany);
    }
    if case.signers().iter().any(|signer| signer.id() == case.predicate.person) {
        return Err(CaseError::NotTheirs { who: OWN_CASE });
    }
    Ok(case)
}

/// A step, if the one who may take it signed it: an auditor, or, to appeal, the person with the key `person`.
///
/// # Errors
/// [`CaseError`].
pub fn verify_step(
    envelope: &Envelope,
    person: &VerifyingKey,
    rules: &RulesInForce,
) -> Result<Verified<CaseStep>, CaseError> {
    verify_taken(envelope, (person.id(), Some(person)), rules)
}

/// A step in this case, if the one who may take it signed it. The person's key, which only an appeal needs, is the one that the case names.
///
/// # Errors
/// [`CaseError`].
pub fn verify_step_in(
    envelope: &Envelope,
    case: &Verified<Statement<Case>>,
    key: Option<&VerifyingKey>,
    rules: &RulesInForce,
) -> Result<Verified<CaseStep>, CaseError> {
    let person = case.predicate.person;
    let step = verify_taken(envelope, (person, key.filter(|key| key.id() == person)), rules)?;
    if step.case == case.digest() { Ok(step) } else { Err(CaseError::OtherCase { found: step.case }) }
}

fn verify_taken(
    envelope: &Envelope,
    (person, key): (KeyId, Option<&VerifyingKey>),
    rules: &RulesInForce,
) -> Result<Verified<CaseStep>, CaseError> {
    let claim = envelope.claim::<CaseStep>()?.predicate;
    let signers = match claim.step {
        Step::Appeal { .. } => {
            let key = key.ok_or(CaseError::UnknownPerson { person })?;
            Quorum::from_key("the person whom the case is about", *key).with_catalogue(rules.catalogue)
        }
        _ => rules.auditors.as_ref().ok_or(CaseError::NoAuditors)?.with_threshold_one(),
    };
    let step = envelope.statement::<CaseStep>(&signers)?.map(|statement| statement.predicate);
    // An auditor who was granted something is one of two people here, and cannot be both.
    if !matches!(step.step, Step::Appeal { .. }) && step.signers().iter().any(|key| key.id() == person) {
        return Err(CaseError::NotTheirs { who: OWN_CASE });
    }
    if let Step::Decide { outcome, until, .. } = &step.step
        && (*outcome == Outcome::Suspend) != until.is_some()
    {
        return Err(CaseError::Until);
    }
    Ok(step)
}
