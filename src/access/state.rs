//! The state of a request, derived from valid statements.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Affiliation, Affiliations, ApprovalTally, BoardApprovals, Contacts, Error, ExchangeError, FoundStatement,
    Grant, Request, Revocation, RulesInForce, Statements, count_approvals, verify_denial, verify_grant,
    verify_revocation, verify_withdrawal,
};
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, VerifyingKey};
use crate::name::Prose;
use crate::statement::{Envelope, Predicate as _, Statement, Verified};
use crate::time::Timestamp;

/// The state of a request.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Approvals are missing.
    Pending(ApprovalTally),
    /// A grant is valid.
    Granted { grant: Sha256Digest, expires: Timestamp },
    /// The grant is no longer valid.
    Ended { reason: String },
    /// A member denied the request.
    Denied { reason: Prose },
    /// The author withdrew the request.
    Withdrawn,
    /// The request is for weights or rules that were replaced.
    Outdated { reason: String },
}

/// The statements that decide the state of requests.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Default)]
pub struct Evidence {
    /// Grants with merged signatures.
    pub grants: Vec<FoundStatement>,
    pub denials: Vec<Envelope>,
    pub withdrawals: Vec<Envelope>,
    pub revocations: Vec<Envelope>,
    pub affiliations: Vec<Envelope>,
}

impl Evidence {
    /// Reads all statements.
    ///
    /// # Errors
    /// Those of [`Statements::list`].
    pub fn read(statements: &dyn Statements) -> Result<Self, ExchangeError> {
        let envelopes = |kind| {
            Ok::<_, ExchangeError>(statements.list(kind)?.into_iter().map(|found| found.envelope).collect())
        };
        Ok(Self {
            grants: statements.list_merged("grant")?,
            denials: envelopes("denial")?,
            withdrawals: envelopes("withdrawal")?,
            revocations: envelopes("revocation")?,
            affiliations: envelopes(Affiliation::KIND)?,
        })
    }

    /// Reads the statements about one request.
    ///
    /// # Errors
    /// Those of [`Statements::list`].
    pub fn read_about(statements: &dyn Statements, request: Sha256Digest) -> Result<Self, ExchangeError> {
        let list = |kind, subject| {
            Ok::<_, ExchangeError>(
                statements.list_about(kind, subject)?.into_iter().map(|found| found.envelope),
            )
        };
        let grants = super::merge_signatures(statements.list_about("grant", request)?);
        let (mut revocations, mut affiliations) = (Vec::new(), Vec::new());
        for grant in &grants {
            revocations.extend(list("revocation", grant.digest)?);
            let claim = grant.envelope.claim::<Grant>();
            if let Some(id) =
                claim.ok().and_then(|claim| Affiliation::id_for_card(&claim.predicate.researcher))
            {
                affiliations.extend(list(Affiliation::KIND, id)?);
            }
        }
        let denials = list("denial", request)?.collect();
        let withdrawals = list("withdrawal", request)?.collect();
        Ok(Self { denials, withdrawals, grants, revocations, affiliations })
    }
}

/// The state of `request` under the rules in force.
pub fn request_state(
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
    let answers = Answers::collect(answers, rules, evidence, now);
    // In a request for several people, ended grants do not hold up the others.
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
    // The grants ended with an earlier policy, and no new approvals have begun.
    if let Some(reason) =
        answers.replaced.filter(|_| answers.signed.is_empty() && answers.standing.is_empty())
    {
        return State::Ended { reason };
    }
    if request.subject.digest != rules.manifest {
        return State::Outdated { reason: "the catalogue has other weights now".to_owned() };
    }
    // Of several people, the one who lacks most.
    let all_signed = answers.signed.len() + answers.standing.len() >= holders;
    let signed =
        answers.signed.into_values().max_by_key(|boards| count_missing(boards)).filter(|_| all_signed);
    State::Pending(ApprovalTally::from_boards(&signed.unwrap_or_else(|| count_approvals(None, rules))))
}

/// Missing approvals of all boards together.
fn count_missing(boards: &[BoardApprovals]) -> usize {
    boards.iter().map(|board| board.missing).sum()
}

/// The last valid revocation of one of `grants` made out to `person` for the checkpoint of `rules`. It ends all of the person's grants that
/// were issued by then.
pub fn find_last_revocation(
    person: &VerifyingKey,
    grants: &[FoundStatement],
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

/// The error of an ended grant, if a valid revocation names it.
pub fn find_revocation(grant: Sha256Digest, revocations: &[Envelope], rules: &RulesInForce) -> Option<Error> {
    let mut verified = revocations.iter().filter_map(|found| verify_revocation(found, rules).ok());
    let revoked = verified.find(|revocation| revocation.grant == grant)?;
    Some(rules.revocation_error(&revoked))
}

impl RulesInForce {
    /// The error that a revocation causes.
    pub fn revocation_error(&self, revocation: &Verified<Revocation>) -> Error {
        Error::Revoked {
            by_auditor: revocation.signers().iter().any(|key| self.is_auditors(key)),
            reason: revocation.reason.clone(),
            on: revocation.created,
            board: self.contacts.clone(),
        }
    }

    /// Whether the key is an auditor's and not a board member's.
    fn is_auditors(&self, key: &VerifyingKey) -> bool {
        self.auditors.as_ref().is_some_and(|auditors| auditors.keys().contains(key))
            && !self.board.keys().contains(key)
    }
}

/// What to do after a revocation: an auditor's decision can be appealed in its case.
pub fn suggest_appeal(board: &Contacts, by_auditor: bool) -> String {
    if by_auditor {
        return format!(
            "stop using it; `portcullis case list` shows the case, and `portcullis case appeal <case> --reason \"…\"` objects; or write to {board}"
        );
    }
    format!("stop using it; write to {board} if you think that this is a mistake")
}

/// The grants that answer one request, by the holder's key.
#[derive(Default)]
struct Answers {
    standing: BTreeMap<KeyId, (Sha256Digest, Timestamp)>,
    ended: BTreeMap<KeyId, String>,
    /// Why a grant ended with a replaced policy: the request may be approved again.
    replaced: Option<String>,
    signed: BTreeMap<KeyId, Vec<BoardApprovals>>,
}

impl Answers {
    fn collect<'a>(
        grants: impl Iterator<Item = &'a FoundStatement>,
        rules: &RulesInForce,
        evidence: &Evidence,
        now: Timestamp,
    ) -> Self {
        let mut answers = Self::default();
        let affiliations = Affiliations::verify_all(&evidence.affiliations, &rules.organizations);
        for found in grants {
            let Ok(claim) = found.envelope.claim::<Grant>() else { continue };
            let holder = claim.predicate.researcher.verifying_key.id();
            // A revoked grant is over, whatever signatures it has.
            if let Some(revoked) = find_revocation(found.digest, &evidence.revocations, rules) {
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
                // Approvals under another policy do not apply to this one.
                Err(_) if claim.predicate.policy != rules.policy_digest => {}
                Err(_) => {
                    let boards = count_approvals(Some(&found.envelope), rules);
                    let known = answers.signed.get(&holder).map(|boards| count_missing(boards));
                    if known.is_none_or(|known| count_missing(&boards) < known) {
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

/// Whether a grant had enough signatures under some policy: of the board, or of the registry.
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
