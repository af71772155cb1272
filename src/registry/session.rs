//! Who is asking: challenges, their answers, and the short-lived bearers that are handed out for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;

use super::{Error, Registry};
use crate::access::verify_session;
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::statement::Envelope;
use crate::time::Timestamp;

/// Seconds for which a challenge can be answered.
const CHALLENGE_SECONDS: i64 = 120;
/// Seconds for which a bearer is good.
const BEARER_SECONDS: i64 = 3600;

impl Registry {
    /// A new challenge: 32 random bytes as text, and until when it can be answered.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn challenge(&self, now: Timestamp) -> Result<(String, Timestamp), Error> {
        let (challenge, expires) = (random_text(), now.plus_seconds(CHALLENGE_SECONDS));
        self.store.put_challenge(Sha256Digest::of(challenge.as_bytes()), expires).await?;
        Ok((challenge, expires))
    }

    /// A bearer for the right answer to a challenge that was handed out here and not used yet.
    ///
    /// # Errors
    /// [`Error::Access`], [`Error::Challenge`], [`Error::Store`].
    pub async fn open_session(
        &self,
        answer: &Envelope,
        now: Timestamp,
    ) -> Result<(String, Timestamp), Error> {
        let (challenge, session) = verify_session(answer, self.key_id(), now)?;
        if !self.store.take_challenge(challenge, now).await? {
            return Err(Error::Challenge);
        }
        let (bearer, expires) = (random_text(), now.plus_seconds(BEARER_SECONDS));
        let holder = session.card.verifying_key.id();
        self.store.put_bearer(Sha256Digest::of(bearer.as_bytes()), holder, (now, expires)).await?;
        Ok((bearer, expires))
    }

    /// Whose a bearer is.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn holder_of(&self, bearer: &str, now: Timestamp) -> Result<Option<KeyId>, Error> {
        Ok(self.store.bearer(Sha256Digest::of(bearer.as_bytes()), now).await?)
    }
}

fn random_text() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
