//! Issuing leases: the registry's key, sealed to a researcher with a valid grant.

use super::{Error, Keys};
use crate::access::{Affiliations, Grant, JournalMark, Lease, RulesInForce, lease_context, verify_grant};
use crate::seal::{self, Locks};
use crate::statement::{Envelope, Statement, Subject, Verified};
use crate::time::Timestamp;

/// A signed lease, with its grant.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug)]
pub struct IssuedLease {
    /// The valid grant.
    pub grant: Verified<Statement<Grant>>,
    /// The signed lease.
    pub lease: Envelope,
    pub expires: Timestamp,
}

/// The inputs for issuing a lease.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy)]
pub struct LeaseTerms<'a> {
    /// The grant with all its signatures.
    pub grant: &'a Envelope,
    /// Revocations that may have ended it.
    pub revocations: &'a [Envelope],
    /// Affiliations of its holder.
    pub affiliations: &'a Affiliations,
    pub rules: &'a RulesInForce,
    pub locks: &'a Locks,
    /// The usage journal to which the lease is bound, if the registry knows journals.
    pub journal: Option<JournalMark>,
}

/// Issues a lease for a grant that is valid under the rules in force.
///
/// # Errors
/// [`Error::Access`] with the rule that refuses the grant, [`Error::Seal`].
pub fn issue_lease(terms: &LeaseTerms<'_>, keys: Keys<'_>, now: Timestamp) -> Result<IssuedLease, Error> {
    let LeaseTerms { grant, revocations, affiliations, rules, locks, journal } = *terms;
    let grant = verify_grant(grant, rules, revocations, affiliations, now)?;
    let hours = rules.lease_hours(&grant.predicate.stage);
    let mut expires = now.plus_hours(hours).min(grant.predicate.expires);
    // A lease does not outlive the affiliation on which its grant depends.
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
