//! Challenges and bearers, by their digests: a stolen database lends nobody a session.

use sqlx::Row as _;

use super::{Error, Store, parse};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::time::Timestamp;

impl Store {
    /// Remembers a challenge that was handed out.
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

    /// Uses a challenge up and remembers the bearer that is handed out for it, both or neither; whether the challenge was there and live. Of
    /// two who try at once, one succeeds. What is over is forgotten.
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

    /// Whose a bearer is, while it is live, and until when that is.
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
