//! One question and its answer, tried again where that can help.

use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::RemoteError;
use crate::access::Fault;
use crate::api::{Problem, WorkDemand};
use crate::checkpoint::fetch::{BaseUrl, parse_retry_after};
use crate::time::Timestamp;

/// How long name lookup, connection and TLS may take together.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may stay silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a question is put.
const TRIES: u32 = 4;
/// How often a registry is called that refuses the connection: commands go on without it, and people wait for them.
const CALLS: u32 = 2;
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// A client of one registry.
pub(super) struct Http {
    base: BaseUrl,
    client: Client,
    runtime: Runtime,
}

/// What is asked. Every question can be put again without harm.
pub(super) struct Ask<'a> {
    method: Method,
    path: &'a [&'a str],
    pub(super) query: Vec<(&'static str, String)>,
    body: Option<(Vec<u8>, &'static str)>,
    pub(super) header: Option<(&'static str, &'a str)>,
    most: u64,
}

impl<'a> Ask<'a> {
    pub(super) fn get(path: &'a [&'a str], most: u64) -> Self {
        Self::new(Method::GET, path, None, most)
    }

    pub(super) fn head(path: &'a [&'a str]) -> Self {
        Self::new(Method::HEAD, path, None, 0)
    }

    pub(super) fn delete(path: &'a [&'a str]) -> Self {
        Self::new(Method::DELETE, path, None, super::MOST_ANSWER)
    }

    pub(super) fn post(path: &'a [&'a str], json: Vec<u8>) -> Self {
        Self::new(Method::POST, path, Some((json, "application/json")), super::MOST_ANSWER)
    }

    pub(super) fn post_nothing(path: &'a [&'a str]) -> Self {
        Self::new(Method::POST, path, None, super::MOST_ANSWER)
    }

    pub(super) fn put(path: &'a [&'a str], json: Vec<u8>) -> Self {
        Self::new(Method::PUT, path, Some((json, "application/json")), super::MOST_ANSWER)
    }

    pub(super) fn put_bytes(path: &'a [&'a str], bytes: Vec<u8>) -> Self {
        Self::new(Method::PUT, path, Some((bytes, "application/octet-stream")), super::MOST_ANSWER)
    }

    fn new(method: Method, path: &'a [&'a str], body: Option<(Vec<u8>, &'static str)>, most: u64) -> Self {
        Self { method, path, query: Vec::new(), body, header: None, most }
    }
}

/// An answer, read whole.
pub(super) struct Answer {
    registry: String,
    status: StatusCode,
    bytes: Vec<u8>,
    /// When the server says that it answered.
    date: Option<Timestamp>,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// When the server says that it answered; the caller's clock may say otherwise.
    pub(super) fn date(&self) -> Option<Timestamp> {
        self.date
    }

    /// The body, where it did what was asked.
    pub(super) fn success(self) -> Result<Vec<u8>, RemoteError> {
        if self.status.is_success() {
            return Ok(self.bytes);
        }
        let fault = match self.status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED | StatusCode::CONFLICT => Fault::Rule,
            StatusCode::UNPROCESSABLE_ENTITY => Fault::Proof,
            StatusCode::TOO_MANY_REQUESTS => Fault::Busy,
            status if status.is_server_error() => Fault::Busy,
            _ => Fault::Request,
        };
        let (registry, status) = (self.registry, self.status.as_u16());
        let (message, next) = match crate::json::from_slice::<Problem>(&self.bytes) {
            Ok(problem) => (shown(&problem.detail), problem.next.as_deref().map(shown)),
            Err(_) => (format!("HTTP status {status}"), None),
        };
        Err(RemoteError::Refused { registry, fault, status, message, next })
    }

    /// The work that it asks for before it does what was asked.
    pub(super) fn demanded_work(&self) -> Option<WorkDemand> {
        if self.status != StatusCode::FORBIDDEN {
            return None;
        }
        crate::json::from_slice::<Problem>(&self.bytes).ok()?.work
    }

    pub(super) fn require_success(self) -> Result<(), RemoteError> {
        self.success().map(drop)
    }

    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T, RemoteError> {
        let registry = self.registry.clone();
        let bytes = self.success()?;
        crate::json::from_slice(&bytes)
            .map_err(|error| RemoteError::Unexpected { registry, reason: error.to_string() })
    }
}

/// What a server says, fit for a terminal: no control characters, and not without end.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(1000).collect()
}

/// A question without an answer, and how often to put it in all.
struct Failed {
    error: RemoteError,
    tries: u32,
}

impl From<RemoteError> for Failed {
    fn from(error: RemoteError) -> Self {
        Self { error, tries: 1 }
    }
}

impl Http {
    pub(super) fn new(base: BaseUrl) -> Result<Self, RemoteError> {
        let failed = |error: &dyn std::fmt::Display| RemoteError::Client(error.to_string());
        let mut builder = Client::builder()
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        // A proxy has no business with this machine's own servers.
        if base.is_loopback() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| failed(&error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Ok(Self { base, client, runtime: runtime.map_err(|error| failed(&error))? })
    }

    pub(super) fn base(&self) -> &BaseUrl {
        &self.base
    }

    pub(super) fn unexpected(&self, reason: impl Into<String>) -> RemoteError {
        RemoteError::Unexpected { registry: self.base.to_string(), reason: reason.into() }
    }

    pub(super) fn encode(&self, value: &impl Serialize) -> Result<Vec<u8>, RemoteError> {
        serde_json::to_vec(value).map_err(|error| self.unexpected(error.to_string()))
    }

    /// Puts a question and waits for the answer. Not to be called from an asynchronous task.
    pub(super) fn ask(&self, ask: &Ask<'_>, bearer: Option<&str>) -> Result<Answer, RemoteError> {
        self.runtime.block_on(self.patiently(ask, bearer))
    }

    async fn patiently(&self, ask: &Ask<'_>, bearer: Option<&str>) -> Result<Answer, RemoteError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let (failed, advised) = match self.once(ask, bearer).await {
                Ok((answer, advised)) if is_temporary(answer.status) => (Ok(answer), advised),
                Ok((answer, _)) => return Ok(answer),
                Err(Failed { error, tries }) if tried >= tries => return Err(error),
                Err(Failed { error, .. }) => (Err(error), None),
            };
            // Nobody waits an hour for a quota.
            let is_far = advised.is_some_and(|advised| advised > LONGEST_WAIT);
            if tried == TRIES || is_far {
                return failed;
            }
            let wait = advised.unwrap_or(Duration::from_millis(200) * 4u32.pow(tried - 1));
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
        }
    }

    async fn once(&self, ask: &Ask<'_>, bearer: Option<&str>) -> Result<(Answer, Option<Duration>), Failed> {
        let request = self.request(ask, bearer)?;
        let unreachable = |error: reqwest::Error| {
            // Who is silent for as long as a connection may take is so again.
            let tries = match (error.is_connect(), error.is_timeout()) {
                (true, true) => 1,
                (true, false) => CALLS,
                (false, _) => TRIES,
            };
            let reason = chain(&error.without_url());
            Failed { error: RemoteError::Unreachable { registry: self.base.to_string(), reason }, tries }
        };
        let mut response = self.client.execute(request).await.map_err(unreachable)?;
        let status = response.status();
        let advised = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let advised = advised.and_then(|text| parse_retry_after(text, SystemTime::now()));
        let date = response.headers().get(header::DATE).and_then(|value| value.to_str().ok());
        let date = date.and_then(|text| httpdate::parse_http_date(text).ok());
        let date = date.and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok());
        let date =
            date.and_then(|since| i64::try_from(since.as_secs()).ok()).map(Timestamp::from_unix_seconds);
        // A refusal may be longer than the answer.
        let most = if status.is_success() { ask.most } else { super::MOST_ANSWER };
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() as u64 + piece.len() as u64 > most {
                return Err(self.unexpected(format!("the answer is longer than {most} bytes")).into());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok((Answer { registry: self.base.to_string(), status, bytes, date }, advised))
    }

    fn request(&self, ask: &Ask<'_>, bearer: Option<&str>) -> Result<reqwest::Request, RemoteError> {
        let mut url: Url = self.base.below(ask.path);
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        let mut request = self.client.request(ask.method.clone(), url);
        if let Some((name, value)) = ask.header {
            request = request.header(name, secret(value)?);
        }
        if let Some(bearer) = bearer {
            if !self.base.keeps_secrets() {
                let registry = self.base.to_string();
                let reason = "plain http would show the bearer to others".to_owned();
                return Err(RemoteError::Credentials { registry, reason });
            }
            request = request.header(header::AUTHORIZATION, secret(&format!("Bearer {bearer}"))?);
        }
        if let Some((body, content)) = &ask.body {
            request = request.header(header::CONTENT_TYPE, *content).body(body.clone());
        }
        request.build().map_err(|error| RemoteError::Client(error.to_string()))
    }
}

fn secret(value: &str) -> Result<HeaderValue, RemoteError> {
    let mut value = HeaderValue::from_str(value).map_err(|error| RemoteError::Client(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
