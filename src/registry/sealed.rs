//! Sealed checkpoints: chunks and manifests come in from board members, and go out to anybody.

use axum::body::Bytes;

use super::{Error, Registry};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::seal::Locks;
use crate::store::SealRow;

impl Registry {
    /// Keeps a chunk that somebody on a board hands in; whether it was new.
    ///
    /// # Errors
    /// [`Error::NotYours`], [`Error::Blob`].
    pub async fn put_chunk(&self, digest: Sha256Digest, bytes: Bytes, by: KeyId) -> Result<bool, Error> {
        self.require_member(by).await?;
        Ok(self.blobs.put(digest, bytes).await?)
    }

    /// Refuses those who are on no board, before anything long of theirs is read.
    ///
    /// # Errors
    /// [`Error::NotYours`], [`Error::Store`].
    pub async fn require_member(&self, key: KeyId) -> Result<(), Error> {
        if self.view().await?.boards_of(key).is_empty() { Err(Error::NotYours) } else { Ok(()) }
    }

    /// Keeps a sealed checkpoint's manifest and shares, once every chunk is here.
    ///
    /// # Errors
    /// [`Error::NotYours`], [`Error::Seal`], [`Error::Unknown`] with the first chunk that is missing, [`Error::Store`].
    pub async fn put_seal(
        &self,
        checkpoint: &CheckpointId,
        (manifest, shares): (Vec<u8>, Vec<u8>),
        by: KeyId,
    ) -> Result<Sha256Digest, Error> {
        if !self.view().await?.boards_of(by).contains(checkpoint) {
            return Err(Error::NotYours);
        }
        let digest = Sha256Digest::compute(&manifest);
        let locks = Locks::parse(&manifest, &shares, digest)?;
        if locks.manifest.plain.checkpoint != *checkpoint {
            return Err(Error::NotSealed { checkpoint: checkpoint.clone() });
        }
        for chunk in locks.manifest.chunks() {
            if self.blobs.size(chunk.sha256).await? != Some(chunk.size) {
                return Err(Error::Unknown { what: "chunk", digest: chunk.sha256 });
            }
        }
        self.store.put_seal(digest, &SealRow { checkpoint: checkpoint.clone(), manifest, shares }).await?;
        Ok(digest)
    }

    /// A sealed checkpoint's manifest and shares.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub async fn seal(&self, checkpoint: &CheckpointId, manifest: Sha256Digest) -> Result<SealRow, Error> {
        let row = self.store.seal(manifest).await?.filter(|row| row.checkpoint == *checkpoint);
        row.ok_or(Error::Unknown { what: "sealed manifest", digest: manifest })
    }
}
