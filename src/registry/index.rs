//! What a statement of any kind says of itself, unverified.

use crate::access;
use crate::digest::Sha256Digest;
use crate::misuse::{Case, CaseStep};
use crate::name::CheckpointId;
use crate::statement::{Envelope, Error, Predicate};
use crate::usage::{JournalDeclaration, UsageBatch};

/// Every kind of statement that a registry keeps.
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

/// What a statement says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    /// Its kind.
    pub(super) kind: &'static str,
    /// The checkpoint that its subject names; of usage, which may be of several, and of affiliations, which are of none, its kind.
    pub(super) checkpoint: CheckpointId,
    /// The digest of its subject: of a statement about a checkpoint, of the checkpoint's manifest.
    pub(super) manifest: Sha256Digest,
    /// The request, grant or case that it is about.
    pub(super) about: Option<Sha256Digest>,
}

/// Reads what a statement says of itself.
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
