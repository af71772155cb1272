//! A session: proof, for a short time, that one holds a key. What is public or signed needs none; private reads do.
//!
//! The registry hands out a challenge once; its answer is a statement that names the challenge, the registry's own key and the origin that
//! the client speaks to, signed by the key that asks. Another registry's challenge, an old one or one that was used before proves nothing; nor
//! does the true registry's that a relay at another address passed on.

use serde::{Deserialize, Serialize};

use super::{CLOCK_TOLERANCE, Contacts, Error, Origin};
use crate::digest::Sha256Digest;
use crate::identity::{Card, KeyId};
use crate::statement::{Envelope, Predicate, Quorum, Statement, Verified};
use crate::time::Timestamp;

/// The answer to a challenge. Its statement's subject is the challenge's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The registry's key id: an answer made for one registry is worth nothing at another.
    pub registry: KeyId,
    /// Where the one who asks speaks to it: an answer that was made for a relay is worth nothing at the registry. Programs of before named none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Who asks.
    pub card: Card,
    /// When.
    pub created: Timestamp,
}

impl Predicate for Session {
    const KIND: &'static str = "session";
    const IN_CATALOGUE: bool = false;
}

/// Whom a session must be for.
#[derive(Debug, Clone, Copy)]
pub struct SessionPlace<'a> {
    /// The registry's key.
    pub registry: KeyId,
    /// Where it is spoken to.
    pub origins: &'a [Origin],
}

/// The session of an envelope, if the key on its card signed it for this registry at one of its own addresses, now. Whether the challenge was handed out and is
/// unused is for the registry to know.
///
/// # Errors
/// [`Error::Statement`], [`Error::OtherRegistry`], [`Error::NoOrigin`], [`Error::OtherOrigin`], [`Error::Incomplete`], [`Error::Expired`].
pub fn verify_session(
    envelope: &Envelope,
    place: SessionPlace<'_>,
    now: Timestamp,
) -> Result<(Sha256Digest, Verified<Session>), Error> {
    let holder =
        |session: &Session| Quorum::from_key(format!("{},", session.card.name), session.card.verifying_key);
    let statement: Verified<Statement<Session>> = envelope.verify_self_signed(holder)?;
    let session = &statement.predicate;
    if session.registry != place.registry {
        return Err(Error::OtherRegistry { found: session.registry, expected: place.registry });
    }
    let origin = session.origin.as_ref().ok_or(Error::NoOrigin)?;
    if !place.origins.contains(origin) {
        return Err(Error::OtherOrigin { found: origin.clone(), expected: place.origins.to_vec() });
    }
    if session.created.seconds_since(now) > CLOCK_TOLERANCE {
        return Err(Error::Incomplete { what: "answer", issued: session.created, now });
    }
    if now.seconds_since(session.created) > CLOCK_TOLERANCE {
        let expired = session.created.plus_seconds(CLOCK_TOLERANCE);
        return Err(Error::Expired { what: "answer", expired, board: Contacts::default() });
    }
    let challenge = statement.subject.digest;
    Ok((challenge, statement.map(|statement| statement.predicate)))
}
