//! Checkpoints of a public stage in the open: the board handed its lock over, on the record, so that anybody may read them (P1).

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use axum::body::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::answer::handed_over;
use super::{Error, Registry};
use crate::blob::Blobs;
use crate::checkpoint::manifest::FileEntry;
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::seal::{ChunkOpener, ContentKey, combine};

/// A checkpoint that anybody may read.
#[derive(Clone)]
pub struct PublicCheckpoint {
    /// The digest of its sealed manifest.
    pub manifest: Sha256Digest,
    opener: Arc<ChunkOpener>,
    blobs: Blobs,
}

impl Registry {
    /// A checkpoint of a public stage, its locks open.
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
                let shares = handed_over(&handovers, (&rules, &locks), self.keys())?;
                let board = combine(shares, &locks.manifest.seal.board, checkpoint, &mut rand::rng())?;
                let key = locks.shares.open_registry_key(&locks.manifest, self.keys().opening)?;
                let key = ContentKey::derive(&board, &key, checkpoint);
                let opener = Arc::new(ChunkOpener::unlock(locks.manifest, &key)?);
                let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
                opened.insert(rules.manifest, opener.clone());
                opener
            }
        };
        Ok(PublicCheckpoint { manifest: rules.manifest, opener, blobs: self.blobs.clone() })
    }
}

impl PublicCheckpoint {
    /// Its files.
    pub fn files(&self) -> &[FileEntry] {
        &self.opener.manifest().plain.files
    }

    /// A file's bytes in `range`, opened chunk by chunk as they are read.
    pub fn stream(&self, file: usize, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>> {
        let size = self.opener.manifest().seal.chunk_size.bytes();
        let this = self.clone();
        stream::try_unfold((this, range), move |(this, range)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let index = range.start / size;
            let plain = this.chunk(file, index).await?;
            let begin = usize::try_from(range.start - index * size).unwrap_or(usize::MAX);
            let end = usize::try_from((range.end - index * size).min(size)).unwrap_or(usize::MAX);
            let piece = plain.slice(begin.min(plain.len())..end.min(plain.len()));
            let next = range.start + piece.len() as u64;
            // A chunk that is shorter than its manifest says was refused before.
            let rest = if piece.is_empty() { range.end..range.end } else { next..range.end };
            Ok(Some((piece, (this, rest))))
        })
        .boxed()
    }

    async fn chunk(&self, file: usize, index: u64) -> Result<Bytes, Error> {
        let entry = usize::try_from(index).ok().and_then(|index| self.opener.chunks(file).get(index));
        let entry = *entry.ok_or(Error::Unknown { what: "chunk", digest: self.manifest })?;
        let mut pieces = self.blobs.stream(entry.sha256, 0..entry.size).await?;
        let mut ciphertext = Vec::with_capacity(usize::try_from(entry.size).unwrap_or_default());
        while let Some(piece) = pieces.next().await {
            ciphertext.extend_from_slice(&piece?);
        }
        let opener = self.opener.clone();
        let opened = tokio::task::spawn_blocking(move || opener.open(file, index, ciphertext)).await;
        Ok(Bytes::from(opened.map_err(|_| Error::Busy)??))
    }
}
