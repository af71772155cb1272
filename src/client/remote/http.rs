//! One question and its answer, tried again where that can help.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{self, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::{Line, Patience, RemoteError};
use crate::access::Fault;
use crate::api::{Problem, WorkDemand};
use crate::checkpoint::fetch::{BaseUrl, parse_retry_after};
use crate::time::Timestamp;

/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How often a registry may be silent over one question.
const SILENCES: u32 = 2;
/// Longest wait between two calls of a registry that may be starting anew.
const BETWEEN_CALLS: Duration = Duration::from_secs(1);
/// Why nobody answered, if the connection stood.
const SILENT: &str = "it took the connection and did not answer in time";
/// How long a question and its answer may take in all, however steadily the answer comes: as long as a registry waits for a question.
const LONGEST_ANSWER: Duration = Duration::from_secs(600);
/// How long it is waited for before anybody is told.
const UNTOLD: Duration = Duration::from_secs(1);

/// A client of one registry.
pub(super) struct Http {
    base: BaseUrl,
    client: Client,
    runtime: Runtime,
    patience: Patience,
    line: Arc<dyn Line>,
    has_answered: AtomicBool,
}

/// What is asked. Every question can be put again without harm.
pub(super) struct Ask<'a> {
    method: Method,
    path: &'a [&'a str],
    pub(super) query: Vec<(&'static str, String)>,
    body: Option<(Vec<u8>, &'static str)>,
    pub(super) header: Option<(&'static str, &'a str)>,
    max: u64,
}

impl<'a> Ask<'a> {
    pub(super) fn get(path: &'a [&'a str], max: u64) -> Self {
        Self::new(Method::GET, path, None, max)
    }

    pub(super) fn head(path: &'a [&'a str]) -> Self {
        Self::new(Method::HEAD, path, None, 0)
    }

    pub(super) fn delete(path: &'a [&'a str]) -> Self {
        Self::new(Method::DELETE, path, None, super::MAX_ANSWER)
    }

    pub(super) fn post(path: &'a [&'a str], json: Vec<u8>) -> Self {
        Self::new(Method::POST, path, Some((json, "application/json")), super::MAX_ANSWER)
    }

    pub(super) fn post_nothing(path: &'a [&'a str]) -> Self {
        Self::new(Method::POST, path, None, super::MAX_ANSWER)
    }

    pub(super) fn put(path: &'a [&'a str], json: Vec<u8>) -> Self {
        Self::new(Method::PUT, path, Some((json, "application/json")), super::MAX_ANSWER)
    }

    pub(super) fn put_bytes(path: &'a [&'a str], bytes: Vec<u8>) -> Self {
        Self::new(Method::PUT, path, Some((bytes, "application/octet-stream")), super::MAX_ANSWER)
    }

    fn new(method: Method, path: &'a [&'a str], body: Option<(Vec<u8>, &'static str)>, max: u64) -> Self {
        Self { method, path, query: Vec::new(), body, header: None, max }
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

    /// How long it is.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
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
    /// Whether there was no way to the registry.
    is_down: bool,
}

impl From<RemoteError> for Failed {
    fn from(error: RemoteError) -> Self {
        Self { error, tries: 1, is_down: false }
    }
}

impl Http {
    pub(super) fn new(base: BaseUrl, patience: Patience, line: Arc<dyn Line>) -> Result<Self, RemoteError> {
        let failed = |error: &dyn std::fmt::Display| RemoteError::Client(error.to_string());
        let mut builder = Client::builder()
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(patience.connect)
            .read_timeout(patience.silence);
        // A proxy has no business with this machine's own servers.
        if base.is_loopback() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| failed(&error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        Ok(Self { base, client, runtime, patience, line, has_answered: AtomicBool::default() })
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
        if let Some(reason) = self.line.is_down() {
            return Err(RemoteError::Unreachable { registry: self.base.to_string(), reason });
        }
        let answer = self.runtime.block_on(self.patiently(ask, bearer));
        if answer.is_ok() {
            self.line.is_up();
        }
        answer
    }

    async fn patiently(&self, ask: &Ask<'_>, bearer: Option<&str>) -> Result<Answer, RemoteError> {
        let (begun, mut tried, mut is_told) = (Instant::now(), 0, false);
        loop {
            tried += 1;
            let (failed, advised, may_return) = match self.in_time(ask, bearer).await {
                Ok((answer, advised)) if is_temporary(answer.status) => {
                    let is_starting = answer.status == StatusCode::SERVICE_UNAVAILABLE && advised.is_none();
                    (Ok(answer), advised, is_starting)
                }
                Ok((answer, _)) => return Ok(answer),
                Err(failed) => {
                    if tried >= failed.tries {
                        if let (true, RemoteError::Unreachable { reason, .. }) =
                            (failed.is_down, &failed.error)
                        {
                            self.line.went_down(reason);
                        }
                        return Err(failed.error);
                    }
                    (Err(failed.error), None, false)
                }
            };
            let may_return = may_return && begun.elapsed() < self.patience.restart;
            // Nobody waits an hour for a quota.
            let is_far = advised.is_some_and(|advised| advised > LONGEST_WAIT);
            if (tried >= self.patience.tries && !may_return) || is_far {
                return failed;
            }
            if may_return && !is_told && begun.elapsed() > UNTOLD {
                is_told = true;
                self.line.waits("it may be starting anew");
            }
            let mut wait =
                advised.unwrap_or(Duration::from_millis(200) * 4u32.saturating_pow(tried.min(8) - 1));
            if may_return {
                wait = wait.min(BETWEEN_CALLS);
            }
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
        }
    }

    /// Puts a question once. A registry that sends a byte now and then is no reason to wait for ever.
    async fn in_time(
        &self,
        ask: &Ask<'_>,
        bearer: Option<&str>,
    ) -> Result<(Answer, Option<Duration>), Failed> {
        match tokio::time::timeout(LONGEST_ANSWER, self.once(ask, bearer)).await {
            Ok(answer) => answer,
            Err(_) => {
                let reason =
                    format!("its answer did not end within {} minutes", LONGEST_ANSWER.as_secs() / 60);
                Err(RemoteError::Unreachable { registry: self.base.to_string(), reason }.into())
            }
        }
    }

    async fn once(&self, ask: &Ask<'_>, bearer: Option<&str>) -> Result<(Answer, Option<Duration>), Failed> {
        let request = self.request(ask, bearer)?;
        let unreachable = |error: reqwest::Error| {
            // What is silent for as long as a connection may take is so again.
            let tries = match (error.is_connect(), error.is_timeout()) {
                (true, true) => 1,
                (true, false) => self.patience.calls,
                (false, true) => self.patience.tries.min(SILENCES),
                (false, false) => self.patience.tries,
            };
            let is_down = error.is_connect() || error.is_timeout();
            let reason = reason(&error.without_url());
            let error = RemoteError::Unreachable { registry: self.base.to_string(), reason };
            Failed { error, tries, is_down }
        };
        let mut response = self.response(request).await?.map_err(unreachable)?;
        self.has_answered.store(true, Ordering::Relaxed);
        let status = response.status();
        let advised = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let advised = advised.and_then(|text| parse_retry_after(text, SystemTime::now()));
        let date = response.headers().get(header::DATE).and_then(|value| value.to_str().ok());
        let date = date.and_then(|text| httpdate::parse_http_date(text).ok());
        let date = date.and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok());
        let date =
            date.and_then(|since| i64::try_from(since.as_secs()).ok()).map(Timestamp::from_unix_seconds);
        // A refusal may be longer than the answer.
        let max = if status.is_success() { ask.max } else { super::MAX_ANSWER };
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() as u64 + piece.len() as u64 > max {
                return Err(self.unexpected(format!("the answer is longer than {max} bytes")).into());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok((Answer { registry: self.base.to_string(), status, bytes, date }, advised))
    }

    /// The beginning of an answer. One that is the first of all has to come soon: later ones may take their time, such as for work or for
    /// witnesses.
    async fn response(
        &self,
        request: reqwest::Request,
    ) -> Result<Result<reqwest::Response, reqwest::Error>, Failed> {
        let response = self.client.execute(request);
        if self.has_answered.load(Ordering::Relaxed) || self.line.has_answered() {
            return Ok(response.await);
        }
        tokio::time::timeout(self.patience.first, response).await.map_err(|_| {
            let (registry, reason) = (self.base.to_string(), SILENT.to_owned());
            Failed { error: RemoteError::Unreachable { registry, reason }, tries: 1, is_down: true }
        })
    }

    fn request(&self, ask: &Ask<'_>, bearer: Option<&str>) -> Result<reqwest::Request, RemoteError> {
        let mut url: Url = self.base.join(ask.path);
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        let mut request = self.client.request(ask.method.clone(), url);
        if let Some((name, value)) = ask.header {
            request = request.header(name, secret(value)?);
        }
        if let Some(bearer) = bearer {
            if !self.base.may_receive_credentials() {
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

/// Whether nobody listens at the address now, though the machine is there.
fn is_refusal(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        let source = cause.downcast_ref::<std::io::Error>();
        source.is_some_and(|error| {
            matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
        })
    })
}

/// Why nobody answered, in plain words where the cause is a usual one.
fn reason(error: &reqwest::Error) -> String {
    if is_refusal(error) {
        return "nothing listens there: it refused the connection".to_owned();
    }
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => "nothing answered there in time".to_owned(),
        (true, false) => SILENT.to_owned(),
        (false, _) => {
            let causes: Vec<_> = causes(error).map(ToString::to_string).collect();
            causes.join(": ")
        }
    }
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}
