//! Issuing a lease: the registry's key, sealed to a researcher whose grant counts now.

use super::{Error, Keys};
use crate::access::{Affiliations, Grant, JournalMark, Lease, RulesInForce, lease_context, verify_grant};
use crate::seal::{self, Locks};
use crate::statement::{Envelope, Statement, Subject, Verified};
use crate::time::Timestamp;

/// A lease, and the grant that it serves.
#[derive(Debug)]
pub struct IssuedLease {
    /// The grant, which counts.
    pub grant: Verified<Statement<Grant>>,
    /// The lease, signed.
    pub lease: Envelope,
    /// Until when it runs.
    pub expires: Timestamp,
}

/// What a lease is issued by.
#[derive(Debug, Clone, Copy)]
pub struct LeaseTerms<'a> {
    /// The grant, with the signatures of all who signed it.
    pub grant: &'a Envelope,
    /// What may have ended it.
    pub revocations: &'a [Envelope],
    /// What registrars said of its holder.
    pub affiliations: &'a Affiliations,
    /// The rules in force.
    pub rules: &'a RulesInForce,
    /// The sealed checkpoint's manifest and shares.
    pub locks: &'a Locks,
    /// The usage journal that it is bound to, where the registry knows of journals.
    pub journal: Option<JournalMark>,
}

/// Issues a lease for a grant that counts under the rules in force.
///
/// # Errors
/// [`Error::Access`] with the rule that refuses the grant, [`Error::Seal`].
pub fn issue_lease(terms: &LeaseTerms<'_>, keys: Keys<'_>, now: Timestamp) -> Result<IssuedLease, Error> {
    let LeaseTerms { grant, revocations, affiliations, rules, locks, journal } = *terms;
    let grant = verify_grant(grant, rules, revocations, affiliations, now)?;
    let hours = rules.lease_hours(&grant.predicate.stage);
    let mut expires = now.plus_hours(hours).min(grant.predicate.expires);
    // No lease outlives the membership on which its grant rests.
    if let Some(until) = rules.confirmed_until(&grant.predicate, affiliations, now) {
        expires = expires.min(until);
    }
    let key = locks.shares.open_registry_key(&locks.manifest, keys.opening)?;
    let context = lease_context(grant.digest(), now, expires);
    let researcher = &grant.predicate.researcher.sealing_key;
    let registry_key = seal::seal_registry_key(&key, researcher, context, &mut rand::rng())?;
    let lease = Lease { grant: grant.digest(), issued: now, expires, registry_key, journal };
    let subject = Subject { name: rules.checkpoint.to_string(), digest: rules.manifest };
    let lease = Statement::new(rules.catalogue, subject, lease).sign(keys.signer)?;
    Ok(IssuedLease { grant, lease, expires })
}
