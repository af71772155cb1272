//! The effect of a draft policy on current grants, for a board before it signs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Affiliations, Error, FoundStatement, Grant, Revocation, RulesInForce, verify_grant, verify_revocation,
};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::policy::StageName;
use crate::statement::{Envelope, Statement, Verified};
use crate::time::Timestamp;

/// A current grant and its outlook under a draft.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outlook {
    pub grant: Sha256Digest,
    /// The request that the grant answers.
    pub request: Sha256Digest,
    /// The holder's name.
    pub person: String,
    /// The holder's key.
    pub key_id: KeyId,
    /// The grant's stage.
    pub stage: StageName,
    /// The grant's end.
    pub expires: Timestamp,
    /// Whether the grant stays valid.
    pub kept: bool,
    /// The rule that decides.
    pub rule: String,
    /// What the draft would object to in the same request made again; empty if the draft permits it.
    pub objections: Vec<String>,
}

/// The outlook of each current grant, in the order of their holders' names. `drafted` are the rules as the draft would make them.
pub fn predict_outlook(
    grants: &[FoundStatement],
    revocations: &[Envelope],
    rules: &RulesInForce,
    affiliations: &Affiliations,
    drafted: &RulesInForce,
    now: Timestamp,
) -> Vec<Outlook> {
    let revoked = revoked_people(grants, revocations, rules);
    let standing = grants.iter().filter_map(|found| {
        let grant = verify_grant(&found.envelope, rules, revocations, affiliations, now).ok()?;
        let is_revoked = revoked.get(&grant.predicate.researcher.verifying_key.id());
        is_revoked.is_none_or(|last| grant.predicate.issued > *last).then_some((found, grant))
    });
    let mut outlooks: Vec<_> = standing
        .map(|(found, grant)| predict_grant_outlook(&found.envelope, &grant, drafted, affiliations, now))
        .collect();
    outlooks.sort_by(|one, other| (&one.person, one.grant).cmp(&(&other.person, other.grant)));
    outlooks
}

fn predict_grant_outlook(
    envelope: &Envelope,
    grant: &Verified<Statement<Grant>>,
    drafted: &RulesInForce,
    affiliations: &Affiliations,
    now: Timestamp,
) -> Outlook {
    let predicate = &grant.predicate;
    // The usual check, with the rules of the draft. Revocations were checked before.
    let verdict = verify_grant(envelope, drafted, &[], affiliations, now);
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
        kept: verdict.is_ok(),
        rule: match verdict {
            Ok(_) if predicate.policy == drafted.policy_digest => "the policy does not change".to_owned(),
            Ok(_) => {
                let from = drafted.policy.keeps_grants_from;
                format!("the draft keeps grants made under version {from} or later, and permits it")
            }
            Err(error) => explain_end(error),
        },
        objections: drafted.objections(predicate, &signers, affiliations, now).failed,
    }
}

/// The rule that would refuse the grant, worded for a draft that is not in force yet.
fn explain_end(error: Error) -> String {
    match error {
        Error::PolicyReplaced { .. } => "a change of policy ends every earlier grant".to_owned(),
        Error::NotKept { from, version, .. } => {
            let made =
                version.map_or_else(|| "names no version".to_owned(), |made| format!("is of version {made}"));
            format!("the draft keeps grants made under version {from} or later; this grant {made}")
        }
        Error::NoLongerPermitted { unmet, .. } => {
            format!("the draft does not permit it: {}", unmet.join("; "))
        }
        Error::PolicyMiscited { cited, in_force } => {
            format!(
                "the draft is version {in_force}, but the grant was made under version {cited}: versions only increase"
            )
        }
        error => error.to_string(),
    }
}

/// The time of each person's last revocation: grants issued by then have ended.
fn revoked_people(
    grants: &[FoundStatement],
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
