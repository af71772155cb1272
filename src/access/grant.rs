//! Grants: what board members sign, the share of the key that each adds, and the revocation that ends one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::approvals::approvals;
use super::request::Request;
use super::rules::RulesInForce;
use super::{Affiliations, CLOCK_TOLERANCE, Error, revocation_of};
use crate::digest::Sha256Digest;
use crate::identity::{Card, VerifyingKey};
use crate::name::{CheckpointId, Prose};
use crate::policy::{StageName, Use};
use crate::seal::{ResealedShare, SealedManifest};
use crate::statement::{self, Claim, Envelope, Predicate, Statement, Subject, Verified};
use crate::time::Timestamp;

/// Leave to use one checkpoint, made out to one person. Its statement's subject is the sealed checkpoint's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The request that it answers.
    pub request: Sha256Digest,
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// To whom: nobody else's keys open what it brings.
    pub researcher: Card,
    /// The policy in force when it was drafted.
    pub policy: Sha256Digest,
    /// The version of that policy. A grant of before versions were cited has none, and ends with its policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<u32>,
    /// The stage whose rules it was granted under.
    pub stage: StageName,
    /// The agreement that the researcher signed with the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Sha256Digest>,
    /// What for.
    pub uses: BTreeSet<Use>,
    /// From when.
    pub issued: Timestamp,
    /// Until when, exclusive.
    pub expires: Timestamp,
}

impl Predicate for Grant {
    const KIND: &'static str = "grant";
}

impl Grant {
    /// For how many days it holds, begun ones counted.
    pub fn days(&self) -> u32 {
        let seconds = self.expires.seconds_since(self.issued).max(0);
        u32::try_from(seconds.unsigned_abs().div_ceil(24 * 3600)).unwrap_or(u32::MAX)
    }
}

/// A member's share of the board's key, sealed to the researcher for one grant alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalShare {
    /// The grant that it belongs to; the seal is bound to it too.
    pub grant: Sha256Digest,
    /// The share, sealed to the researcher's key with the grant's digest as context.
    pub share: ResealedShare,
}

impl Predicate for ApprovalShare {
    const KIND: &'static str = "share";
}

/// A board member ends a grant; the next lease is refused. One member is enough: it takes a board to give, one to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The grant's digest.
    pub grant: Sha256Digest,
    /// Why: the researcher reads it.
    pub reason: Prose,
    /// When.
    pub created: Timestamp,
}

impl Predicate for Revocation {
    const KIND: &'static str = "revocation";
}

/// Drafts the grants that answer a request under the rules in force, one for each person for whom it asks, its author's first; the first
/// approver signs them, the others sign the same bytes.
///
/// # Errors
/// [`Error::OtherCheckpoint`], [`Error::OtherManifest`], [`Error::NotPermitted`] where no number of approvals could permit it,
/// [`Error::NotConfirmed`], and
/// those of [`Request::holders`].
pub fn draft_grants(
    request: &Verified<Statement<Request>>,
    rules: &RulesInForce,
    affiliations: &Affiliations,
    now: Timestamp,
) -> Result<Vec<Statement<Grant>>, Error> {
    draft_answers(request, request.digest(), rules, affiliations, now)
}

/// As [`draft_grants`], for a request whose author has yet to sign it.
///
/// # Errors
/// Those of [`draft_grants`].
pub fn draft_answers(
    request: &Statement<Request>,
    digest: Sha256Digest,
    rules: &RulesInForce,
    affiliations: &Affiliations,
    now: Timestamp,
) -> Result<Vec<Statement<Grant>>, Error> {
    rules.require_subject(&request.predicate.checkpoint, request.subject.digest)?;
    let holders = request.predicate.holders()?;
    let mut drafts = Vec::with_capacity(holders.len());
    for holder in holders {
        let grant = draft(&request.predicate, digest, holder, rules, now);
        rules.objections(&grant, &BTreeSet::new(), affiliations, now).require_possible()?;
        let subject = Subject { name: rules.checkpoint.to_string(), digest: rules.manifest };
        drafts.push(Statement::new(rules.catalogue, subject, grant));
    }
    Ok(drafts)
}

fn draft(
    asked: &Request,
    request: Sha256Digest,
    researcher: Card,
    rules: &RulesInForce,
    now: Timestamp,
) -> Grant {
    Grant {
        request,
        checkpoint: asked.checkpoint.clone(),
        researcher,
        policy: rules.policy_digest,
        policy_version: Some(rules.policy.version),
        stage: rules.stage.clone(),
        agreement: asked.agreement,
        uses: asked.uses.clone(),
        issued: now,
        expires: now.plus_days(asked.days),
    }
}

/// The grant of an envelope, if it counts now: signed by enough distinct keys of the board, made under the policy in force or one whose
/// grants that keeps, permitted by the policy in force, neither expired nor revoked (P2). `revocations` are all that were found; those that do not hold are passed over. If the policy wants
/// the person confirmed by a registrar, one of `affiliations` confirms them now: a grant is of no use once that has ended.
///
/// # Errors
/// Every refusal names the rule: see [`Error`].
pub fn verify_grant(
    envelope: &Envelope,
    rules: &RulesInForce,
    revocations: &[Envelope],
    affiliations: &Affiliations,
    now: Timestamp,
) -> Result<Verified<Statement<Grant>>, Error> {
    verify_claimed_grant(envelope.claimed()?, rules, revocations, affiliations, now)
}

/// As [`verify_grant`], for a caller who has looked at the claim already.
///
/// # Errors
/// Those of [`verify_grant`].
pub fn verify_claimed_grant(
    claim: Claim<'_, Grant>,
    rules: &RulesInForce,
    revocations: &[Envelope],
    affiliations: &Affiliations,
    now: Timestamp,
) -> Result<Verified<Statement<Grant>>, Error> {
    let envelope = claim.envelope();
    let verified = claim.signed_by(|claim| {
        rules.require_subject(&claim.predicate.checkpoint, claim.subject.digest)?;
        rules.quorum_of(&claim.predicate)
    });
    let verified = verified.map_err(|error| {
        let error = rules.too_few_signed(envelope, error);
        board_by_board(error, envelope, (rules, affiliations), now)
    })?;
    let grant = &verified.predicate;
    let cited = rules.require_cited(grant)?;
    rules.require_stage_reached(&grant.stage)?;
    require_live(grant, rules, now)?;
    let mut signers = verified.signers().clone();
    for board in rules.boards.values() {
        signers.extend(envelope.new_signers(&signers, board));
    }
    rules.require_permitted(grant, cited, rules.objections(grant, &signers, affiliations, now))?;
    if let Some(revoked) = revocation_of(verified.digest(), revocations, rules) {
        return Err(revoked);
    }
    Ok(verified)
}

/// Why a grant does not stand that too few of the checkpoint's board signed: if other boards must approve it too, what each of them lacks.
fn board_by_board(
    error: Error,
    envelope: &Envelope,
    (rules, affiliations): (&RulesInForce, &Affiliations),
    now: Timestamp,
) -> Error {
    let Error::Statement(statement::Error::Threshold(_)) = &error else { return error };
    let several = approvals(Some(envelope), rules).len() > 1;
    let Some(claim) = envelope.claim::<Grant>().ok().filter(|_| several) else { return error };
    if claim.predicate.policy != rules.policy_digest {
        return error;
    }
    let boards = rules.boards.values().chain([&rules.board]);
    let signers = boards.flat_map(|board| envelope.signers(board)).collect();
    match rules.objections(&claim.predicate, &signers, affiliations, now).require_none() {
        Err(awaited @ Error::Awaited { .. }) => awaited,
        _ => error,
    }
}

/// The grant of an envelope, if those signed it who must under the policy in force, whatever became of it since: it may be over, revoked, or of
/// earlier weights. That is what one must know before one shows it to somebody, or signs over it.
///
/// # Errors
/// [`Error::OtherCheckpoint`], [`Error::Statement`], [`Error::PolicyReplaced`] and others where the policy in force does not tell who had to sign.
pub fn verify_granted(
    envelope: &Envelope,
    rules: &RulesInForce,
) -> Result<Verified<Statement<Grant>>, Error> {
    envelope.statement_for(|claim: &Statement<Grant>| {
        let found = &claim.predicate.checkpoint;
        if *found != rules.checkpoint {
            return Err(Error::OtherCheckpoint { found: found.clone(), expected: rules.checkpoint.clone() });
        }
        rules.quorum_of(&claim.predicate)
    })
}

/// Refuses a verified grant if the policy wants its holder confirmed by a registrar and none confirms them now: of all that
/// [`verify_grant`] looks at, what changes with time beside its dates and revocations.
///
/// # Errors
/// [`Error::NotPermitted`], [`Error::NotConfirmed`].
pub fn require_affiliated(
    grant: &Verified<Statement<Grant>>,
    rules: &RulesInForce,
    affiliations: &Affiliations,
    now: Timestamp,
) -> Result<(), Error> {
    rules.objections(&grant.predicate, &BTreeSet::new(), affiliations, now).require_possible()
}

fn require_live(grant: &Grant, rules: &RulesInForce, now: Timestamp) -> Result<(), Error> {
    if now.plus_seconds(CLOCK_TOLERANCE) < grant.issued {
        return Err(Error::Incomplete { what: "grant", issued: grant.issued, now });
    }
    if now >= grant.expires {
        return Err(Error::Expired { what: "grant", expired: grant.expires, board: rules.contacts.clone() });
    }
    Ok(())
}

/// The revocation of an envelope, if a member of the checkpoint's board or an auditor signed it.
///
/// # Errors
/// [`Error::Statement`].
pub fn verify_revocation(envelope: &Envelope, rules: &RulesInForce) -> Result<Verified<Revocation>, Error> {
    if let Some(auditors) = &rules.auditors
        && let Ok(revocation) = envelope.statement::<Revocation>(&auditors.with_threshold_one())
    {
        return Ok(revocation.map(|statement| statement.predicate));
    }
    Ok(envelope
        .statement::<Revocation>(&rules.board.with_threshold_one())?
        .map(|statement| statement.predicate))
}

/// The share of an envelope, if the member whose share it is signed it, for `grant`; in a stage where the registry itself
/// grants, the registry signs.
///
/// # Errors
/// [`Error::Statement`], [`Error::OtherGrant`], [`Error::NotTheirShare`].
pub fn verify_approval_share(
    envelope: &Envelope,
    grant: &Verified<Statement<Grant>>,
    (rules, manifest): (&RulesInForce, &SealedManifest),
) -> Result<Verified<ApprovalShare>, Error> {
    let researcher = grant.predicate.researcher.verifying_key;
    let quorum = rules.quorum_for(&grant.predicate.stage, researcher)?.with_threshold_one();
    let share = envelope.statement::<ApprovalShare>(&quorum)?.map(|statement| statement.predicate);
    if share.grant != grant.digest() {
        return Err(Error::OtherGrant { found: share.grant, expected: grant.digest() });
    }
    let by_registry = share.signers().iter().any(|key| rules.registry.keys().contains(key));
    if !by_registry {
        require_own_share(&share.share, share.signers(), manifest)?;
    }
    Ok(share)
}

/// A member delivers their own share, not another's.
pub(super) fn require_own_share(
    share: &ResealedShare,
    signers: &BTreeSet<VerifyingKey>,
    manifest: &SealedManifest,
) -> Result<(), Error> {
    let owner = manifest.seal.board.member(share.index).map(|member| member.key_id);
    if signers.iter().any(|key| Some(key.id()) == owner) {
        Ok(())
    } else {
        Err(Error::NotTheirShare { index: share.index })
    }
}
