//! The objects that statements refer to. A statement is judged by the rules of its object; the subject that its author writes must agree
//! with it.

use super::index::Index;
use super::{Error, Registry};
use crate::access::{ApprovalShare, Denial, Grant, Request, Revocation, Withdrawal};
use crate::digest::Sha256Digest;
use crate::misuse::{Case, CaseStep};
use crate::name::CheckpointId;
use crate::statement::{Envelope, Predicate, Subject};
use crate::store::StatementRow;

impl Registry {
    /// The checkpoint of the request, grant or case that a statement refers to; without a reference, its own.
    ///
    /// # Errors
    /// [`Error::Unknown`] if what it refers to is not here, [`Error::OtherSubject`] if its subject is another, [`Error::Store`].
    pub(super) async fn checkpoint_referred_to(&self, index: &Index) -> Result<CheckpointId, Error> {
        let Some(about) = index.about else { return Ok(index.checkpoint.clone()) };
        let found = match index.kind {
            Withdrawal::KIND | Denial::KIND | Grant::KIND => {
                self.subject_of::<Request>("request", about).await?
            }
            Revocation::KIND | Case::KIND => self.subject_of::<Grant>("grant", about).await?,
            // A share may precede the grant that its member signs.
            ApprovalShare::KIND => match self.subject_of::<Grant>("grant", about).await {
                Err(Error::Unknown { .. }) => return Ok(index.checkpoint.clone()),
                found => found?,
            },
            CaseStep::KIND => self.subject_of::<Case>("case", about).await?,
            _ => return Ok(index.checkpoint.clone()),
        };
        if found.checkpoint == index.checkpoint && found.manifest == index.manifest {
            return Ok(found.checkpoint);
        }
        Err(Error::OtherSubject {
            kind: index.kind,
            found: index.checkpoint.clone(),
            expected: found.checkpoint,
        })
    }

    async fn subject_of<P: Predicate>(
        &self,
        what: &'static str,
        digest: Sha256Digest,
    ) -> Result<Reference, Error> {
        let rows = self.store.statement(digest).await?;
        let is_it = |row: &&StatementRow| row.kind == P::KIND && !row.is_erased();
        let row = rows.iter().find(is_it).ok_or(Error::Unknown { what, digest })?;
        let Subject { digest: manifest, .. } =
            Envelope::parse(row.envelope.as_bytes())?.claim::<P>()?.subject;
        Ok(Reference { checkpoint: row.checkpoint.clone(), manifest })
    }
}

/// The subject of the referenced object.
struct Reference {
    checkpoint: CheckpointId,
    manifest: Sha256Digest,
}
