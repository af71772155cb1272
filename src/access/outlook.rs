//! What a change of policy would do to the grants that stand: asked by a board before it signs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Affiliations, Error, Found, Grant, Revocation, RulesInForce, verify_grant, verify_revocation};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::policy::StageName;
use crate::statement::{Envelope, Statement, Verified};
use crate::time::Timestamp;

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
    pub rule: String,
    /// What in the draft speaks against the same grant, if it is asked for again; nothing, if the draft permits it.
    pub objections: Vec<String>,
}

/// What a draft does to each of the grants that stand now under the rules in force, in the order of their holders' names. `drafted` are
/// the rules as they would be in force with it.
pub fn outlook(
    (grants, revocations): (&[Found], &[Envelope]),
    (rules, affiliations): (&RulesInForce, &Affiliations),
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
        .map(|(found, grant)| of_grant(&found.envelope, &grant, (drafted, affiliations), now))
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
    // The check of everybody, with the rules of the draft. Revocations were looked at before.
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
            Err(error) => why_it_ends(error),
        },
        objections: drafted.objections(predicate, &signers, affiliations, now).failed,
    }
}

/// The rule that would refuse a grant, told of a draft that is not in force yet.
fn why_it_ends(error: Error) -> String {
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
