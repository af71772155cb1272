//! One request and its answer (RFC 9110), redirects followed by hand.
//!
//! By hand, because three things depend on each hop: the bearer goes to the endpoint's own origin and nowhere else, https
//! is never left for http, and what Hugging Face says about a file stands on the redirect, not on the answer behind it.
//! Someone who controls a server can fail a fetch, and slow it down to the stall bound; its headers are bounded by the
//! HTTP client, and no header is believed that contradicts the body.

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

/// A renamed repository, its storage, its storage's region: with room to spare.
const MAX_REDIRECTS: usize = 8;

/// How long a server may keep us waiting.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// For name lookup, connection and TLS together.
    pub connect: Duration,
    /// For the head of an answer, and for each `floor` bytes of its body.
    pub idle: Duration,
    /// The fewest bytes that must come within each `idle`; fewer is a stall.
    pub floor: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { connect: Duration::from_secs(20), idle: Duration::from_secs(30), floor: 4096 }
    }
}

/// The client, and who may see the bearer.
pub(super) struct Http {
    direct: Client,
    proxied: Client,
    base: BaseUrl,
    bearer: Option<Bearer>,
    bearer_stays: bool,
    pace: Pace,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ask<'a> {
    /// First and last byte.
    pub(super) range: Option<(u64, u64)>,
    /// The validator under which the range is wanted; without it, the whole file.
    pub(super) if_range: Option<&'a str>,
}

/// What the endpoint itself says about a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Announced {
    /// The commit behind the revision.
    pub(super) commit: Option<String>,
    /// The file's SHA-256.
    pub(super) digest: Option<Sha256Digest>,
    /// The file's size.
    pub(super) size: Option<u64>,
}

impl Announced {
    /// Reads Hugging Face's `X-Repo-Commit`, `X-Linked-Etag` and `X-Linked-Size`; what is malformed is as if absent.
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

/// An answer with status 200, 206 or 416.
pub(super) struct Answer {
    response: Response,
    /// Where the file was found in the end.
    pub(super) location: Url,
    /// What the endpoint said on the way.
    pub(super) announced: Announced,
    pace: Pace,
    window: (Instant, u64),
}

impl Http {
    /// Sets up HTTPS for `base`. A bearer that may not go there is kept back.
    pub(super) fn new(
        base: BaseUrl,
        bearer: Option<Bearer>,
        bearer_stays: bool,
        pace: Pace,
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
            bearer_stays: bearer_stays || !base.keeps_secrets(),
            base,
            bearer,
            pace,
        })
    }

    /// Whether there is a bearer that this base will not see.
    pub(super) fn withholds_bearer(&self) -> bool {
        self.bearer.is_some() && self.bearer_stays
    }

    /// Sends one request and follows its redirects.
    pub(super) async fn ask(&self, url: &Url, ask: Ask<'_>) -> Result<Answer, FetchError> {
        let mut url = url.clone();
        let mut announced = Announced::default();
        for _ in 0..=MAX_REDIRECTS {
            let (response, bearer) = self.hop(&url, ask).await?;
            if self.base.is_origin_of(&url) {
                announced.read(response.headers());
            }
            if !is_redirect(response.status()) {
                refuse_status(&response, &url, bearer)?;
                return Ok(Answer {
                    response,
                    location: url,
                    announced,
                    pace: self.pace,
                    window: (Instant::now() + self.pace.idle, 0),
                });
            }
            url = self.next_hop(&url, response.headers())?;
        }
        Err(FetchError::Redirect { url: shown(&url), rule: "more than 8 in a row" })
    }

    async fn hop(&self, url: &Url, ask: Ask<'_>) -> Result<(Response, BearerUse), FetchError> {
        // A proxy has no business with this machine's own servers, least of all with a bearer in plain http.
        let client = if is_loopback(url) { &self.direct } else { &self.proxied };
        let mut request = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
        if let Some((first, last)) = ask.range {
            request = request.header(header::RANGE, format!("bytes={first}-{last}"));
            if let Some(validator) = ask.if_range {
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
        let patience = self.pace.connect + self.pace.idle;
        let response = tokio::time::timeout(patience, request.send())
            .await
            .map_err(|_| FetchError::Connection {
                url: shown(url),
                reason: format!("no answer within {} s", patience.as_secs_f32()),
            })?
            .map_err(|e| broken(url, e))?;
        Ok((response, bearer))
    }

    fn next_hop(&self, from: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
        let refuse = |rule| FetchError::Redirect { url: shown(from), rule };
        let target = text(headers, &header::LOCATION).ok_or_else(|| refuse("it names no place"))?;
        let next = from.join(target).map_err(|_| refuse("its place is not a URL"))?;
        let plain_stays_plain = from.scheme() == "http" && (is_loopback(&next) || self.base.is_plain());
        match next.scheme() {
            "https" => Ok(next),
            "http" if plain_stays_plain => Ok(next),
            "http" => Err(refuse("it leaves https, or this machine, for plain http")),
            _ => Err(refuse("it leads to something other than https")),
        }
    }
}

impl Answer {
    /// 200: the whole file follows.
    pub(super) fn is_whole(&self) -> bool {
        self.response.status() == StatusCode::OK
    }

    /// 416: the range asked for lies outside the file.
    pub(super) fn is_out_of_range(&self) -> bool {
        self.response.status() == StatusCode::RANGE_NOT_SATISFIABLE
    }

    /// A header's text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        text(self.response.headers(), name)
    }

    /// The body's length as stated.
    pub(super) fn stated_length(&self) -> Option<u64> {
        self.header(&header::CONTENT_LENGTH)?.parse().ok()
    }

    /// Whether the end of the body can be told from a lost connection (RFC 9112, section 8).
    pub(super) fn shows_its_end(&self) -> bool {
        self.response.version() == Version::HTTP_2
            || self.stated_length().is_some()
            || self.header(&header::TRANSFER_ENCODING).is_some()
    }

    /// An error about this answer.
    pub(super) fn inconsistent(&self, what: impl Into<String>) -> FetchError {
        FetchError::Inconsistent { url: shown(&self.location), what: what.into() }
    }

    /// Appends the next bytes of the body; false at its end.
    pub(super) async fn append_to(&mut self, bytes: &mut Vec<u8>) -> Result<bool, FetchError> {
        let chunk = loop {
            let (deadline, came) = self.window;
            match tokio::time::timeout_at(deadline, self.response.chunk()).await {
                Ok(answer) => break answer.map_err(|e| broken(&self.location, e))?,
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

    /// Reads what should be one byte; whatever else it is, is left.
    pub(super) async fn drain_one_byte(&mut self) {
        let mut byte = Vec::new();
        while byte.len() < 2 && matches!(self.append_to(&mut byte).await, Ok(true)) {}
    }

    /// The clock of the stall bound starts again: what passed since the last bytes was our own doing.
    pub(super) fn excuse_pause(&mut self) {
        self.window.0 = Instant::now() + self.pace.idle;
    }
}

/// The `Content-Range` of a 206 or a 416.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// First and last byte; `None` in a 416.
    pub(super) bytes: Option<(u64, u64)>,
    /// The size of the whole file.
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
    /// Reads `bytes 0-9/100` or `bytes */100`.
    pub(super) fn of(answer: &Answer) -> Result<Self, FetchError> {
        let text = answer.header(&header::CONTENT_RANGE);
        text.and_then(Self::parse).ok_or_else(|| {
            answer.inconsistent(match text {
                Some(text) => format!("its Content-Range is `{}`", excerpt(text)),
                None => "a part without Content-Range".to_owned(),
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
    // The TLS library's own words; no type of it reaches us.
    match reason.split_once("invalid peer certificate: ") {
        Some((_, reason)) => FetchError::Certificate { url, reason: reason.to_owned() },
        None => FetchError::Connection { url, reason },
    }
}

/// The whole story of an error, without the URL that it may carry.
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
        let digest = Sha256Digest::of(b"weights");
        let mut headers = HeaderMap::new();
        let mut set = |name, value: String| headers.insert(name, value.parse().unwrap());
        set("x-linked-etag", format!("\"{digest}\""));
        set("x-linked-size", "7".into());
        set("x-repo-commit", "../../etc".into());
        let mut announced = Announced::default();
        announced.read(&headers);
        assert_eq!(announced.commit, None);
        assert_eq!((announced.digest, announced.size), (Some(digest), Some(7)));
    }
}
