//! Grants: what board members sign, the share of the key that each adds, and the revocation that ends a grant.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::approvals::count_approvals;
use super::request::Request;
use super::rules::RulesInForce;
use super::{Affiliations, CLOCK_TOLERANCE, Error, find_revocation};
use crate::digest::Sha256Digest;
use crate::identity::{Card, VerifyingKey};
use crate::name::{CheckpointId, Prose};
use crate::policy::{StageName, Use};
use crate::seal::{ResealedShare, SealedManifest};
use crate::statement::{self, Envelope, Predicate, Statement, Subject, Verified};
use crate::time::Timestamp;

/// Permission for one person to use one checkpoint. Its subject is the sealed checkpoint's manifest.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The request that the grant answers.
    pub request: Sha256Digest,
    pub checkpoint: CheckpointId,
    /// The person who receives the grant: the shares and the lease are sealed to these keys.
    pub researcher: Card,
    /// The policy in force when the grant was drafted.
    pub policy: Sha256Digest,
    /// The version of that policy. Grants from before versions were cited have none, and end with their policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<u32>,
    /// The stage under whose rules the grant was made.
    pub stage: StageName,
    /// The agreement that the researcher signed with the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Sha256Digest>,
    /// The permitted uses.
    pub uses: BTreeSet<Use>,
    /// Start.
    pub issued: Timestamp,
    /// End, exclusive.
    pub expires: Timestamp,
}

impl Predicate for Grant {
    const KIND: &'static str = "grant";
}

impl Grant {
    /// Duration in days, rounded up.
    pub fn days(&self) -> u32 {
        let seconds = self.expires.seconds_since(self.issued).max(0);
        u32::try_from(seconds.unsigned_abs().div_ceil(24 * 3600)).unwrap_or(u32::MAX)
    }
}

/// A member's share of the board's key, sealed to the researcher for one grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalShare {
    /// The grant to which the share belongs; the seal is bound to it.
    pub grant: Sha256Digest,
    /// The share, sealed to the researcher's key with the grant's digest as context.
    pub share: ResealedShare,
}

impl Predicate for ApprovalShare {
    const KIND: &'static str = "share";
}

/// A board member's statement that ends a grant: further leases are refused. One member suffices.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The grant's digest.
    pub grant: Sha256Digest,
    /// The reason, shown to the researcher.
    pub reason: Prose,
    pub created: Timestamp,
}

impl Predicate for Revocation {
    const KIND: &'static str = "revocation";
}

/// Drafts the grants that answer a request under the rules in force: one per person, the request's author first. The first approver signs
/// the drafts, further approvers sign the same bytes.
///
/// # Errors
/// [`Error::OtherCheckpoint`], [`Error::OtherManifest`], [`Error::NotPermitted`] if no number of approvals could permit it,
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

/// As [`draft_grants`], for a request that is not signed yet.
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

/// Verifies that a grant is valid now: signed by enough distinct keys of the board, made under the policy in force or one whose grants it
/// keeps, permitted by the policy in force, and neither expired nor revoked (P2). `revocations` are all that were found; invalid ones are
/// skipped. If the policy requires a confirmed affiliation, one of `affiliations` must confirm the person now.
///
/// # Errors
/// [`Error`] with the rule that refuses the grant.
pub fn verify_grant(
    envelope: &Envelope,
    rules: &RulesInForce,
    revocations: &[Envelope],
    affiliations: &Affiliations,
    now: Timestamp,
) -> Result<Verified<Statement<Grant>>, Error> {
    let verified = envelope.statement_for(|claim: &Statement<Grant>| {
        rules.require_subject(&claim.predicate.checkpoint, claim.subject.digest)?;
        rules.grant_quorum(&claim.predicate)
    });
    let verified = verified.map_err(|error| {
        let error = rules.too_few_signed(envelope, error);
        explain_missing_signatures(error, envelope, rules, affiliations, now)
    })?;
    let grant = &verified.predicate;
    let cited = rules.require_known_policy(grant)?;
    rules.require_stage_reached(&grant.stage)?;
    require_live(grant, rules, now)?;
    let mut signers = verified.signers().clone();
    for board in rules.boards.values() {
        signers.extend(envelope.signers_beside(&signers, board));
    }
    rules.require_permitted(grant, cited, rules.objections(grant, &signers, affiliations, now))?;
    if let Some(revoked) = find_revocation(verified.digest(), revocations, rules) {
        return Err(revoked);
    }
    Ok(verified)
}

/// Explains which boards still lack approvals, if a grant has too few signatures.
fn explain_missing_signatures(
    error: Error,
    envelope: &Envelope,
    rules: &RulesInForce,
    affiliations: &Affiliations,
    now: Timestamp,
) -> Error {
    let Error::Statement(statement::Error::Threshold(_)) = &error else { return error };
    let several = count_approvals(Some(envelope), rules).len() > 1;
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

/// Verifies that a grant has the signatures which the policy in force requires; it may have expired, been revoked, or be for earlier
/// weights. Required before a grant is shown or signed over.
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
        rules.grant_quorum(&claim.predicate)
    })
}

/// Refuses a verified grant if the policy requires a confirmed affiliation and its holder has none now: of all that
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
        return Err(Error::NotYet { what: "grant", issued: grant.issued, now });
    }
    if now >= grant.expires {
        return Err(Error::Expired { what: "grant", expired: grant.expires, board: rules.contacts.clone() });
    }
    Ok(())
}

/// Verifies that a member of the checkpoint's board or an auditor signed the revocation.
///
/// # Errors
/// [`Error::Statement`].
pub fn verify_revocation(envelope: &Envelope, rules: &RulesInForce) -> Result<Verified<Revocation>, Error> {
    if let Some(auditors) = &rules.auditors
        && let Ok(revocation) = envelope.statement::<Revocation>(&auditors.any_one())
    {
        return Ok(revocation.map(|statement| statement.predicate));
    }
    Ok(envelope.statement::<Revocation>(&rules.board.any_one())?.map(|statement| statement.predicate))
}

/// Verifies that the member who owns the share signed it, for `grant`. In a stage in which the registry grants, the registry signs.
///
/// # Errors
/// [`Error::Statement`], [`Error::OtherGrant`], [`Error::NotTheirShare`].
pub fn verify_approval_share(
    envelope: &Envelope,
    grant: &Verified<Statement<Grant>>,
    rules: &RulesInForce,
    manifest: &SealedManifest,
) -> Result<Verified<ApprovalShare>, Error> {
    let researcher = grant.predicate.researcher.verifying_key;
    let quorum = rules.quorum_for(&grant.predicate.stage, researcher)?.any_one();
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

/// Refuses a share that was signed by another member than its owner.
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
