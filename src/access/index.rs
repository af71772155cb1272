//! What an unverified statement of access claims: the fields by which it is stored and found.

use super::{Affiliation, ApprovalShare, Denial, Grant, Handover, Lease, Request, Revocation, Withdrawal};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::statement::{Envelope, Error, Predicate, Statement};

/// Every kind of statement that is stored.
pub const KINDS: [&str; 9] = [
    Request::KIND,
    Withdrawal::KIND,
    Denial::KIND,
    Grant::KIND,
    ApprovalShare::KIND,
    Revocation::KIND,
    Handover::KIND,
    Lease::KIND,
    Affiliation::KIND,
];

/// The claims of an unverified statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its kind, one of [`KINDS`].
    pub kind: &'static str,
    /// The checkpoint that the subject names. Affiliations have none; theirs is the kind's name.
    pub checkpoint: CheckpointId,
    /// The subject's digest, the checkpoint's manifest. Of an affiliation, [`Affiliation::id`].
    pub manifest: Sha256Digest,
    /// The request or grant to which the statement belongs. Of an affiliation, its subject.
    pub about: Option<Sha256Digest>,
}

/// Reads the claims of a statement, without verification.
///
/// # Errors
/// [`Error::Kind`] if it is no statement of access, [`Error::Malformed`].
pub fn index(envelope: &Envelope) -> Result<Index, Error> {
    let found = envelope.kind()?;
    match found.as_str() {
        Request::KIND => read(envelope, |_: &Request| None),
        Withdrawal::KIND => read(envelope, |withdrawal: &Withdrawal| Some(withdrawal.request)),
        Denial::KIND => read(envelope, |denial: &Denial| Some(denial.request)),
        Grant::KIND => read(envelope, |grant: &Grant| Some(grant.request)),
        ApprovalShare::KIND => read(envelope, |share: &ApprovalShare| Some(share.grant)),
        Revocation::KIND => read(envelope, |revocation: &Revocation| Some(revocation.grant)),
        Handover::KIND => read(envelope, |_: &Handover| None),
        Lease::KIND => read(envelope, |lease: &Lease| Some(lease.grant)),
        Affiliation::KIND => read(envelope, |said: &Affiliation| {
            Some(Affiliation::id(&said.person.verifying_key, &said.organization))
        }),
        _ => Err(Error::Kind { found, expected: "statement of access" }),
    }
}

fn read<P: Predicate>(
    envelope: &Envelope,
    about: impl FnOnce(&P) -> Option<Sha256Digest>,
) -> Result<Index, Error> {
    let Statement { subject, predicate, .. } = envelope.claim::<P>()?;
    let checkpoint = subject.name.parse().map_err(|_| Error::Malformed {
        kind: P::KIND,
        reason: "its subject's name is not a checkpoint".to_owned(),
    })?;
    Ok(Index { kind: P::KIND, checkpoint, manifest: subject.digest, about: about(&predicate) })
}
