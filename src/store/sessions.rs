//! Challenges and bearers, stored as digests: a stolen database contains no usable session.

use sqlx::Row as _;

use super::{Error, Store, parse};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::time::Timestamp;

impl Store {
    /// Stores a challenge.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn put_challenge(&self, digest: Sha256Digest, expires: Timestamp) -> Result<(), Error> {
        sqlx::query("INSERT INTO challenges (digest, expires) VALUES ($1, $2)")
            .bind(digest.to_string())
            .bind(expires.unix_seconds())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Replaces a live challenge by a bearer in one transaction; returns whether the challenge was live. Of two concurrent calls, one
    /// succeeds. Expired rows are deleted.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn exchange_challenge(
        &self,
        challenge: Sha256Digest,
        bearer: Sha256Digest,
        holder: KeyId,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("DELETE FROM challenges WHERE digest = $1 AND expires > $2")
            .bind(challenge.to_string())
            .bind(now.unix_seconds())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        for query in ["DELETE FROM challenges WHERE expires <= $1", "DELETE FROM bearers WHERE expires <= $1"]
        {
            sqlx::query(query).bind(now.unix_seconds()).execute(&mut *transaction).await?;
        }
        sqlx::query("INSERT INTO bearers (digest, holder, expires) VALUES ($1, $2, $3)")
            .bind(bearer.to_string())
            .bind(holder.to_string())
            .bind(expires.unix_seconds())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The holder and the end of a live bearer.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn bearer(
        &self,
        digest: Sha256Digest,
        now: Timestamp,
    ) -> Result<Option<(KeyId, Timestamp)>, Error> {
        let row = sqlx::query("SELECT holder, expires FROM bearers WHERE digest = $1 AND expires > $2")
            .bind(digest.to_string())
            .bind(now.unix_seconds())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            let holder = parse("bearers", &row.try_get::<String, _>("holder")?)?;
            Ok((holder, Timestamp::from_unix_seconds(row.try_get("expires")?)))
        })
        .transpose()
    }
}
