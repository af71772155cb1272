//! How this home proves to a registry who is asking.

use std::fs;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::home::{Home, write_secret};
use super::output::Output;
use super::registry;
use super::signing::{Unattended, unattended};
use crate::access::{Origin, Session};
use crate::api::Bearer;
use crate::checkpoint::fetch::BaseUrl;
use crate::client::remote::Credentials;
use crate::digest::Sha256Digest;
use crate::statement::{Envelope, Statement, Subject};
use crate::time::Timestamp;

/// Seconds before its end from which on a bearer is not used.
const MARGIN: i64 = 30;

/// The credentials of a home: its identity signs, and the bearer is kept until it is over.
pub(super) struct HomeCredentials {
    home: Home,
    output: Output,
    registry: String,
    kept: Mutex<Option<Kept>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    registry: String,
    bearer: String,
    expires: Timestamp,
}

impl HomeCredentials {
    pub(super) fn new(home: &Home, registry: &BaseUrl, output: Output) -> Self {
        let registry = registry.to_string();
        let kept = fs::read(home.session_path()).ok().and_then(|bytes| crate::json::from_slice(&bytes).ok());
        let kept = kept.filter(|kept: &Kept| kept.registry == registry);
        Self { home: home.clone(), output, registry, kept: Mutex::new(kept) }
    }

    fn try_answer(&self, challenge: &str, origin: &Origin) -> anyhow::Result<Envelope> {
        // Bound to the key that the owners named, so that no other registry can use the answer, and to the address at which it was asked for, so
        // that nobody who passes it on to that registry can.
        let catalogue = registry::client(&self.home).load_offline(Timestamp::now())?;
        let named = catalogue.registry().keys().first().map(crate::identity::VerifyingKey::id);
        let registry = named.ok_or_else(|| anyhow::anyhow!("the catalogue names no registry"))?;
        let (identity, signer) = unattended(&self.home, Unattended::Session, self.output)?;
        let (origin, card) = (Some(origin.clone()), identity.card().clone());
        let session = Session { registry, origin, card, created: Timestamp::now() };
        let subject =
            Subject { name: self.registry.clone(), digest: Sha256Digest::compute(challenge.as_bytes()) };
        Ok(Statement::without_catalogue(subject, session).sign(&*signer)?)
    }
}

impl Credentials for HomeCredentials {
    fn bearer(&self) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (kept.expires.seconds_since(Timestamp::now()) > MARGIN).then_some(kept.bearer)
    }

    fn keep(&self, bearer: &Bearer) {
        let (registry, bearer, expires) = (self.registry.clone(), bearer.bearer.clone(), bearer.expires);
        let kept = Kept { registry, bearer, expires };
        if let Ok(bytes) = serde_json::to_vec(&kept)
            && let Err(error) = write_secret(&self.home.session_path(), &bytes)
        {
            self.output.note(format_args!("note: the session is not kept: {error:#}"));
        }
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }

    fn answer(&self, challenge: &str, origin: &Origin) -> Result<Envelope, String> {
        self.try_answer(challenge, origin).map_err(|error| format!("{error:#}"))
    }
}
