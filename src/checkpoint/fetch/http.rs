//! HTTP requests and responses (RFC 9110). This module follows redirects itself.
//!
//! Three rules apply to each hop: the bearer is sent only to the endpoint's origin, https never redirects to http, and Hugging Face's
//! headers about a file are on the redirect, not on the final response. An attacker who controls a server can make a fetch fail, or slow
//! it down to the stall limit. The HTTP client bounds headers, and a header that contradicts the body is an error.

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, Response, StatusCode, Url, Version};
use tokio::time::Instant;

use super::bearer::Bearer;
use super::error::{BearerUse, FetchError, excerpt, shown};
use super::retry::parse_retry_after;
use super::source::{BaseUrl, is_loopback};
use crate::digest::Sha256Digest;

/// Maximum number of redirects: more than a renamed repository, its storage and its region need.
const MAX_REDIRECTS: usize = 8;

/// Timeouts of requests.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For name lookup, connection and TLS handshake together.
    pub connect: Duration,
    /// For the head of a response, and for each `floor` bytes of its body.
    pub idle: Duration,
    /// The least number of bytes within each `idle`; fewer is a stall.
    pub floor: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(20), idle: Duration::from_secs(30), floor: 4096 }
    }
}

/// The HTTP client and the origin that receives the bearer.
pub(super) struct Http {
    direct: Client,
    proxied: Client,
    base: BaseUrl,
    bearer: Option<Bearer>,
    bearer_stays: bool,
    pace: Timeouts,
}

/// A request for a file or a range of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FileRequest<'a> {
    /// The first and last byte.
    pub(super) range: Option<(u64, u64)>,
    /// The value of `If-Range`: if the file has another validator, the server returns the whole file.
    pub(super) if_range: Option<&'a str>,
}

/// The endpoint's headers about a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Announcement {
    /// The commit of the revision.
    pub(super) commit: Option<String>,
    /// The file's SHA-256.
    pub(super) digest: Option<Sha256Digest>,
    /// The file's size in bytes.
    pub(super) size: Option<u64>,
}

impl Announcement {
    /// Reads Hugging Face's `X-Repo-Commit`, `X-Linked-Etag` and `X-Linked-Size`; ignores malformed values.
    fn read(&mut self, headers: &HeaderMap) {
        let read = |name| text(headers, &HeaderName::from_static(name));
        let is_commit = |c: &&str| c.len() == 40 && c.bytes().all(|d| d.is_ascii_hexdigit());
        let commit = read("x-repo-commit").filter(is_commit);
        let digest = read("x-linked-etag").and_then(|tag| tag.trim_matches('"').parse().ok());
        let size = read("x-linked-size").and_then(|size| size.parse().ok());
        self.commit = self.commit.take().or(commit.map(str::to_owned));
        self.digest = self.digest.or(digest);
        self.size = self.size.or(size);
    }
}

/// A response with status 200, 206 or 416.
pub(super) struct FileResponse {
    response: Response,
    /// The URL after all redirects.
    pub(super) location: Url,
    /// The endpoint's headers, from the redirects.
    pub(super) announced: Announcement,
    pace: Timeouts,
    window: (Instant, u64),
}

impl Http {
    /// Sets up HTTPS for `base`. Withholds the bearer if `base` may not receive it.
    pub(super) fn new(
        base: BaseUrl,
        bearer: Option<Bearer>,
        bearer_stays: bool,
        pace: Timeouts,
    ) -> Result<Self, FetchError> {
        let builder = || {
            Client::builder()
                .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .connect_timeout(pace.connect)
        };
        let client =
            |builder: reqwest::ClientBuilder| builder.build().map_err(|e| FetchError::Client(chain(e)));
        Ok(Self {
            direct: client(builder().no_proxy())?,
            proxied: client(builder())?,
            bearer_stays: bearer_stays || !base.may_receive_credentials(),
            base,
            bearer,
            pace,
        })
    }

    /// Whether the bearer is withheld from this base.
    pub(super) fn withholds_bearer(&self) -> bool {
        self.bearer.is_some() && self.bearer_stays
    }

    /// Sends a request and follows redirects.
    pub(super) async fn send(
        &self,
        url: &Url,
        file_request: FileRequest<'_>,
    ) -> Result<FileResponse, FetchError> {
        let mut url = url.clone();
        let mut announced = Announcement::default();
        for _ in 0..=MAX_REDIRECTS {
            let (response, bearer) = self.hop(&url, file_request).await?;
            if self.base.is_origin_of(&url) {
                announced.read(response.headers());
            }
            if !is_redirect(response.status()) {
                refuse_status(&response, &url, bearer)?;
                return Ok(FileResponse {
                    response,
                    location: url,
                    announced,
                    pace: self.pace,
                    window: (Instant::now() + self.pace.idle, 0),
                });
            }
            url = self.next_hop(&url, response.headers())?;
        }
        Err(FetchError::Redirect { url: shown(&url), rule: "more than 8 redirects" })
    }

    async fn hop(
        &self,
        url: &Url,
        file_request: FileRequest<'_>,
    ) -> Result<(Response, BearerUse), FetchError> {
        // Never use a proxy for servers on this machine: it would receive the bearer in plain http.
        let client = if is_loopback(url) { &self.direct } else { &self.proxied };
        let mut request = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
        if let Some((first, last)) = file_request.range {
            request = request.header(header::RANGE, format!("bytes={first}-{last}"));
            if let Some(validator) = file_request.if_range {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        let bearer = match &self.bearer {
            None => BearerUse::None,
            Some(bearer) if self.base.is_origin_of(url) && !self.bearer_stays => {
                request = request.header(header::AUTHORIZATION, bearer.header()?);
                BearerUse::Sent
            }
            Some(_) => BearerUse::Withheld,
        };
        let retries = self.pace.connect + self.pace.idle;
        let response = tokio::time::timeout(retries, request.send())
            .await
            .map_err(|_| FetchError::Connection {
                url: shown(url),
                reason: format!("no response within {} s", retries.as_secs_f32()),
            })?
            .map_err(|e| broken(url, e))?;
        Ok((response, bearer))
    }

    fn next_hop(&self, from: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
        let refuse = |rule| FetchError::Redirect { url: shown(from), rule };
        let target = text(headers, &header::LOCATION).ok_or_else(|| refuse("it has no Location"))?;
        let next = from.join(target).map_err(|_| refuse("its Location is not a URL"))?;
        let plain_stays_plain = from.scheme() == "http" && (is_loopback(&next) || self.base.is_plain());
        match next.scheme() {
            "https" => Ok(next),
            "http" if plain_stays_plain => Ok(next),
            "http" => Err(refuse("it leads from https, or from this machine, to plain http")),
            _ => Err(refuse("it does not lead to https")),
        }
    }
}

impl FileResponse {
    /// 200: the body is the whole file.
    pub(super) fn is_whole(&self) -> bool {
        self.response.status() == StatusCode::OK
    }

    /// 416: the requested range is outside the file.
    pub(super) fn is_out_of_range(&self) -> bool {
        self.response.status() == StatusCode::RANGE_NOT_SATISFIABLE
    }

    /// Returns a header's text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        text(self.response.headers(), name)
    }

    /// Returns the stated length of the body.
    pub(super) fn stated_length(&self) -> Option<u64> {
        self.header(&header::CONTENT_LENGTH)?.parse().ok()
    }

    /// Whether the end of the body can be distinguished from a lost connection (RFC 9112, section 8).
    pub(super) fn shows_its_end(&self) -> bool {
        self.response.version() == Version::HTTP_2
            || self.stated_length().is_some()
            || self.header(&header::TRANSFER_ENCODING).is_some()
    }

    /// Makes an error about this response.
    pub(super) fn inconsistent(&self, what: impl Into<String>) -> FetchError {
        FetchError::Inconsistent { url: shown(&self.location), what: what.into() }
    }

    /// Appends the next bytes of the body; returns false at its end.
    pub(super) async fn append_to(&mut self, bytes: &mut Vec<u8>) -> Result<bool, FetchError> {
        let chunk = loop {
            let (deadline, came) = self.window;
            match tokio::time::timeout_at(deadline, self.response.chunk()).await {
                Ok(response) => break response.map_err(|e| broken(&self.location, e))?,
                Err(_) if came >= self.pace.floor => {
                    self.window = (Instant::now() + self.pace.idle, 0);
                }
                Err(_) => {
                    return Err(FetchError::Stalled {
                        url: shown(&self.location),
                        floor: self.pace.floor,
                        within: self.pace.idle,
                    });
                }
            }
        };
        if let Some(chunk) = &chunk {
            self.window.1 = self.window.1.saturating_add(chunk.len() as u64);
            bytes.extend_from_slice(chunk);
        }
        Ok(chunk.is_some())
    }

    /// Reads a body of one byte; abandons any other body.
    pub(super) async fn drain_one_byte(&mut self) {
        let mut byte = Vec::new();
        while byte.len() < 2 && matches!(self.append_to(&mut byte).await, Ok(true)) {}
    }

    /// Restarts the stall timer after a pause that this program caused.
    pub(super) fn excuse_pause(&mut self) {
        self.window.0 = Instant::now() + self.pace.idle;
    }
}

/// The `Content-Range` of a 206 or 416 response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// The first and last byte; `None` in a 416.
    pub(super) bytes: Option<(u64, u64)>,
    /// The size of the whole file in bytes.
    pub(super) size: u64,
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            Some((first, last)) => write!(f, "{first}-{last} of {}", self.size),
            None => write!(f, "none of {}", self.size),
        }
    }
}

impl ContentRange {
    /// Parses `bytes 0-9/100` or `bytes */100`.
    pub(super) fn from_response(response: &FileResponse) -> Result<Self, FetchError> {
        let text = response.header(&header::CONTENT_RANGE);
        text.and_then(Self::parse).ok_or_else(|| {
            response.inconsistent(match text {
                Some(text) => format!("malformed Content-Range `{}`", excerpt(text)),
                None => "a partial response without Content-Range".to_owned(),
            })
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (bytes, size) = text.strip_prefix("bytes ")?.split_once('/')?;
        let size = size.parse().ok()?;
        let bytes = match bytes {
            "*" => None,
            _ => {
                let (first, last) = bytes.split_once('-')?;
                let (first, last) = (first.parse().ok()?, last.parse().ok()?);
                if first > last || last >= size {
                    return None;
                }
                Some((first, last))
            }
        };
        Some(Self { bytes, size })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn refuse_status(response: &Response, url: &Url, bearer: BearerUse) -> Result<(), FetchError> {
    let url = shown(url);
    match response.status().as_u16() {
        200 | 206 | 416 => Ok(()),
        404 | 410 => Err(FetchError::NotFound { url }),
        status @ (401 | 403) => Err(FetchError::Gated { url, status, bearer }),
        status => Err(FetchError::Status {
            url,
            status,
            retry_after: text(response.headers(), &header::RETRY_AFTER)
                .and_then(|wait| parse_retry_after(wait, SystemTime::now())),
        }),
    }
}

fn broken(url: &Url, error: reqwest::Error) -> FetchError {
    let (url, reason) = (shown(url), chain(error));
    // Match the TLS library's message: reqwest does not expose its error type.
    match reason.split_once("invalid peer certificate: ") {
        Some((_, reason)) => FetchError::Certificate { url, reason: reason.to_owned() },
        None => FetchError::Connection { url, reason },
    }
}

/// Formats an error with its causes, without its URL.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut story = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        story.push_str(": ");
        story.push_str(&error.to_string());
        cause = error.source();
    }
    story
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_strictly() {
        let range = |bytes, size| Some(ContentRange { bytes, size });
        assert_eq!(ContentRange::parse("bytes 0-9/100"), range(Some((0, 9)), 100));
        assert_eq!(ContentRange::parse("bytes */100"), range(None, 100));
        for lie in [
            "",
            "bytes",
            "bytes 0-9",
            "bytes 0-9/*",
            "bytes 9-0/100",
            "bytes 0-100/100",
            "bytes -1-9/100",
            "bytes 0-9/99999999999999999999999",
            "octets 0-9/100",
        ] {
            assert_eq!(ContentRange::parse(lie), None, "{lie}");
        }
    }

    #[test]
    fn what_hugging_face_announces_is_read_and_nonsense_is_not() {
        let digest = Sha256Digest::compute(b"weights");
        let mut headers = HeaderMap::new();
        let mut set = |name, value: String| headers.insert(name, value.parse().unwrap());
        set("x-linked-etag", format!("\"{digest}\""));
        set("x-linked-size", "7".into());
        set("x-repo-commit", "../../etc".into());
        let mut announced = Announcement::default();
        announced.read(&headers);
        assert_eq!(announced.commit, None);
        assert_eq!((announced.digest, announced.size), (Some(digest), Some(7)));
    }
}
