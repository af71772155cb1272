//! One request for a chunk or the rest of it, its bytes hashed and written as they come.

use std::fs::File;
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::Instant;

use super::{Error, Mirror};
use crate::checkpoint::fetch::{BaseUrl, parse_retry_after};
use crate::digest::Sha256Hasher;
use crate::seal::ChunkEntry;

/// To a store of objects, and on to its region.
const MAX_REDIRECTS: usize = 4;

/// How patient to be with a server.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// For name lookup, connection and TLS together.
    pub connect: Duration,
    /// For the head of an answer, and for each `floor` bytes of its body.
    pub idle: Duration,
    /// The fewest bytes that must come within each `idle`; fewer is a stall.
    pub floor: u64,
    /// The wait after a first failure; it doubles with each that follows.
    pub first_wait: Duration,
    /// The longest wait, whatever a server advises.
    pub longest_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            idle: Duration::from_secs(30),
            floor: 16 << 10,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(60),
        }
    }
}

/// What became of one request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Every byte that was missing came.
    Whole,
    /// Some came, or none; the rest may be asked for again.
    Cut(String),
    /// The server does not have it.
    MissingFile,
    /// The server wants fewer requests, or none for a while.
    TooMuch { wait: Option<Duration>, reason: String },
    /// The server answers with something that no honest one would.
    Wrong(String),
    /// It begins anew: what came before cannot be continued.
    Anew(String),
}

/// A chunk as far as it came.
pub(super) struct Partial {
    pub(super) file: File,
    pub(super) hasher: Sha256Hasher,
    pub(super) length: u64,
    /// As far as anybody was told: progress never goes backwards.
    pub(super) told: u64,
}

impl Partial {
    /// Forgets what came.
    pub(super) fn begin_anew(&mut self) -> io::Result<()> {
        use std::io::Seek as _;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.hasher = Sha256Hasher::default();
        self.length = 0;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8], tell: &dyn Fn(u64)) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        if self.length > self.told {
            tell(self.length - self.told);
            self.told = self.length;
        }
        Ok(())
    }
}

/// Makes requests.
pub(super) struct Requests {
    direct: Client,
    proxied: Client,
    pace: Pace,
}

impl Requests {
    pub(super) fn new(pace: Pace) -> Result<Self, Error> {
        let builder = || {
            Client::builder()
                .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .connect_timeout(pace.connect)
        };
        let failed = |error: reqwest::Error| Error::Http { reason: error.to_string() };
        Ok(Self {
            direct: builder().no_proxy().build().map_err(failed)?,
            proxied: builder().build().map_err(failed)?,
            pace,
        })
    }

    /// Asks for what is missing of a chunk. An error is this machine's; what the server does wrong is an outcome.
    pub(super) async fn fetch(
        &self,
        mirror: &Mirror,
        chunk: &ChunkEntry,
        partial: &mut Partial,
        tell: &dyn Fn(u64),
    ) -> io::Result<Outcome> {
        let mut url = mirror.url(chunk.sha256);
        for _ in 0..=MAX_REDIRECTS {
            let response = match self.send(&url, partial.length, chunk).await {
                Ok(response) => response,
                Err(reason) => return Ok(Outcome::Cut(reason)),
            };
            let status = response.status();
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                match next_hop(mirror.base(), &url, response.headers()) {
                    Ok(next) => url = next,
                    Err(reason) => return Ok(Outcome::Wrong(reason)),
                }
                continue;
            }
            return match self.judge(&response, partial.length, chunk) {
                Ok(()) => self.receive(response, chunk, partial, tell).await,
                Err(outcome) => Ok(outcome),
            };
        }
        Ok(Outcome::Wrong(format!("it redirects more than {MAX_REDIRECTS} times")))
    }

    async fn send(&self, url: &Url, from: u64, chunk: &ChunkEntry) -> Result<Response, String> {
        let client = if is_loopback(url) { &self.direct } else { &self.proxied };
        // Ciphertext does not shrink.
        let mut request = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-{}", chunk.size - 1));
        }
        let patience = self.pace.connect + self.pace.idle;
        match tokio::time::timeout(patience, request.send()).await {
            Ok(answer) => answer.map_err(|error| chain(&error.without_url())),
            Err(_) => Err(format!("no answer within {} s", patience.as_secs_f32())),
        }
    }

    /// Whether the body that follows is what is missing.
    fn judge(&self, response: &Response, from: u64, chunk: &ChunkEntry) -> Result<(), Outcome> {
        let status = response.status();
        let length =
            text(response.headers(), &header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        match status.as_u16() {
            200 if from > 0 => Err(Outcome::Anew("it does not continue what was cut off".to_owned())),
            200 if length.is_some_and(|length| length != chunk.size) => Err(Outcome::Wrong(format!(
                "it has {} bytes under the name of a chunk of {}",
                length.unwrap_or_default(),
                chunk.size
            ))),
            200 => Ok(()),
            206 => {
                let expected = format!("bytes {from}-{}/{}", chunk.size - 1, chunk.size);
                match text(response.headers(), &header::CONTENT_RANGE) {
                    Some(range) if range == expected => Ok(()),
                    _ => Err(Outcome::Anew("it sends another part than was asked for".to_owned())),
                }
            }
            404 | 410 => Err(Outcome::MissingFile),
            416 => Err(Outcome::Anew("it says that the part lies outside the chunk".to_owned())),
            429 | 503 => {
                let advised = text(response.headers(), &header::RETRY_AFTER);
                let wait = advised.and_then(|text| parse_retry_after(text, SystemTime::now()));
                Err(Outcome::TooMuch { wait, reason: format!("HTTP status {status}") })
            }
            408 | 500.. => Err(Outcome::Cut(format!("HTTP status {status}"))),
            _ => Err(Outcome::Wrong(format!("HTTP status {status}"))),
        }
    }

    async fn receive(
        &self,
        mut response: Response,
        chunk: &ChunkEntry,
        partial: &mut Partial,
        tell: &dyn Fn(u64),
    ) -> io::Result<Outcome> {
        let (mut deadline, mut came) = (Instant::now() + self.pace.idle, 0);
        loop {
            let piece = match tokio::time::timeout_at(deadline, response.chunk()).await {
                Err(_) if came >= self.pace.floor => {
                    (deadline, came) = (Instant::now() + self.pace.idle, 0);
                    continue;
                }
                Err(_) => {
                    let (floor, idle) = (self.pace.floor, self.pace.idle.as_secs_f32());
                    return Ok(Outcome::Cut(format!("fewer than {floor} bytes came within {idle} s")));
                }
                Ok(Err(error)) => return Ok(Outcome::Cut(chain(&error.without_url()))),
                Ok(Ok(piece)) => piece,
            };
            let Some(piece) = piece else {
                let missing = chunk.size - partial.length;
                return Ok(match missing {
                    0 => Outcome::Whole,
                    missing => Outcome::Cut(format!("it ended {missing} bytes early")),
                });
            };
            if partial.length + piece.len() as u64 > chunk.size {
                return Ok(Outcome::Wrong(format!("it sends more than the chunk's {} bytes", chunk.size)));
            }
            partial.append(&piece, tell)?;
            came += piece.len() as u64;
            if came >= self.pace.floor {
                (deadline, came) = (Instant::now() + self.pace.idle, 0);
            }
        }
    }
}

fn next_hop(base: &BaseUrl, from: &Url, headers: &HeaderMap) -> Result<Url, String> {
    let target = text(headers, &header::LOCATION).ok_or("it redirects to no place")?;
    let next = from.join(target).map_err(|_| "it redirects to what is no URL".to_owned())?;
    let plain_stays_plain =
        from.scheme() == "http" && (is_loopback(&next) || !base.may_receive_credentials());
    match next.scheme() {
        "https" => Ok(next),
        "http" if plain_stays_plain => Ok(next),
        _ => Err("it redirects to something other than https".to_owned()),
    }
}

fn is_loopback(url: &Url) -> bool {
    let base: Result<BaseUrl, _> = url.origin().ascii_serialization().parse();
    base.is_ok_and(|base| base.is_loopback())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
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
