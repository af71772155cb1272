//! What a change of policy would do to the grants that stand: asked by a board before it signs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Affiliations, Found, Grant, Revocation, RulesInForce, verify_grant, verify_revocation};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::policy::{Policy, StageName};
use crate::statement::{Envelope, Statement, Verified};
use crate::time::Timestamp;

/// A policy that might follow the one in force.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// Its rules.
    pub policy: &'a Policy,
    /// The digest of its text.
    pub digest: Sha256Digest,
}

/// A grant that stands, and what becomes of it under a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// The grant's digest.
    pub grant: Sha256Digest,
    /// The request that it answers.
    pub request: Sha256Digest,
    /// To whom it is made out.
    pub person: String,
    /// By which key.
    pub key_id: KeyId,
    /// Of which stage it is.
    pub stage: StageName,
    /// Until when it would hold.
    pub expires: Timestamp,
    /// Whether it goes on.
    pub kept: bool,
    /// The rule that decides so.
    pub rule: &'static str,
    /// What in the draft speaks against the same grant, if it is asked for again; nothing, if the draft permits it.
    pub objections: Vec<String>,
}

/// What a draft does to each of the grants that stand now under the rules in force, in the order of their holders' names.
pub fn outlook(
    (grants, revocations): (&[Found], &[Envelope]),
    (rules, affiliations): (&RulesInForce, &Affiliations),
    draft: Draft<'_>,
    now: Timestamp,
) -> Vec<Outlook> {
    let revoked = revoked_people(grants, revocations, rules);
    let drafted = RulesInForce { policy: draft.policy.clone(), policy_digest: draft.digest, ..rules.clone() };
    let standing = grants.iter().filter_map(|found| {
        let grant = verify_grant(&found.envelope, rules, revocations, affiliations, now).ok()?;
        let is_revoked = revoked.get(&grant.predicate.researcher.verifying_key.id());
        is_revoked.is_none_or(|last| grant.predicate.issued > *last).then_some((found, grant))
    });
    let mut outlooks: Vec<_> = standing
        .map(|(found, grant)| of_grant(&found.envelope, &grant, (&drafted, affiliations), now))
        .collect();
    outlooks.sort_by(|one, other| (&one.person, one.grant).cmp(&(&other.person, other.grant)));
    outlooks
}

fn of_grant(
    envelope: &Envelope,
    grant: &Verified<Statement<Grant>>,
    (drafted, affiliations): (&RulesInForce, &Affiliations),
    now: Timestamp,
) -> Outlook {
    let predicate = &grant.predicate;
    let kept = predicate.policy == drafted.policy_digest;
    let mut signers = BTreeSet::new();
    for board in drafted.boards.values().chain([&drafted.board]) {
        signers.extend(envelope.signers(board));
    }
    Outlook {
        grant: grant.digest(),
        request: predicate.request,
        person: predicate.researcher.name.to_string(),
        key_id: predicate.researcher.verifying_key.id(),
        stage: predicate.stage.clone(),
        expires: predicate.expires,
        kept,
        rule: if kept {
            "the policy does not change"
        } else {
            "a change of policy ends every grant made before it"
        },
        objections: drafted.objections(predicate, &signers, affiliations, now).failed,
    }
}

/// When grants of each person were revoked last: those that were issued by then have ended.
fn revoked_people(
    grants: &[Found],
    revocations: &[Envelope],
    rules: &RulesInForce,
) -> BTreeMap<KeyId, Timestamp> {
    let holders: BTreeMap<_, _> = grants
        .iter()
        .filter_map(|found| {
            let grant = found.envelope.claim::<Grant>().ok()?.predicate;
            (grant.checkpoint == rules.checkpoint)
                .then(|| (found.digest, grant.researcher.verifying_key.id()))
        })
        .collect();
    let mut revoked = BTreeMap::new();
    for Revocation { grant, created, .. } in
        revocations.iter().filter_map(|found| Some(verify_revocation(found, rules).ok()?.into_inner()))
    {
        if let Some(holder) = holders.get(&grant) {
            let last = revoked.entry(*holder).or_insert(created);
            *last = created.max(*last);
        }
    }
    revoked
}
