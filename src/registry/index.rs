//! What an unverified statement of any kind claims.

use crate::access;
use crate::digest::Sha256Digest;
use crate::misuse::{Case, CaseStep};
use crate::name::CheckpointId;
use crate::statement::{Envelope, Error, Predicate};
use crate::usage::{JournalDeclaration, UsageBatch};

/// Every kind of statement that a registry stores.
pub const KINDS: [&str; 15] = [
    access::KINDS[0],
    access::KINDS[1],
    access::KINDS[2],
    access::KINDS[3],
    access::KINDS[4],
    access::KINDS[5],
    access::KINDS[6],
    access::KINDS[7],
    access::KINDS[8],
    UsageBatch::KIND,
    JournalDeclaration::KIND,
    Case::KIND,
    CaseStep::KIND,
    super::reading_log::Reading::KIND,
    super::erase::Erasure::KIND,
];

/// The claims of an unverified statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) kind: &'static str,
    /// The checkpoint that the subject names. Usage and affiliations have none; theirs is the kind's name.
    pub(super) checkpoint: CheckpointId,
    /// The subject's digest; of a statement about a checkpoint, its manifest.
    pub(super) manifest: Sha256Digest,
    /// The request, grant or case to which the statement belongs.
    pub(super) about: Option<Sha256Digest>,
}

/// Reads the claims of a statement, without verification.
pub(super) fn index(envelope: &Envelope) -> Result<Index, Error> {
    match envelope.kind()?.as_str() {
        UsageBatch::KIND => read::<UsageBatch>(envelope, |_| None),
        JournalDeclaration::KIND => read::<JournalDeclaration>(envelope, |_| None),
        Case::KIND => read::<Case>(envelope, |case| Some(case.grant)),
        CaseStep::KIND => read::<CaseStep>(envelope, |step| Some(step.case)),
        _ => {
            let access::Index { kind, checkpoint, manifest, about } = access::index(envelope)?;
            Ok(Index { kind, checkpoint, manifest, about })
        }
    }
}

fn read<P: Predicate>(
    envelope: &Envelope,
    about: impl FnOnce(&P) -> Option<Sha256Digest>,
) -> Result<Index, Error> {
    let claim = envelope.claim::<P>()?;
    let malformed =
        |_| Error::Malformed { kind: P::KIND, reason: "its subject's name is not valid".to_owned() };
    let checkpoint = claim.subject.name.parse().map_err(malformed)?;
    let (kind, manifest) = (P::KIND, claim.subject.digest);
    Ok(Index { kind, checkpoint, manifest, about: about(&claim.predicate) })
}
