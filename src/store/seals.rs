//! Manifests and shares of sealed checkpoints.

use sqlx::Row as _;

use super::{Error, Store, parse};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;

/// A sealed checkpoint's manifest and shares.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealRow {
    pub checkpoint: CheckpointId,
    pub manifest: Vec<u8>,
    pub shares: Vec<u8>,
}

impl Store {
    /// Stores a sealed checkpoint; the caller has checked the manifest's digest.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn put_seal(&self, manifest: Sha256Digest, row: &SealRow) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO seals (manifest, checkpoint, manifest_bytes, shares_bytes) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (manifest) DO NOTHING",
        )
        .bind(manifest.to_string())
        .bind(row.checkpoint.to_string())
        .bind(row.manifest.as_slice())
        .bind(row.shares.as_slice())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A sealed checkpoint by its manifest's digest.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn seal(&self, manifest: Sha256Digest) -> Result<Option<SealRow>, Error> {
        let row = sqlx::query("SELECT * FROM seals WHERE manifest = $1")
            .bind(manifest.to_string())
            .fetch_optional(&self.pool)
            .await?;
        let read = |row: sqlx::any::AnyRow| {
            Ok(SealRow {
                checkpoint: parse("seals", &row.try_get::<String, _>("checkpoint")?)?,
                manifest: row.try_get("manifest_bytes")?,
                shares: row.try_get("shares_bytes")?,
            })
        };
        row.map(read).transpose()
    }
}
