//! Public checkpoints in plaintext: their boards handed over the shares, on the record, so that anyone may read them (P1).

use std::sync::{Arc, PoisonError};

use axum::body::Bytes;
use futures_util::stream::BoxStream;

use super::answer::handed_over;
use super::chunk_memory::ChunkMemory;
use super::public_file::{self, PublicRange, PublicReader};
use super::{Error, Registry};
use crate::blob::Blobs;
use crate::checkpoint::manifest::FileEntry;
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::seal::{ChunkOpener, ContentKey, combine};

/// A public checkpoint.
#[derive(Clone)]
pub struct PublicCheckpoint {
    /// The digest of its sealed manifest.
    pub manifest: Sha256Digest,
    pub(super) opener: Arc<ChunkOpener>,
    pub(super) blobs: Blobs,
    pub(super) memory: Arc<ChunkMemory>,
}

impl Registry {
    /// Opens a public checkpoint.
    ///
    /// # Errors
    /// [`Error::Gated`] in any other stage, [`Error::TooFewHandovers`], [`Error::NotSealed`], [`Error::Client`], [`Error::Store`].
    pub async fn public(&self, checkpoint: &CheckpointId) -> Result<PublicCheckpoint, Error> {
        let rules = self.view().await?.rules(checkpoint)?;
        let is_public = rules.policy.stage(&rules.stage).is_some_and(crate::policy::Stage::is_public);
        if !is_public {
            let (checkpoint, stage) = (checkpoint.clone(), rules.stage.to_string());
            return Err(Error::Gated { checkpoint, stage });
        }
        let known = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&rules.manifest).cloned();
        let opener = match known {
            Some(opener) => opener,
            None => {
                let handovers = self.handovers(&rules).await?;
                let locks = self.locks(&rules).await?;
                let shares = handed_over(&handovers, &rules, &locks, self.keys())?;
                let board = combine(shares, &locks.manifest.seal.board, checkpoint, &mut rand::rng())?;
                let key = locks.shares.open_registry_key(&locks.manifest, self.keys().opening)?;
                let key = ContentKey::derive(&board, &key, checkpoint);
                let opener = Arc::new(ChunkOpener::unlock(locks.manifest, &key)?);
                let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
                opened.insert(rules.manifest, opener.clone());
                opener
            }
        };
        Ok(PublicCheckpoint {
            manifest: rules.manifest,
            opener,
            blobs: self.blobs.clone(),
            memory: self.chunk_memory.clone(),
        })
    }
}

impl PublicCheckpoint {
    /// The files in the order of the manifest.
    pub fn files(&self) -> &[FileEntry] {
        &self.opener.manifest().plain.files
    }

    /// The size of the chunk that holds the first of these bytes.
    pub fn first_chunk_bytes(&self, wanted: &PublicRange) -> u64 {
        let index = wanted.bytes.start / self.opener.manifest().seal.chunk_size.bytes();
        let entry = usize::try_from(index).ok().and_then(|index| self.opener.chunks(wanted.file).get(index));
        entry.map_or(0, |entry| entry.size)
    }

    /// Reads bytes of a file, decrypting chunk by chunk; the first chunk is decrypted before this returns.
    ///
    /// # Errors
    /// [`Error::Crowded`] if there is no room for another chunk, [`Error::Seal`], [`Error::Blob`].
    pub async fn read(
        &self,
        wanted: PublicRange,
        reader: PublicReader,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        public_file::read(self.clone(), wanted, reader).await
    }
}
