//! Authentication: challenges, their answers, and short-lived bearers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;

use super::admission::require_signatures;
use super::{Error, Registry};
use crate::access::{Origin, Session, SessionPlace, verify_session};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::statement::{Envelope, Predicate as _};
use crate::time::Timestamp;

/// Seconds for which a challenge can be answered.
const CHALLENGE_SECONDS: i64 = 120;
/// Seconds for which a bearer is valid.
const BEARER_SECONDS: i64 = 3600;
/// Maximum number of cached bearers, about 10 MB.
const MAX_BEARERS: usize = 100_000;

impl Registry {
    /// A new challenge of 32 random bytes as text, and its end.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn challenge(&self, now: Timestamp) -> Result<(String, Timestamp), Error> {
        let (challenge, expires) = (random_text(), now.plus_seconds(CHALLENGE_SECONDS));
        self.store.put_challenge(Sha256Digest::of(challenge.as_bytes()), expires).await?;
        Ok((challenge, expires))
    }

    /// A bearer for the valid answer to an unused challenge, made for one of the registry's own `origins`.
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
        let digest = Sha256Digest::of(bearer.as_bytes());
        match self.store.exchange_challenge(challenge, digest, holder, expires, now).await? {
            true => Ok((bearer, expires)),
            false => Err(Error::Challenge),
        }
    }

    /// The holder of a bearer.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn holder_of(&self, bearer: &str, now: Timestamp) -> Result<Option<KeyId>, Error> {
        let digest = Sha256Digest::of(bearer.as_bytes());
        if let Some(holder) = self.bearers.get(digest, now) {
            return Ok(Some(holder));
        }
        let found = self.store.bearer(digest, now).await?;
        Ok(found.map(|(holder, expires)| {
            self.bearers.put(digest, holder, expires, now);
            holder
        }))
    }
}

/// Cache of bearers. A bearer does not change until it expires, whichever replica issued it.
#[derive(Debug, Default)]
pub(super) struct Bearers(Mutex<HashMap<Sha256Digest, (KeyId, Timestamp)>>);

impl Bearers {
    fn get(&self, digest: Sha256Digest, now: Timestamp) -> Option<KeyId> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&digest).filter(|(_, expires)| now < *expires).map(|(holder, _)| *holder)
    }

    fn put(&self, digest: Sha256Digest, holder: KeyId, expires: Timestamp, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_BEARERS {
            known.retain(|_, (_, expires)| now < *expires);
        }
        // Beyond this number, the database is asked each time.
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
