//! Who is asking: challenges, their answers, and the short-lived bearers that are handed out for them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;

use super::intake::require_signatures;
use super::{Error, Registry};
use crate::access::{Origin, Session, SessionPlace, verify_session};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::statement::{Envelope, Predicate as _};
use crate::time::Timestamp;

/// Seconds for which a challenge can be answered.
const CHALLENGE_SECONDS: i64 = 120;
/// Seconds for which a bearer is good.
const BEARER_SECONDS: i64 = 3600;
/// Bearers that are remembered without asking the database: some 10 MB.
const MAX_BEARERS: usize = 100_000;

impl Registry {
    /// A new challenge: 32 random bytes as text, and until when it can be answered.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn challenge(&self, now: Timestamp) -> Result<(String, Timestamp), Error> {
        let (challenge, expires) = (random_text(), now.plus_seconds(CHALLENGE_SECONDS));
        self.store.put_challenge(Sha256Digest::compute(challenge.as_bytes()), expires).await?;
        Ok((challenge, expires))
    }

    /// A bearer for the right answer to a challenge that was handed out here, at one of the registry's own `origins`, and not used yet.
    ///
    /// # Errors
    /// [`Error::Access`], [`Error::Challenge`], [`Error::Store`].
    pub async fn open_session(
        &self,
        answer: &Envelope,
        origins: &[Origin],
        now: Timestamp,
    ) -> Result<(String, Timestamp), Error> {
        require_signatures(Session::KIND, answer, 1)?;
        let (challenge, session) =
            verify_session(answer, SessionPlace { registry: self.key_id(), origins }, now)?;
        let (bearer, expires) = (random_text(), now.plus_seconds(BEARER_SECONDS));
        let holder = session.card.verifying_key.id();
        let digest = Sha256Digest::compute(bearer.as_bytes());
        match self.store.exchange_challenge(challenge, (digest, holder, expires), now).await? {
            true => Ok((bearer, expires)),
            false => Err(Error::Challenge),
        }
    }

    /// Whose a bearer is.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn holder_of(&self, bearer: &str, now: Timestamp) -> Result<Option<KeyId>, Error> {
        let digest = Sha256Digest::compute(bearer.as_bytes());
        if let Some(holder) = self.bearers.get(digest, now) {
            return Ok(Some(holder));
        }
        let found = self.store.bearer(digest, now).await?;
        Ok(found.map(|(holder, expires)| {
            self.bearers.put(digest, (holder, expires), now);
            holder
        }))
    }
}

/// Bearers that were looked up: one stays what it is until it is over, whichever replica handed it out.
#[derive(Debug, Default)]
pub(super) struct Bearers(Mutex<HashMap<Sha256Digest, (KeyId, Timestamp)>>);

impl Bearers {
    fn get(&self, digest: Sha256Digest, now: Timestamp) -> Option<KeyId> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&digest).filter(|(_, expires)| now < *expires).map(|(holder, _)| *holder)
    }

    fn put(&self, digest: Sha256Digest, (holder, expires): (KeyId, Timestamp), now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_BEARERS {
            known.retain(|_, (_, expires)| now < *expires);
        }
        // With so many at once, the database is asked each time for the rest.
        if known.len() < MAX_BEARERS {
            known.insert(digest, (holder, expires));
        }
    }
}

fn random_text() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
