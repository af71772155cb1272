//! What became of a request, worked out from the statements that hold.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Affiliation, Affiliations, ApprovalTally, BoardApprovals, Contacts, Error, ExchangeError, Found, Grant,
    Request, Revocation, RulesInForce, Statements, approvals, verify_denial, verify_grant, verify_revocation,
    verify_withdrawal,
};
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, VerifyingKey};
use crate::name::Prose;
use crate::statement::{Envelope, Predicate as _, Statement, Verified};
use crate::time::Timestamp;

/// How a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// The boards have not decided, or not all of them.
    Pending(ApprovalTally),
    /// A grant stands.
    Granted {
        /// The grant's digest.
        grant: Sha256Digest,
        /// Until when.
        expires: Timestamp,
    },
    /// A grant was given and counts no more.
    Ended {
        /// Why.
        reason: String,
    },
    /// A member denied it.
    Denied {
        /// Why.
        reason: Prose,
    },
    /// Its author took it back.
    Withdrawn,
    /// It is about weights or rules that were replaced.
    Outdated {
        /// Why.
        reason: String,
    },
}

/// The statements that bear on requests.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Grants, signatures merged.
    pub grants: Vec<Found>,
    /// Denials.
    pub denials: Vec<Envelope>,
    /// Withdrawals.
    pub withdrawals: Vec<Envelope>,
    /// Revocations.
    pub revocations: Vec<Envelope>,
    /// Affiliations.
    pub affiliations: Vec<Envelope>,
}

impl Evidence {
    /// All that there is.
    ///
    /// # Errors
    /// Those of [`Statements::list`].
    pub fn read(statements: &dyn Statements) -> Result<Self, ExchangeError> {
        let envelopes = |kind| {
            Ok::<_, ExchangeError>(statements.list(kind)?.into_iter().map(|found| found.envelope).collect())
        };
        Ok(Self {
            grants: statements.merged("grant")?,
            denials: envelopes("denial")?,
            withdrawals: envelopes("withdrawal")?,
            revocations: envelopes("revocation")?,
            affiliations: envelopes(Affiliation::KIND)?,
        })
    }

    /// What bears on one request.
    ///
    /// # Errors
    /// Those of [`Statements::list`].
    pub fn about(statements: &dyn Statements, request: Sha256Digest) -> Result<Self, ExchangeError> {
        let about = |kind, subject| {
            Ok::<_, ExchangeError>(statements.about(kind, subject)?.into_iter().map(|found| found.envelope))
        };
        let grants = super::merge(statements.about("grant", request)?);
        let (mut revocations, mut affiliations) = (Vec::new(), Vec::new());
        for grant in &grants {
            revocations.extend(about("revocation", grant.digest)?);
            let claim = grant.envelope.claim::<Grant>();
            if let Some(id) = claim.ok().and_then(|claim| Affiliation::id_of(&claim.predicate.researcher)) {
                affiliations.extend(about(Affiliation::KIND, id)?);
            }
        }
        let denials = about("denial", request)?.collect();
        let withdrawals = about("withdrawal", request)?.collect();
        Ok(Self { denials, withdrawals, grants, revocations, affiliations })
    }
}

/// How `request` stands under the rules in force.
pub fn state_of(
    request: &Verified<Statement<Request>>,
    evidence: &Evidence,
    rules: &RulesInForce,
    now: Timestamp,
) -> State {
    let digest = request.digest();
    if evidence.withdrawals.iter().any(|found| verify_withdrawal(found, request).is_ok()) {
        return State::Withdrawn;
    }
    let answers = evidence
        .grants
        .iter()
        .filter(|found| found.envelope.claim::<Grant>().is_ok_and(|claim| claim.predicate.request == digest));
    let holders = request.predicate.holders().map_or(1, |holders| holders.len());
    let answers = Answers::among(answers, rules, evidence, now);
    // Of a request for several people, those whose grants ended do not hold up the others.
    if let Some((_, (grant, expires))) = answers.standing.first_key_value()
        && answers.standing.len() + answers.ended.len() >= holders
    {
        return State::Granted { grant: *grant, expires: *expires };
    }
    if let Some(reason) = answers.ended.into_values().next().filter(|_| answers.standing.is_empty()) {
        return State::Ended { reason };
    }
    let mut denials = evidence.denials.iter().flat_map(|found| verify_denial(found, digest, rules));
    if let Some(denial) = denials.next() {
        return State::Denied { reason: denial.reason.clone() };
    }
    // The grants ended with an earlier policy, and nobody has begun another.
    if let Some(reason) =
        answers.replaced.filter(|_| answers.signed.is_empty() && answers.standing.is_empty())
    {
        return State::Ended { reason };
    }
    if request.subject.digest != rules.manifest {
        return State::Outdated { reason: "the catalogue has other weights now".to_owned() };
    }
    // Of several people, the one who lacks the most.
    let all_signed = answers.signed.len() + answers.standing.len() >= holders;
    let signed = answers.signed.into_values().max_by_key(|boards| missing(boards)).filter(|_| all_signed);
    State::Pending(ApprovalTally::of(&signed.unwrap_or_else(|| approvals(None, rules))))
}

/// How many approvals all boards together must still give.
fn missing(boards: &[BoardApprovals]) -> usize {
    boards.iter().map(|board| board.missing).sum()
}

/// The last revocation of a grant among `grants` that is made out to `person` for the checkpoint of `rules`: it ends every grant of theirs for
/// it that was issued by then.
pub fn last_revocation_of(
    person: &VerifyingKey,
    grants: &[Found],
    revocations: &[Envelope],
    rules: &RulesInForce,
) -> Option<Verified<Revocation>> {
    let is_theirs = |grant: Sha256Digest| {
        let found = grants.iter().find(|found| found.digest == grant);
        let claim = found.and_then(|found| found.envelope.claim::<Grant>().ok());
        claim.is_some_and(|claim| {
            claim.predicate.researcher.verifying_key == *person
                && claim.predicate.checkpoint == rules.checkpoint
        })
    };
    let verified = revocations.iter().filter_map(|found| verify_revocation(found, rules).ok());
    verified.filter(|found| is_theirs(found.grant)).max_by_key(|found| found.created)
}

/// Why a grant has ended, if one of these revocations names it and holds.
pub fn revocation_of(grant: Sha256Digest, revocations: &[Envelope], rules: &RulesInForce) -> Option<Error> {
    let mut verified = revocations.iter().filter_map(|found| verify_revocation(found, rules).ok());
    let revoked = verified.find(|revocation| revocation.grant == grant)?;
    Some(rules.revoked(&revoked))
}

impl RulesInForce {
    /// Why a revocation ended a grant.
    pub fn revoked(&self, revocation: &Verified<Revocation>) -> Error {
        Error::Revoked {
            by_auditor: revocation.signers().iter().any(|key| self.is_auditors(key)),
            reason: revocation.reason.clone(),
            on: revocation.created,
            board: self.contacts.clone(),
        }
    }

    /// Whether a key is an auditor's, and not a board member's.
    fn is_auditors(&self, key: &VerifyingKey) -> bool {
        self.auditors.as_ref().is_some_and(|auditors| auditors.keys().contains(key))
            && !self.board.keys().contains(key)
    }
}

/// What somebody does whose grant was revoked: auditors did so in a case, to which its person may object.
pub fn how_to_object(board: &Contacts, by_auditor: bool) -> String {
    if by_auditor {
        return format!(
            "stop using it; `portcullis case list` shows the case, and `portcullis case appeal <case> --reason \"…\"` objects; or write to {board}"
        );
    }
    format!("stop using it; write to {board} if you think that this is a mistake")
}

/// The grants that answer one request, by the key of the person to whom each is made out.
#[derive(Default)]
struct Answers {
    standing: BTreeMap<KeyId, (Sha256Digest, Timestamp)>,
    ended: BTreeMap<KeyId, String>,
    /// Why one of them ended with a policy that was replaced: the request may be approved again.
    replaced: Option<String>,
    signed: BTreeMap<KeyId, Vec<BoardApprovals>>,
}

impl Answers {
    fn among<'a>(
        grants: impl Iterator<Item = &'a Found>,
        rules: &RulesInForce,
        evidence: &Evidence,
        now: Timestamp,
    ) -> Self {
        let mut answers = Self::default();
        let affiliations = Affiliations::among(&evidence.affiliations, &rules.organizations);
        for found in grants {
            let Ok(claim) = found.envelope.claim::<Grant>() else { continue };
            let holder = claim.predicate.researcher.verifying_key.id();
            // One that was revoked is over, however many signed it before or since.
            if let Some(revoked) = revocation_of(found.digest, &evidence.revocations, rules) {
                answers.ended.insert(holder, revoked.to_string());
                continue;
            }
            match verify_grant(&found.envelope, rules, &evidence.revocations, &affiliations, now) {
                Ok(grant) => {
                    answers.standing.insert(holder, (grant.digest(), grant.predicate.expires));
                }
                Err(error @ (Error::Revoked { .. } | Error::Expired { .. } | Error::NotConfirmed { .. })) => {
                    answers.ended.insert(holder, error.to_string());
                }
                Err(
                    error @ (Error::PolicyReplaced { .. }
                    | Error::NotKept { .. }
                    | Error::NoLongerPermitted { .. }),
                ) => {
                    if was_granted(&found.envelope, rules) {
                        answers.replaced = Some(error.to_string());
                    }
                }
                // Approvals of a draft under another policy are none of one under this.
                Err(_) if claim.predicate.policy != rules.policy_digest => {}
                Err(_) => {
                    let boards = approvals(Some(&found.envelope), rules);
                    let known = answers.signed.get(&holder).map(|boards| missing(boards));
                    if known.is_none_or(|known| missing(&boards) < known) {
                        answers.signed.insert(holder, boards);
                    }
                }
            }
        }
        answers.ended.retain(|holder, _| !answers.standing.contains_key(holder));
        answers.signed.retain(|holder, _| !answers.standing.contains_key(holder));
        answers
    }
}

/// Whether enough signed a grant as that it stood under some policy: the board, or the registry where it answers.
fn was_granted(envelope: &Envelope, rules: &RulesInForce) -> bool {
    envelope.signers(&rules.board).len() >= rules.board.threshold()
        || !envelope.signers(&rules.registry).is_empty()
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pending(tally) if tally.needed == 0 => f.write_str("pending: the registry answers"),
            Self::Pending(tally) => write!(f, "pending: {tally}"),
            Self::Granted { expires, .. } => write!(f, "granted until {}", expires.date()),
            Self::Ended { reason } => write!(f, "ended: {reason}"),
            Self::Denied { reason } => write!(f, "denied: {reason}"),
            Self::Withdrawn => f.write_str("withdrawn"),
            Self::Outdated { reason } => write!(f, "outdated: {reason}"),
        }
    }
}
