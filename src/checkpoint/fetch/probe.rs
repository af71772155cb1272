//! Probes a file before the download: size, version, digest, and support for ranges, with a request for one byte.
//!
//! A hostile server may lie: a wrong size is detected during the download, a wrong version can mix only that server's own bytes, and the
//! digest is verified over all bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::{Url, header};

use super::error::{FetchError, shown};
use super::http::{Announcement, ContentRange, FileRequest, FileResponse, Http};
use super::journal::Identity;
use crate::digest::Sha256Digest;

/// A file to fetch.
#[derive(Debug, Clone)]
pub(super) struct RemoteFile {
    /// The name, on the server and on disk.
    pub(super) name: String,
    /// The address.
    pub(super) url: Url,
    /// Maximum size for this kind of file, in bytes.
    pub(super) limit: u64,
    /// The digest, if it is known.
    pub(super) expected: Option<Sha256Digest>,
}

/// A file that the server has.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) file: RemoteFile,
    /// The size in bytes, if the server states it.
    pub(super) size: Option<u64>,
    /// Whether the server supports ranges for it.
    pub(super) ranges: bool,
    /// The endpoint's headers about it.
    pub(super) announced: Announcement,
    version: Version,
    /// The URL after redirects, which saves following them for each piece.
    shortcut: Mutex<Option<Url>>,
    counted: AtomicU64,
}

/// The version of a file that a response is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    etag: Option<String>,
    modified: Option<String>,
}

impl Version {
    fn from_response(response: &FileResponse) -> Self {
        let short = |name| response.header(name).filter(|text| text.len() <= 1024).map(str::to_owned);
        Self { etag: short(&header::ETAG), modified: short(&header::LAST_MODIFIED) }
    }
}

impl Probe {
    /// Probes `file`.
    pub(super) async fn send(http: &Http, file: &RemoteFile) -> Result<Self, FetchError> {
        let file_request = FileRequest { range: Some((0, 0)), if_range: None };
        let mut response = http.send(&file.url, file_request).await?;
        let (size, ranges) = if response.is_whole() {
            (response.stated_length(), false)
        } else {
            match ContentRange::from_response(&response)? {
                ContentRange { bytes: Some((0, 0)), size } => {
                    // Read the body to its end, so that the connection can be reused.
                    response.drain_one_byte().await;
                    (Some(size), true)
                }
                // An empty file has no first byte.
                ContentRange { bytes: None, size: 0 } => (Some(0), false),
                other => {
                    return Err(response.inconsistent(format!("byte 0 was requested, {other} received")));
                }
            }
        };
        if let (Some(size), Some(announced)) = (size, response.announced.size)
            && size != announced
        {
            let what = format!("{size} bytes, but the endpoint announced {announced}");
            return Err(response.inconsistent(what));
        }
        let probe = Self {
            file: file.clone(),
            size: size.or(response.announced.size),
            ranges,
            version: Version::from_response(&response),
            shortcut: Mutex::new((response.location != file.url).then(|| response.location.clone())),
            announced: response.announced,
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

    /// Returns the identity for journal and receipt of this file with `size` bytes.
    pub(super) fn identity(&self, size: u64) -> Identity {
        let Version { etag, modified } = self.version.clone();
        Identity {
            url: shown(&self.file.url),
            validator: etag.or(modified),
            digest: self.file.expected.or(self.announced.digest),
            size,
        }
    }

    /// Requests the file, or a range of this version of it.
    pub(super) async fn fetch(
        &self,
        http: &Http,
        range: Option<(u64, u64)>,
    ) -> Result<FileResponse, FetchError> {
        // If-Range requires a strong validator (RFC 9110, section 13.1.5).
        let strong = |tag: &&str| tag.starts_with('"');
        let file_request = FileRequest { range, if_range: self.version.etag.as_deref().filter(strong) };
        let shortcut = self.shortcut().clone();
        if let Some(url) = shortcut {
            match http.send(&url, file_request).await {
                // A signed URL expires; the endpoint returns a new one.
                Err(e) if !e.is_transient() => *self.shortcut() = None,
                other => return other,
            }
        }
        let response = http.send(&self.file.url, file_request).await?;
        if response.location != self.file.url {
            *self.shortcut() = Some(response.location.clone());
        }
        Ok(response)
    }

    /// Requires that a response is about this version of the file.
    pub(super) fn require_same(&self, response: &FileResponse) -> Result<(), FetchError> {
        let now = Version::from_response(response);
        let differs = |then: &Option<String>, now: &Option<String>| {
            // A partial response may omit headers of the full one.
            now != then && (response.is_whole() || now.is_some())
        };
        // Replicas may differ in Last-Modified while they agree on the ETag.
        let changed = differs(&self.version.etag, &now.etag)
            || (now.etag.is_none() && differs(&self.version.modified, &now.modified));
        if changed { Err(self.changed()) } else { Ok(()) }
    }

    /// Makes the error for a changed file.
    pub(super) fn changed(&self) -> FetchError {
        FetchError::Changed { url: shown(&self.file.url) }
    }

    /// Returns how many of `here` bytes were not reported yet, so that bytes fetched twice are reported once.
    pub(super) fn uncounted(&self, here: u64) -> u64 {
        here.saturating_sub(self.counted.fetch_max(here, Ordering::Relaxed))
    }

    fn shortcut(&self) -> MutexGuard<'_, Option<Url>> {
        self.shortcut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
