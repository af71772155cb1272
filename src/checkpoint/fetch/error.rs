//! Errors of fetching.
//!
//! Messages never contain a bearer or a URL's query: a query may be a signature that gives access to a file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use crate::digest::Sha256Digest;

/// A checkpoint could not be fetched.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum FetchError {
    /// The text is not a supported source; `text` is shortened.
    #[error("`{text}` is not a source: {rule}")]
    Source { text: String, rule: &'static str },
    /// The address of a mirror or endpoint is invalid. It is not repeated, since it may contain a password.
    #[error("invalid address: {rule}")]
    Address { rule: &'static str },
    /// The bearer cannot be sent in a header.
    #[error("invalid bearer: it must be 1 to 4096 visible ASCII characters without spaces")]
    Bearer,
    /// A file operation failed; `action` is a verb phrase.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// Another process fetches into the same folder.
    #[error("{} is in use: another fetch writes to this folder; wait until it ends, or stop it", .0.display())]
    InUse(PathBuf),
    /// The HTTP client could not be built.
    #[error("cannot set up HTTPS: {0}")]
    Client(String),
    /// The connection failed before or during the response.
    #[error("{url}: {reason}")]
    Connection { url: String, reason: String },
    /// The server's certificate is invalid.
    #[error(
        "{url}: invalid certificate: {reason}; if a proxy inspects your traffic, set SSL_CERT_FILE to its authority"
    )]
    Certificate { url: String, reason: String },
    /// The server sends too few bytes.
    #[error(
        "{url}: stalled: fewer than {floor} bytes within {} s", within.as_secs_f32()
    )]
    Stalled { url: String, floor: u64, within: Duration },
    /// The server returned another error status.
    #[error("{url}: the server returned status {status}")]
    Status { url: String, status: u16, retry_after: Option<Duration> },
    /// The file does not exist.
    #[error("{url}: not found (404)")]
    NotFound { url: String },
    /// The server requires other credentials (401 or 403).
    #[error("{url}: access denied ({status}): {}", bearer.advice())]
    Gated { url: String, status: u16, bearer: BearerUse },
    /// A redirect is not allowed; `url` is its origin.
    #[error("{url}: redirect refused: {rule}")]
    Redirect { url: String, rule: &'static str },
    /// The response contradicts itself, the request or an earlier response.
    #[error("{url}: inconsistent response: {what}")]
    Inconsistent { url: String, what: String },
    /// The file changed since the download began; the caller starts again.
    #[error("{url}: the file changed on the server")]
    Changed { url: String },
    /// The server no longer supports ranges; the caller continues with one stream.
    #[error("{url}: the server does not support ranges")]
    RangesIgnored { url: String },
    /// The file changes too often.
    #[error(
        "`{file}` changed on the server or on disk during each of {times} attempts; use a mirror whose files do not change"
    )]
    Unsteady { file: String, times: u32 },
    /// The file exceeds the limit of its kind; `size` is the announced or received number of bytes.
    #[error("`{file}` has {size} bytes; at most {limit} are accepted for this kind of file")]
    TooLarge { file: String, size: u64, limit: u64 },
    /// The server does not state the length of a large file.
    #[error(
        "`{file}` was refused: the server does not state its length, so a truncated file could not be detected; use another mirror"
    )]
    NoLength { file: String },
    /// The disk does not have enough free space, in bytes.
    #[error("{}: {needed} more bytes are required and {free} are free; free some space, or choose another folder", path.display())]
    NoSpace { path: PathBuf, needed: u64, free: u64 },
    /// The downloaded file has the wrong digest.
    #[error(
        "`{file}` was refused: its SHA-256 is {actual}, and {by} is {expected}; the download was removed; try again, or use another source"
    )]
    Digest { file: String, expected: Sha256Digest, actual: Sha256Digest, by: &'static str },
    /// The server announces another digest than the known one, before the download.
    #[error(
        "`{file}` was refused: the server announces SHA-256 {announced}, and the known digest is {expected}"
    )]
    Announced { file: String, expected: Sha256Digest, announced: Sha256Digest },
    /// The weights exist only in unsupported formats.
    #[error("{repository} has no safetensors weights, only `{file}`, which is not supported: {why}")]
    Pickle { repository: String, file: &'static str, why: &'static str },
    /// The repository has no weights.
    #[error("{repository} has neither `model.safetensors` nor `model.safetensors.index.json`")]
    NoWeights { repository: String },
    /// The list of shards is invalid.
    #[error("`{file}` was refused: {rule}")]
    Index { file: String, rule: String },
    /// All attempts failed.
    #[error("`{file}` could not be fetched in {attempts} attempts; the last error: {last}")]
    GaveUp { file: String, attempts: u32, last: Box<FetchError> },
}

/// Whether a refused request had the bearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BearerUse {
    /// There is no bearer.
    None,
    /// There is one, but it is not sent to this address.
    Withheld,
    /// It was sent.
    Sent,
}

impl BearerUse {
    fn advice(self) -> &'static str {
        match self {
            Self::None => "it is gated, private or does not exist, and HF_TOKEN is not set",
            Self::Withheld => {
                "HF_TOKEN was not sent: it is sent only to the endpoint, never to a mirror or over plain http"
            }
            Self::Sent => "HF_TOKEN was sent but has no access",
        }
    }
}

impl FetchError {
    /// Whether a later attempt may use what was fetched so far.
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

    /// Returns the value of `Retry-After`.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// For `map_err`: adds the action and the path to a system error.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Formats a URL for messages, without query, fragment and credentials.
pub(super) fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// Formats untrusted text for messages: on one line, shortened.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
