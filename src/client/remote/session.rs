//! Signing in: a challenge is answered with a statement, and a bearer comes back that is good for a while.

use std::sync::PoisonError;

use reqwest::StatusCode;

use super::http::{Answer, ApiRequest};
use super::{MAX_ANSWER, RemoteError, RemoteRegistry};
use crate::access::Origin;
use crate::api::{Bearer, Challenge};
use crate::statement::Envelope;

/// Who asks a registry, when something is not for everybody.
pub trait Credentials: Send + Sync {
    /// An earlier bearer that may still be valid.
    fn bearer(&self) -> Option<String>;

    /// Keeps a bearer for next time.
    fn keep(&self, bearer: &Bearer);

    /// The answer to a challenge that was given at `origin`, signed; or why there is none.
    ///
    /// # Errors
    /// Words that say why not.
    fn answer(&self, challenge: &str, origin: &Origin) -> Result<Envelope, String>;
}

/// No credentials: only what is public can be read.
#[derive(Debug, Clone, Copy)]
pub struct Anonymous;

impl Credentials for Anonymous {
    fn bearer(&self) -> Option<String> {
        None
    }

    fn keep(&self, _bearer: &Bearer) {}

    fn answer(&self, _challenge: &str, _origin: &Origin) -> Result<Envelope, String> {
        Err("authentication required".to_owned())
    }
}

impl RemoteRegistry {
    /// Puts a question as the one whose credentials these are, signing in if that is needed.
    pub(super) fn ask_signed_in(&self, ask: &ApiRequest<'_>) -> Result<Answer, RemoteError> {
        let known = self.credentials.bearer();
        if let Some(bearer) = &known {
            let answer = self.http.ask(ask, Some(bearer))?;
            if answer.status() != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
        }
        let bearer = self.sign_in(known.as_deref())?;
        self.http.ask(ask, Some(&bearer))
    }

    /// A new bearer, unless another thread just got one.
    fn sign_in(&self, stale: Option<&str>) -> Result<String, RemoteError> {
        let _one_at_a_time = self.signing_in.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bearer) = self.credentials.bearer().filter(|bearer| stale != Some(bearer)) {
            return Ok(bearer);
        }
        let challenge: Challenge =
            self.http.ask(&ApiRequest::post(&["v1", "challenges"], Vec::new()), None)?.json()?;
        if challenge.challenge.len() as u64 > MAX_ANSWER {
            return Err(self.http.unexpected("the challenge is too long"));
        }
        let credentials = |reason| RemoteError::Credentials { registry: self.base().to_string(), reason };
        let answer =
            self.credentials.answer(&challenge.challenge, &self.base().into()).map_err(credentials)?;
        let session = ApiRequest::post(&["v1", "sessions"], answer.to_json().into_bytes());
        let bearer: Bearer = self.http.ask(&session, None)?.json()?;
        self.credentials.keep(&bearer);
        Ok(bearer.bearer)
    }
}
