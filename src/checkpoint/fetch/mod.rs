//! Fetching: the files of a published checkpoint, over HTTPS, into a folder; an import goes on from there.
//!
//! Follows RFC 9110 (ranges, validators, `Retry-After`) and Hugging Face's `resolve` protocol. A kill at any instant costs
//! at most the pieces in flight; a file has its name only once it is whole, read back and digested (P6). Where a digest is
//! known, or announced by the endpoint, other bytes are refused; where none is, the digest that came is reported, and it
//! is the importer's to judge. Someone who controls the network or a mirror can make a fetch fail, or, for files of no
//! known digest, deliver others of the same names; never more bytes than a file's kind may have, never outside the folder.
//! The bearer goes to the endpoint only: not to a mirror, not to another host by redirect, not over plain http.

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
pub use http::Pace;
pub use retry::{RetryPolicy, parse_retry_after};
pub use source::{BaseUrl, OpenAiSize, RemoteSource};

use crate::digest::Sha256Digest;
use crate::progress::Progress;
use download::Session;
use http::Http;

/// How often, and how far apart, a folder's lock is tried.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// How to fetch.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Hugging Face's address, where it is not the usual one (`HF_ENDPOINT`); it sees the bearer.
    pub endpoint: Option<BaseUrl>,
    /// Takes the publisher's place (`--mirror`); it never sees the bearer.
    pub mirror: Option<BaseUrl>,
    /// The credential for Hugging Face (`HF_TOKEN`).
    pub bearer: Option<Bearer>,
    /// How many requests may be in flight; 1 to 32 count.
    pub parallel: usize,
    /// Digests that are known beforehand, by file name.
    pub expected: BTreeMap<String, Sha256Digest>,
    /// Bytes asked for at once; 1 byte to 64 MiB count. An unfinished file is resumed only in pieces of the same size.
    pub piece_bytes: u64,
    /// How patient to be with failures.
    pub retry: RetryPolicy,
    /// How patient to be with silence.
    pub pace: Pace,
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
            pace: Pace::default(),
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
pub struct Fetched {
    /// Where it came from.
    pub origin: Origin,
    /// Its files, by name. The folder may hold others; only these were fetched.
    pub files: Vec<FetchedFile>,
}

/// Where a checkpoint came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// What was asked for.
    pub source: RemoteSource,
    /// The address under which it was found.
    pub base: String,
    /// The commit behind the revision, as the endpoint named it.
    pub commit: Option<String>,
}

/// A file that is here, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedFile {
    /// Its published name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of what is on disk.
    pub sha256: Sha256Digest,
    /// What its digest was checked against.
    pub digest_source: DigestSource,
}

/// What a fetched file's digest was checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestSource {
    /// A digest that the caller knew.
    Expected,
    /// The digest that the endpoint announced.
    Announced,
    /// Nothing: it is known from now on.
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

    /// Brings the files of `source` into the folder `into`, going on where an earlier fetch ended.
    ///
    /// # Errors
    /// Whatever keeps a file from being here, whole and right; what has been fetched by then stays for the next attempt.
    pub async fn fetch(
        &self,
        source: &RemoteSource,
        into: &Path,
        progress: &dyn Progress,
    ) -> Result<Fetched, FetchError> {
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
        Ok(Fetched { origin, files })
    }

    /// As [`Self::fetch`], for callers that wait; not to be called from an asynchronous task.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn fetch_blocking(
        &self,
        source: &RemoteSource,
        into: &Path,
        progress: &dyn Progress,
    ) -> Result<Fetched, FetchError> {
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
            None => BaseUrl::of_publisher(source),
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
                "HF_TOKEN is not sent to {base}: it goes to the endpoint only, never to a mirror or over plain http"
            ));
        }
        Ok(Session { http, options, into, progress, permits: Semaphore::new(options.parallel_requests()) })
    }
}

/// Holds the folder against a second fetch until dropped, or until this process ends however it may.
async fn lock(folder: &Path) -> Result<File, FetchError> {
    let path = folder.join(".fetch.lock");
    let file = File::create(&path).map_err(FetchError::io("create", &path))?;
    // A process that is just being started by the last holder shares its files for an instant.
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
            Err(TryLockError::Error(e)) => return Err(FetchError::io("lock", &path)(e)),
        }
    }
    Err(FetchError::InUse(folder.to_owned()))
}
