//! Leases: the registry's key, sealed to the researcher for a day or so. Without a live one nothing opens.

use serde::{Deserialize, Serialize};

use super::grant::Grant;
use super::{CLOCK_TOLERANCE, Error, JournalMark, RulesInForce};
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::seal::SealedMessage;
use crate::statement::{Envelope, Predicate, Statement, Verified};
use crate::time::Timestamp;

/// Leave to open what a grant gives, for some hours. Its statement's subject is the sealed checkpoint's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// The grant that it serves.
    pub grant: Sha256Digest,
    /// From when.
    pub issued: Timestamp,
    /// Until when, exclusive.
    pub expires: Timestamp,
    /// The registry's key, sealed to the researcher with [`lease_context`] as context.
    pub registry_key: SealedMessage,
    /// The usage journal that records what is done under it, as it stood. A registry that is a folder knows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalMark>,
}

impl Lease {
    /// When a new one is due: half of its time is over.
    pub fn renewal_due(&self) -> Timestamp {
        self.expires.plus_seconds(-(self.expires.seconds_since(self.issued) / 2))
    }
}

impl Predicate for Lease {
    const KIND: &'static str = "lease";
}

/// What the registry's key is bound to when it is sealed: one grant and one span of time.
pub fn lease_context(grant: Sha256Digest, issued: Timestamp, expires: Timestamp) -> Sha256Digest {
    let mut hasher = Sha256Hasher::default();
    hasher.update(format!("portcullis/v1/lease {grant} {issued} {expires}").as_bytes());
    hasher.finish()
}

/// The lease of an envelope, if the registry signed it for `grant` and it is live.
///
/// # Errors
/// [`Error::Statement`], [`Error::OtherGrant`], [`Error::OtherManifest`], [`Error::LeaseTooLong`], [`Error::Incomplete`],
/// [`Error::Expired`].
pub fn verify_lease(
    envelope: &Envelope,
    grant: &Verified<Statement<Grant>>,
    rules: &RulesInForce,
    now: Timestamp,
) -> Result<Verified<Lease>, Error> {
    check_lease(envelope.statement(&rules.registry)?, grant, rules, now)
}

/// The lease of a statement that the registry of `rules` signed, if it is for `grant` and live.
///
/// # Errors
/// Those of [`verify_lease`], but for the signature.
pub fn check_lease(
    statement: Verified<Statement<Lease>>,
    grant: &Verified<Statement<Grant>>,
    rules: &RulesInForce,
    now: Timestamp,
) -> Result<Verified<Lease>, Error> {
    let lease_hours = rules.lease_hours(&grant.predicate.stage);
    if statement.subject.digest != grant.subject.digest {
        let (found, in_force) = (statement.subject.digest, grant.subject.digest);
        return Err(Error::OtherManifest { found, in_force });
    }
    let lease = statement.map(|statement| statement.predicate);
    if lease.grant != grant.digest() {
        return Err(Error::OtherGrant { found: lease.grant, expected: grant.digest() });
    }
    if lease.expires > lease.issued.plus_hours(lease_hours) || lease.expires > grant.predicate.expires {
        return Err(Error::LeaseTooLong { expires: lease.expires, lease_hours });
    }
    if now.plus_seconds(CLOCK_TOLERANCE) < lease.issued {
        return Err(Error::Incomplete { what: "lease", issued: lease.issued, now });
    }
    if now >= lease.expires {
        return Err(Error::Expired { what: "lease", expired: lease.expires, board: rules.contacts.clone() });
    }
    Ok(lease)
}
