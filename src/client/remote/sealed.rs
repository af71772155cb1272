//! Sealed checkpoints of a registry over HTTP: manifests, shares and chunks.

use reqwest::StatusCode;

use super::http::ApiRequest;
use super::{RemoteError, RemoteRegistry};
use crate::api::{SealParcel, SealReceipt};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::seal::Locks;

impl RemoteRegistry {
    /// A sealed manifest's text, whose digest the caller checks.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn manifest(
        &self,
        checkpoint: &CheckpointId,
        manifest: Sha256Digest,
    ) -> Result<Vec<u8>, RemoteError> {
        let digest = manifest.to_string();
        let path = ["v1", "checkpoints", checkpoint.as_str(), "manifests", digest.as_str()];
        self.http.ask(&ApiRequest::get(&path, Locks::MAX_MANIFEST_BYTES), None)?.success()
    }

    /// The text of the file of shares, for members of the board.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn shares(&self, checkpoint: &CheckpointId, manifest: Sha256Digest) -> Result<Vec<u8>, RemoteError> {
        let digest = manifest.to_string();
        let path = ["v1", "checkpoints", checkpoint.as_str(), "manifests", digest.as_str(), "shares"];
        self.ask_signed_in(&ApiRequest::get(&path, Locks::MAX_SHARES_BYTES))?.success()
    }

    /// Whether the registry has a chunk.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn has_chunk(&self, chunk: Sha256Digest) -> Result<bool, RemoteError> {
        let digest = chunk.to_string();
        let answer = self.http.ask(&ApiRequest::head(&["v1", "chunks", &digest]), None)?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            // A registry that keeps chunks elsewhere says where.
            status if status.is_redirection() => Ok(true),
            _ => answer.success().map(|_| true),
        }
    }

    /// Hands in a chunk.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn put_chunk(&self, chunk: Sha256Digest, bytes: Vec<u8>) -> Result<(), RemoteError> {
        let digest = chunk.to_string();
        self.ask_signed_in(&ApiRequest::put_bytes(&["v1", "chunks", &digest], bytes))?.require_success()
    }

    /// Hands in a sealed checkpoint whose chunks are all there.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn put_seal(
        &self,
        checkpoint: &CheckpointId,
        parcel: &SealParcel,
    ) -> Result<Sha256Digest, RemoteError> {
        let path = ["v1", "checkpoints", checkpoint.as_str(), "seal"];
        let receipt: SealReceipt =
            self.ask_signed_in(&ApiRequest::put(&path, self.http.encode(parcel)?))?.json()?;
        Ok(receipt.manifest)
    }
}
