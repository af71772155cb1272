//! What can go wrong between here and a published checkpoint.
//!
//! No message holds a bearer or a URL's query: a query may be a signature that opens a file to whoever reads the log.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use crate::digest::Sha256Digest;

/// A checkpoint could not be fetched, or may not be.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The text names no source that we know.
    #[error("`{text}` is not a source: {rule}")]
    Source {
        /// What was written, shortened.
        text: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A mirror or an endpoint that cannot be used.
    #[error("the address cannot be used: {rule}")]
    Address {
        /// What it must be. The address is not repeated, because it may hold a password.
        rule: &'static str,
    },
    /// A bearer that no request could carry.
    #[error("the bearer is not usable: it must be 1 to 4096 visible ASCII characters without spaces")]
    Bearer,
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// Another process fetches into the same folder.
    #[error("{} is in use: another fetch writes to this folder; wait for it, or end it", .0.display())]
    InUse(PathBuf),
    /// The HTTP client could not be built.
    #[error("cannot set up HTTPS: {0}")]
    Client(String),
    /// No answer, or an answer that broke off.
    #[error("{url}: {reason}")]
    Connection {
        /// Where.
        url: String,
        /// What the client saw.
        reason: String,
    },
    /// The server, or whoever stands before it, cannot prove its name.
    #[error(
        "{url}: its certificate is refused: {reason}; if a proxy inspects your traffic, point SSL_CERT_FILE to its authority"
    )]
    Certificate {
        /// Where.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server sends nothing, or next to nothing.
    #[error(
        "{url}: stalled: fewer than {floor} bytes came within {} s", within.as_secs_f32()
    )]
    Stalled {
        /// Where.
        url: String,
        /// The least that had to come.
        floor: u64,
        /// In which time.
        within: Duration,
    },
    /// A status that is neither success nor one of the refusals below.
    #[error("{url}: the server answered {status}")]
    Status {
        /// Where.
        url: String,
        /// The status code.
        status: u16,
        /// How long the server asks us to wait.
        retry_after: Option<Duration>,
    },
    /// There is no such file.
    #[error("{url}: not found (404)")]
    NotFound {
        /// Where.
        url: String,
    },
    /// The server demands other credentials than it was given.
    #[error("{url}: refused ({status}); {}", bearer.advice())]
    Gated {
        /// Where.
        url: String,
        /// 401 or 403.
        status: u16,
        /// What it was given.
        bearer: BearerUse,
    },
    /// A redirect that we do not follow.
    #[error("{url}: redirect refused: {rule}")]
    Redirect {
        /// Where the redirect came from.
        url: String,
        /// Why it was refused.
        rule: &'static str,
    },
    /// The answer contradicts itself, the request or an earlier answer.
    #[error("{url}: inconsistent answer: {what}")]
    Inconsistent {
        /// Where.
        url: String,
        /// The contradiction.
        what: String,
    },
    /// The file is not the one that the fetch began with; the caller begins it again.
    #[error("{url}: the file changed on the server")]
    Changed {
        /// Where.
        url: String,
    },
    /// The server stopped honouring ranges; the caller goes on with one stream.
    #[error("{url}: the server ignores ranges")]
    RangesIgnored {
        /// Where.
        url: String,
    },
    /// The file does not hold still.
    #[error(
        "`{file}` was begun {times} times and each time changed on the server or on disk; fetch it from a mirror that holds still"
    )]
    Unsteady {
        /// The file.
        file: String,
        /// How often it was begun.
        times: u32,
    },
    /// The file is larger than a file of its kind may be.
    #[error("`{file}` has {size} bytes; a file of its kind may have {limit}")]
    TooLarge {
        /// The file.
        file: String,
        /// Its size as announced, or what came before we stopped.
        size: u64,
        /// The bound.
        limit: u64,
    },
    /// A large file of a length that nobody states.
    #[error(
        "`{file}` was refused: the server states no length for it, so nobody could tell its end; use another mirror"
    )]
    NoLength {
        /// The file.
        file: String,
    },
    /// The disk is too full.
    #[error("{}: {needed} more bytes are needed and {free} are free; make room, or choose another folder", path.display())]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// What is still to come.
        needed: u64,
        /// What the file system has.
        free: u64,
    },
    /// All bytes came, and they are not the file's.
    #[error(
        "`{file}` was refused: its SHA-256 is {actual}, and {by} is {expected}; what came was removed, so fetch again, or from elsewhere"
    )]
    Digest {
        /// The file.
        file: String,
        /// What it must be.
        expected: Sha256Digest,
        /// What it is.
        actual: Sha256Digest,
        /// Who says so.
        by: &'static str,
    },
    /// The server announces another file than the known one, before a byte was sent.
    #[error(
        "`{file}` was refused: the server announces SHA-256 {announced}, and the known digest is {expected}"
    )]
    Announced {
        /// The file.
        file: String,
        /// What it must be.
        expected: Sha256Digest,
        /// What the server says it is.
        announced: Sha256Digest,
    },
    /// Weights exist only in formats that we do not open.
    #[error("{repository} has no safetensors weights, only `{file}`, which is refused: {why}")]
    Pickle {
        /// The repository and revision.
        repository: String,
        /// The file that it does have.
        file: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No weights at all.
    #[error("{repository} has neither `model.safetensors` nor `model.safetensors.index.json`")]
    NoWeights {
        /// The repository and revision.
        repository: String,
    },
    /// The list of shards cannot be followed.
    #[error("`{file}` was refused: {rule}")]
    Index {
        /// The list.
        file: String,
        /// What is wrong with it.
        rule: String,
    },
    /// Tried and tried.
    #[error("`{file}` could not be fetched in {attempts} attempts; the last: {last}")]
    GaveUp {
        /// The file.
        file: String,
        /// How often.
        attempts: u32,
        /// Why the last attempt failed.
        last: Box<FetchError>,
    },
}

/// What a refused request carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BearerUse {
    /// There is no bearer.
    None,
    /// There is one, and it does not go to this place.
    Withheld,
    /// It was sent.
    Sent,
}

impl BearerUse {
    fn advice(self) -> &'static str {
        match self {
            Self::None => "it is gated, private or absent, and HF_TOKEN is not set",
            Self::Withheld => {
                "HF_TOKEN was not sent here: it goes to the endpoint only, never to a mirror or over plain http"
            }
            Self::Sent => "HF_TOKEN was sent, and has no access",
        }
    }
}

impl FetchError {
    /// Whether what was fetched so far may be of use to another attempt.
    pub(crate) fn is_passing(&self) -> bool {
        !matches!(
            self,
            Self::Source { .. }
                | Self::Address { .. }
                | Self::Bearer
                | Self::NotFound { .. }
                | Self::Gated { .. }
                | Self::Pickle { .. }
                | Self::NoWeights { .. }
        )
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Stalled { .. } | Self::Inconsistent { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }

    /// How long the server asked us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// For `map_err`: names the action and the path of a failed system call.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// A URL as messages show it: without query, fragment and credentials.
pub(super) fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// A server's or a user's text as messages show it: on one line, shortened.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
