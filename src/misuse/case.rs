//! Cases: reviews of possible misuse, opened by the registry when a rule is met, or by an auditor. Every step is a statement.

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

/// Maximum number of records and of rules in a case.
const MAX_NAMED: usize = 64;

/// The subject of a case, who may only appeal.
const OWN_CASE: &str = "the auditor whom the case is about";

/// The opening of a case. Its subject is the checkpoint's manifest.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub grant: Sha256Digest,
    /// The key id of the grant's holder.
    pub person: KeyId,
    /// The records that met the rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordPlace>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleId>,
    pub severity: Severity,
    pub reason: Prose,
    pub created: Timestamp,
}

/// A record of a journal.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordPlace {
    pub journal: JournalId,
    /// Its place, from 0.
    pub seq: u64,
    pub digest: Sha256Digest,
}

impl Predicate for Case {
    const KIND: &'static str = "case";
}

/// A step in a case.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseStep {
    /// The digest of the case's opening.
    pub case: Sha256Digest,
    pub step: Step,
    pub created: Timestamp,
}

impl Predicate for CaseStep {
    const KIND: &'static str = "case-step";
}

/// An action in a case.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// Assigns the case to an auditor.
    Assign { to: KeyId },
    /// A note for auditors.
    Comment { text: Prose },
    /// A decision.
    Decide {
        outcome: Outcome,
        /// The reason, shown to the person.
        reason: Prose,
        /// The end of a suspension.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The person's objection to the decision.
    Appeal { text: Prose },
}

/// The outcome of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No misuse was found.
    NoFinding,
    /// The person is warned.
    Warn,
    /// No leases until the suspension ends.
    Suspend,
    /// The grant is revoked.
    Revoke,
}

impl Outcome {
    /// As written in statements.
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

/// The state of a case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CaseState {
    /// The assigned auditor.
    pub assignee: Option<KeyId>,
    /// The last decision.
    pub outcome: Option<Outcome>,
    /// The end of a suspension.
    pub until: Option<Timestamp>,
    /// The time of the last decision.
    pub decided: Option<Timestamp>,
    /// Whether the person has appealed since.
    pub appealed: bool,
}

impl CaseState {
    /// The state after these steps, in order.
    pub fn after<'a>(steps: impl IntoIterator<Item = &'a CaseStep>) -> Self {
        let mut standing = Self::default();
        steps.into_iter().for_each(|step| standing.take(step));
        standing
    }

    /// Applies a further step.
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

    /// `open`, `appealed`, or the outcome.
    pub fn word(&self) -> &'static str {
        match self.outcome {
            None => "open",
            Some(_) if self.appealed => "appealed",
            Some(outcome) => outcome.as_str(),
        }
    }

    /// The end of a suspension that applies at `now`.
    pub fn suspended_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.until.filter(|_| self.outcome == Some(Outcome::Suspend));
        until.filter(|until| now < *until)
    }
}

/// A case or a step is not valid.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    #[error(transparent)]
    Statement(#[from] crate::statement::Error),
    /// The catalogue names no auditors.
    #[error("the catalogue names no auditors")]
    NoAuditors,
    /// Only the subject of a case may appeal; only auditors may take other steps.
    #[error("{who} may not take this step in the case")]
    NotTheirs { who: &'static str },
    /// The case names too many records or rules.
    #[error("a case names at most {MAX_NAMED} records and rules")]
    TooMany,
    /// Only suspensions have an end, and they require one.
    #[error("a suspension needs an end; other outcomes have none")]
    Until,
    /// A case about the same grant and rule is open.
    #[error("the case {case} about this grant and rule is open")]
    AlreadyOpen { case: Sha256Digest },
    /// The decision is already under appeal.
    #[error("the decision is already under appeal: the auditors must decide again first")]
    AlreadyAppealed,
    /// The step belongs to another case.
    #[error("the step belongs to the case {found}")]
    OtherCase { found: Sha256Digest },
    /// The key of the case's subject is not known.
    #[error("the key {person} of the person whom the case is about is not known")]
    UnknownPerson { person: KeyId },
    /// The case and its grant have different people or checkpoints.
    #[error("the case is about another person or checkpoint than the grant {grant} that it names")]
    OtherGrant { grant: Sha256Digest },
    /// There is no decision to appeal.
    #[error("the case is not decided: there is nothing to appeal")]
    Undecided,
}

/// Verifies that the registry or an auditor signed the opening.
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
        (Err(_), Some(auditors)) => envelope.statement::<Case>(&auditors.any_one())?,
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

/// Verifies that an auditor signed the step, or, for an appeal, the person with the key `person`.
///
/// # Errors
/// [`CaseError`].
pub fn verify_step(
    envelope: &Envelope,
    person: &VerifyingKey,
    rules: &RulesInForce,
) -> Result<Verified<CaseStep>, CaseError> {
    verify_taken(envelope, person.id(), Some(person), rules)
}

/// Verifies a step of this case. Only an appeal needs the person's key, which must be the one that the case names.
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
    let step = verify_taken(envelope, person, key.filter(|key| key.id() == person), rules)?;
    if step.case == case.digest() { Ok(step) } else { Err(CaseError::OtherCase { found: step.case }) }
}

fn verify_taken(
    envelope: &Envelope,
    person: KeyId,
    key: Option<&VerifyingKey>,
    rules: &RulesInForce,
) -> Result<Verified<CaseStep>, CaseError> {
    let claim = envelope.claim::<CaseStep>()?.predicate;
    let signers = match claim.step {
        Step::Appeal { .. } => {
            let key = key.ok_or(CaseError::UnknownPerson { person })?;
            Quorum::of_one("the person whom the case is about", *key).in_catalogue(rules.catalogue)
        }
        _ => rules.auditors.as_ref().ok_or(CaseError::NoAuditors)?.any_one(),
    };
    let step = envelope.statement::<CaseStep>(&signers)?.map(|statement| statement.predicate);
    // An auditor cannot act as auditor in a case about themselves.
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
