//! Fetches the files of a published checkpoint over HTTPS into a folder, for an import.
//!
//! It implements RFC 9110 (ranges, validators, `Retry-After`) and Hugging Face's `resolve` protocol. A kill costs at most the pieces in
//! flight; a file gets its name after it was read back and its digest computed (P6). If a digest is known, or announced by the endpoint,
//! other bytes are refused; otherwise the fetch reports the computed digest for the import to judge. An attacker who controls the network
//! or a mirror can make a fetch fail or, for files without a known digest, deliver other contents; never more bytes than the limit for
//! the kind of file, and never outside the folder. The bearer is sent only to the endpoint: not to a mirror, not to another host by
//! redirect, not over plain http.

mod bearer;
mod download;
mod error;
mod http;
mod journal;
mod partial;
mod plan;
mod probe;
mod retry;
mod source;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Semaphore;

pub use bearer::Bearer;
pub use error::{BearerUse, FetchError};
pub use http::Timeouts;
pub use retry::{RetryPolicy, parse_retry_after};
pub use source::{BaseUrl, OpenAiSize, RemoteSource};

use crate::digest::Sha256Digest;
use crate::progress::Progress;
use download::Session;
use http::Http;

/// Attempts to take a folder's lock, and the pause between them.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// Options of a fetch.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Another address of Hugging Face (`HF_ENDPOINT`); it receives the bearer.
    pub endpoint: Option<BaseUrl>,
    /// An address to use in place of the publisher's (`--mirror`); it never receives the bearer.
    pub mirror: Option<BaseUrl>,
    /// The credential for Hugging Face (`HF_TOKEN`).
    pub bearer: Option<Bearer>,
    /// Maximum number of concurrent requests; clamped to 1 to 32.
    pub parallel: usize,
    /// Known digests by file name; other bytes are refused.
    pub expected: BTreeMap<String, Sha256Digest>,
    /// Bytes per request; clamped to 1 byte to 64 MiB. An unfinished file is resumed only with the same size.
    pub piece_bytes: u64,
    /// When failed requests are repeated.
    pub retry: RetryPolicy,
    /// The timeouts of requests.
    pub pace: Timeouts,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            endpoint: None,
            mirror: None,
            bearer: None,
            parallel: 4,
            expected: BTreeMap::new(),
            piece_bytes: 8 << 20,
            retry: RetryPolicy::default(),
            pace: Timeouts::default(),
        }
    }
}

impl FetchOptions {
    fn parallel_requests(&self) -> usize {
        self.parallel.clamp(1, 32)
    }

    fn piece_length(&self) -> u64 {
        self.piece_bytes.clamp(1, 64 << 20)
    }
}

/// A fetched checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOutcome {
    /// The source of the files.
    pub origin: Origin,
    /// The fetched files by name. The folder may contain others.
    pub files: Vec<FetchedFile>,
}

/// The source of a fetched checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The requested source.
    pub source: RemoteSource,
    /// The address from which it was fetched.
    pub base: String,
    /// The commit of the revision, as the endpoint named it.
    pub commit: Option<String>,
}

/// A completely fetched file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedFile {
    /// The published name.
    pub name: String,
    /// The path on disk.
    pub path: PathBuf,
    /// The size in bytes.
    pub size: u64,
    /// The SHA-256 of the bytes on disk.
    pub sha256: Sha256Digest,
    /// The reference that the digest was compared with.
    pub digest_source: DigestSource,
}

/// The reference that a fetched file's digest was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestSource {
    /// A digest in [`FetchOptions::expected`].
    Expected,
    /// The digest that the endpoint announced.
    Announced,
    /// None: trust on first use.
    FirstUse,
}

/// Fetches published checkpoints.
#[derive(Debug)]
pub struct Fetcher {
    options: FetchOptions,
}

impl Fetcher {
    /// A fetcher with these options.
    pub fn new(options: FetchOptions) -> Self {
        Self { options }
    }

    /// Fetches the files of `source` into the folder `into`; resumes an earlier fetch.
    ///
    /// # Errors
    /// All variants of [`FetchError`]. Fetched pieces stay for the next attempt.
    pub async fn fetch(
        &self,
        source: &RemoteSource,
        into: &Path,
        progress: &dyn Progress,
    ) -> Result<FetchOutcome, FetchError> {
        fs::create_dir_all(into).map_err(FetchError::io("create", into))?;
        let _lock = lock(into).await?;
        let base = self.base(source)?;
        let session = self.session(source, &base, into, progress)?;
        let (mut files, commit) = match source {
            RemoteSource::HuggingFace { repository, revision } => {
                session.fetch_hugging_face(&base, repository, revision).await?
            }
            RemoteSource::OpenAi(size) => (session.fetch_openai(&base, *size).await?, None),
        };
        files.sort_by(|one, other| one.name.cmp(&other.name));
        let origin = Origin { source: source.clone(), base: base.to_string(), commit };
        Ok(FetchOutcome { origin, files })
    }

    /// As [`Self::fetch`], blocking; must not be called from an asynchronous task.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn fetch_blocking(
        &self,
        source: &RemoteSource,
        into: &Path,
        progress: &dyn Progress,
    ) -> Result<FetchOutcome, FetchError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|e| FetchError::Client(e.to_string()))?;
        runtime.block_on(self.fetch(source, into, progress))
    }

    fn base(&self, source: &RemoteSource) -> Result<BaseUrl, FetchError> {
        let endpoint = match source {
            RemoteSource::HuggingFace { .. } => self.options.endpoint.as_ref(),
            RemoteSource::OpenAi(_) => None,
        };
        match self.options.mirror.as_ref().or(endpoint) {
            Some(base) => Ok(base.clone()),
            None => BaseUrl::default_for(source),
        }
    }

    fn session<'a>(
        &'a self,
        source: &RemoteSource,
        base: &BaseUrl,
        into: &'a Path,
        progress: &'a dyn Progress,
    ) -> Result<Session<'a>, FetchError> {
        let options = &self.options;
        let bearer = match source {
            RemoteSource::HuggingFace { .. } => options.bearer.clone(),
            RemoteSource::OpenAi(_) => None,
        };
        let http = Http::new(base.clone(), bearer, options.mirror.is_some(), options.pace)?;
        if http.withholds_bearer() {
            progress.note(&format!(
                "HF_TOKEN is not sent to {base}: it is sent only to the endpoint, never to a mirror or over plain http"
            ));
        }
        Ok(Session { http, options, into, progress, permits: Semaphore::new(options.parallel_requests()) })
    }
}

/// Locks the folder against another fetch until the file is dropped or the process ends.
async fn lock(folder: &Path) -> Result<File, FetchError> {
    let path = folder.join(".fetch.lock");
    let file = File::create(&path).map_err(FetchError::io("create", &path))?;
    // A child process that the last holder is starting shares its files for an instant.
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
            Err(TryLockError::Error(e)) => return Err(FetchError::io("lock", &path)(e)),
        }
    }
    Err(FetchError::InUse(folder.to_owned()))
}
