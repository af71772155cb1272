//! What a server says about a file before it sends it: size, version, digest, and whether it honours ranges.
//!
//! One request for one byte. Someone who controls the server may lie here; a lie about the size shows while the bytes
//! come, a lie about the version mixes nothing but that server's own bytes, and a digest is checked against all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::{Url, header};

use super::error::{FetchError, shown};
use super::http::{Announced, Answer, Ask, ContentRange, Http};
use super::journal::Identity;
use crate::digest::Sha256Digest;

/// A file to fetch.
#[derive(Debug, Clone)]
pub(super) struct RemoteFile {
    /// Its name, here and there.
    pub(super) name: String,
    /// Its address.
    pub(super) url: Url,
    /// The most bytes that a file of its kind has.
    pub(super) limit: u64,
    /// Its digest, where it is known beforehand.
    pub(super) expected: Option<Sha256Digest>,
}

/// A file that the server has.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) file: RemoteFile,
    /// Its size, unless the server keeps it to itself.
    pub(super) size: Option<u64>,
    /// Whether parts of it can be asked for.
    pub(super) ranges: bool,
    /// What the endpoint says about it.
    pub(super) announced: Announced,
    version: Version,
    /// Where redirects led, which saves following them for each piece.
    shortcut: Mutex<Option<Url>>,
    counted: AtomicU64,
}

/// Which version of a file an answer is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    etag: Option<String>,
    modified: Option<String>,
}

impl Version {
    fn of(answer: &Answer) -> Self {
        let short = |name| answer.header(name).filter(|text| text.len() <= 1024).map(str::to_owned);
        Self { etag: short(&header::ETAG), modified: short(&header::LAST_MODIFIED) }
    }
}

impl Probe {
    /// Asks `http` about `file`.
    pub(super) async fn of(http: &Http, file: &RemoteFile) -> Result<Self, FetchError> {
        let ask = Ask { range: Some((0, 0)), if_range: None };
        let mut answer = http.ask(&file.url, ask).await?;
        let (size, ranges) = if answer.is_whole() {
            (answer.stated_length(), false)
        } else {
            match ContentRange::of(&answer)? {
                ContentRange { bytes: Some((0, 0)), size } => {
                    // A connection whose answer was read to its end serves the next request.
                    answer.drain_one_byte().await;
                    (Some(size), true)
                }
                // An empty file has no first byte.
                ContentRange { bytes: None, size: 0 } => (Some(0), false),
                other => {
                    return Err(answer.inconsistent(format!("byte 0 was asked, {other} came")));
                }
            }
        };
        if let (Some(size), Some(announced)) = (size, answer.announced.size)
            && size != announced
        {
            let what = format!("{size} bytes, where the endpoint announced {announced}");
            return Err(answer.inconsistent(what));
        }
        let probe = Self {
            file: file.clone(),
            size: size.or(answer.announced.size),
            ranges,
            version: Version::of(&answer),
            shortcut: Mutex::new((answer.location != file.url).then(|| answer.location.clone())),
            announced: answer.announced,
            counted: AtomicU64::new(0),
        };
        probe.refuse_wrong()
    }

    fn refuse_wrong(self) -> Result<Self, FetchError> {
        let file = &self.file;
        if let Some(size) = self.size.filter(|&size| size > file.limit) {
            return Err(FetchError::TooLarge { file: file.name.clone(), size, limit: file.limit });
        }
        match (file.expected, self.announced.digest) {
            (Some(expected), Some(announced)) if expected != announced => {
                Err(FetchError::Announced { file: file.name.clone(), expected, announced })
            }
            _ => Ok(self),
        }
    }

    /// What the journal and the receipt call this file, if it has `size` bytes.
    pub(super) fn identity(&self, size: u64) -> Identity {
        let Version { etag, modified } = self.version.clone();
        Identity {
            url: shown(&self.file.url),
            validator: etag.or(modified),
            digest: self.file.expected.or(self.announced.digest),
            size,
        }
    }

    /// Asks for the file, or a part of it as long as it is this version.
    pub(super) async fn ask(&self, http: &Http, range: Option<(u64, u64)>) -> Result<Answer, FetchError> {
        // Only a strong validator may guard a range (RFC 9110, section 13.1.5).
        let strong = |tag: &&str| tag.starts_with('"');
        let ask = Ask { range, if_range: self.version.etag.as_deref().filter(strong) };
        let shortcut = self.shortcut().clone();
        if let Some(url) = shortcut {
            match http.ask(&url, ask).await {
                // A signed address ends; the endpoint gives a new one.
                Err(e) if !e.is_transient() => *self.shortcut() = None,
                other => return other,
            }
        }
        let answer = http.ask(&self.file.url, ask).await?;
        if answer.location != self.file.url {
            *self.shortcut() = Some(answer.location.clone());
        }
        Ok(answer)
    }

    /// Refuses an answer that is about another version of the file.
    pub(super) fn require_same(&self, answer: &Answer) -> Result<(), FetchError> {
        let now = Version::of(answer);
        let differs = |then: &Option<String>, now: &Option<String>| {
            // A part need not repeat all that the whole says.
            now != then && (answer.is_whole() || now.is_some())
        };
        // The servers of one name may disagree on when they got a file, and agree on which it is.
        let changed = differs(&self.version.etag, &now.etag)
            || (now.etag.is_none() && differs(&self.version.modified, &now.modified));
        if changed { Err(self.changed()) } else { Ok(()) }
    }

    /// The file is no longer what it was.
    pub(super) fn changed(&self) -> FetchError {
        FetchError::Changed { url: shown(&self.file.url) }
    }

    /// How many of `here` bytes have not been reported yet; what is fetched twice is reported once.
    pub(super) fn uncounted(&self, here: u64) -> u64 {
        here.saturating_sub(self.counted.fetch_max(here, Ordering::Relaxed))
    }

    fn shortcut(&self) -> MutexGuard<'_, Option<Url>> {
        self.shortcut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
