//! Sessions: short-lived proof that a client holds a key. Private reads require one; public and signed data do not.
//!
//! The registry hands out a challenge once. The answer is a signed statement that names the challenge, the registry's key and the origin
//! that the client uses. Answers to an old or used challenge, to another registry's, or to one that a relay at another address passed on
//! are refused.

use serde::{Deserialize, Serialize};

use super::{CLOCK_TOLERANCE, Contacts, Error, Origin};
use crate::digest::Sha256Digest;
use crate::identity::{Card, KeyId};
use crate::statement::{Envelope, Predicate, Quorum, Statement, Verified};
use crate::time::Timestamp;

/// The answer to a challenge. Its subject is the challenge's digest.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The registry's key id; other registries refuse the answer.
    pub registry: KeyId,
    /// The address that the client uses; the registry refuses an answer made for a relay. Earlier versions named none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The client's card.
    pub card: Card,
    pub created: Timestamp,
}

impl Predicate for Session {
    const KIND: &'static str = "session";
    const IN_CATALOGUE: bool = false;
}

/// What a session must be made for.
#[derive(Debug, Clone, Copy)]
pub struct SessionPlace<'a> {
    /// The registry's key.
    pub registry: KeyId,
    /// The registry's addresses.
    pub origins: &'a [Origin],
}

/// Verifies that the key on the card signed the session now, for this registry at one of its addresses. The caller checks that the
/// challenge was handed out and is unused.
///
/// # Errors
/// [`Error::Statement`], [`Error::OtherRegistry`], [`Error::NoOrigin`], [`Error::OtherOrigin`], [`Error::NotYet`], [`Error::Expired`].
pub fn verify_session(
    envelope: &Envelope,
    place: SessionPlace<'_>,
    now: Timestamp,
) -> Result<(Sha256Digest, Verified<Session>), Error> {
    let holder =
        |session: &Session| Quorum::of_one(format!("{},", session.card.name), session.card.verifying_key);
    let statement: Verified<Statement<Session>> = envelope.self_signed(holder)?;
    let session = &statement.predicate;
    if session.registry != place.registry {
        return Err(Error::OtherRegistry { found: session.registry, expected: place.registry });
    }
    let origin = session.origin.as_ref().ok_or(Error::NoOrigin)?;
    if !place.origins.contains(origin) {
        return Err(Error::OtherOrigin { found: origin.clone(), expected: place.origins.to_vec() });
    }
    if session.created.seconds_since(now) > CLOCK_TOLERANCE {
        return Err(Error::NotYet { what: "answer", issued: session.created, now });
    }
    if now.seconds_since(session.created) > CLOCK_TOLERANCE {
        let expired = session.created.plus_seconds(CLOCK_TOLERANCE);
        return Err(Error::Expired { what: "answer", expired, board: Contacts::default() });
    }
    let challenge = statement.subject.digest;
    Ok((challenge, statement.map(|statement| statement.predicate)))
}
