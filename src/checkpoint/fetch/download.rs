//! Downloads one file: pieces in parallel if the server supports ranges, otherwise one stream.
//!
//! A piece is collected in memory and written when it is complete and consistent. So memory has at most one piece per request, and the
//! disk only has bytes of consistent responses.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Semaphore;

use super::error::{FetchError, shown};
use super::http::{ContentRange, Http};
use super::partial::{FinishOutcome, Partial, Paths};
use super::probe::{Probe, RemoteFile};
use super::retry::Retries;
use super::{DigestSource, FetchOptions, FetchedFile};
use crate::digest::Sha256Digest;
use crate::progress::Progress;

/// How often the download of a file that changes is restarted.
const MAX_RESTARTS: u32 = 5;
/// Largest file without a stated length that is downloaded, in memory.
const MAX_IN_MEMORY: u64 = 64 << 20;

/// The state that the downloads of one fetch share.
pub(super) struct Session<'a> {
    pub(super) http: Http,
    pub(super) options: &'a FetchOptions,
    pub(super) into: &'a Path,
    pub(super) progress: &'a dyn Progress,
    /// Limits concurrent requests.
    pub(super) permits: Semaphore,
}

impl Session<'_> {
    /// Probes a file, with retries.
    pub(super) async fn probe(&self, file: &RemoteFile) -> Result<Probe, FetchError> {
        let _permit = self.permits.acquire().await;
        let mut retries = self.retries(&file.name);
        loop {
            match Probe::send(&self.http, file).await {
                Err(e) => retries.wait_or_fail(e).await?,
                probe => return probe,
            }
        }
    }

    /// Probes a file that may not exist.
    pub(super) async fn probe_if_there(&self, file: &RemoteFile) -> Result<Option<Probe>, FetchError> {
        match self.probe(file).await {
            Err(FetchError::NotFound { .. }) => Ok(None),
            probe => probe.map(Some),
        }
    }

    /// Downloads files concurrently, as one step of the progress.
    pub(super) async fn download_all(
        &self,
        step: &str,
        probes: Vec<Probe>,
    ) -> Result<Vec<FetchedFile>, FetchError> {
        let total = probes.iter().map(|probe| probe.size).sum();
        self.progress.begin(step, total);
        futures_util::stream::iter(probes)
            .map(|probe| self.download(probe))
            .buffer_unordered(self.options.parallel_requests())
            .try_collect()
            .await
    }

    async fn download(&self, mut probe: Probe) -> Result<FetchedFile, FetchError> {
        for _ in 0..MAX_RESTARTS {
            match self.attempt(&probe).await {
                Ok(Some(fetched)) => return Ok(fetched),
                Ok(None) => {}
                Err(FetchError::Changed { .. }) => probe = self.probe(&probe.file).await?,
                Err(FetchError::RangesIgnored { .. }) => probe.ranges = false,
                Err(other) => return Err(other),
            }
        }
        Err(FetchError::Unsteady { file: probe.file.name, times: MAX_RESTARTS })
    }

    /// Downloads the missing pieces; returns `None` if pieces on disk were wrong and must be fetched again.
    async fn attempt(&self, probe: &Probe) -> Result<Option<FetchedFile>, FetchError> {
        let name = &probe.file.name;
        let paths = Paths::new(self.into, name);
        let (size, bytes) = match probe.size {
            Some(size) => (size, None),
            None => {
                let bytes = self.fetch_in_memory(probe).await?;
                (bytes.len() as u64, Some(bytes))
            }
        };
        let identity = probe.identity(size);
        let (at, known) = (paths.clone(), identity.clone());
        if let Some(sha256) = blocking(move || at.finished(&known)).await? {
            self.progress.advance(probe.uncounted(size));
            return Ok(Some(fetched(probe, paths.whole, size, sha256)));
        }
        let (at, piece_bytes) = (paths.clone(), self.options.piece_length());
        let (partial, dropped) = blocking(move || Partial::open(at, identity, piece_bytes)).await?;
        self.report_resume(probe, &partial, dropped, size);
        let partial = Arc::new(partial);
        match bytes {
            Some(bytes) => self.record_all(probe, &partial, &bytes).await?,
            None if probe.ranges => self.fetch_pieces(probe, &partial).await?,
            None if partial.missing().is_empty() => {}
            None => self.fetch_stream(probe, &partial, size).await?,
        }
        match blocking(move || partial.finish()).await? {
            FinishOutcome::Whole(sha256) => Ok(Some(fetched(probe, paths.whole, size, sha256))),
            FinishOutcome::Torn(pieces) => {
                self.progress
                    .note(&format!("{name}: {pieces} pieces on disk are damaged; fetching them again"));
                Ok(None)
            }
            FinishOutcome::Wrong(actual) => Err(wrong_digest(probe, actual)),
        }
    }

    /// Reports what an earlier run left.
    fn report_resume(&self, probe: &Probe, partial: &Partial, dropped: bool, size: u64) {
        let name = &probe.file.name;
        let here = partial.bytes_here();
        if dropped {
            self.progress.note(&format!(
                "{name}: the earlier download may be of another version of the file; starting again"
            ));
        } else if here > 0 {
            self.progress.note(&format!("{name}: resuming at {here} of {size} bytes"));
        }
        self.progress.advance(probe.uncounted(here));
    }

    async fn fetch_pieces(&self, probe: &Probe, partial: &Arc<Partial>) -> Result<(), FetchError> {
        futures_util::stream::iter(partial.missing())
            .map(|piece| self.fetch_piece(probe, partial, piece))
            .buffer_unordered(self.options.parallel_requests())
            .try_collect()
            .await
    }

    async fn fetch_piece(&self, probe: &Probe, partial: &Arc<Partial>, piece: u64) -> Result<(), FetchError> {
        let _permit = self.permits.acquire().await;
        let length = usize::try_from(partial.length_of(piece)).unwrap_or(usize::MAX);
        let first = piece.saturating_mul(self.options.piece_length());
        let mut bytes = Vec::with_capacity(length);
        let mut retries = self.retries(&probe.file.name);
        while bytes.len() < length {
            let before = bytes.len();
            if let Err(e) = self.fetch_part(probe, first, length, &mut bytes).await {
                // Tolerate a connection that breaks often as long as it makes progress, but not a trickle.
                if bytes.len() - before >= (length / 16).max(1) {
                    retries.renew();
                }
                retries.wait_or_fail(e).await?;
            }
        }
        self.record(probe, partial, piece, bytes).await?;
        Ok(())
    }

    /// Requests the rest of a piece. Consistent bytes received before an error stay in `bytes`.
    async fn fetch_part(
        &self,
        probe: &Probe,
        piece_first: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FetchError> {
        let first = piece_first + bytes.len() as u64;
        let last = piece_first + length as u64 - 1;
        let mut response = probe.fetch(&self.http, Some((first, last))).await?;
        probe.require_same(&response)?;
        if response.is_whole() {
            return Err(FetchError::RangesIgnored { url: shown(&response.location) });
        }
        let range = ContentRange::from_response(&response)?;
        if Some(range.size) != probe.size {
            return Err(probe.changed());
        }
        let Some((came_first, came_last)) = range.bytes else {
            return Err(response.inconsistent("status 416 for a range inside the file"));
        };
        if response.is_out_of_range() || came_first != first || came_last > last {
            let what = format!("bytes {first}-{last} were requested, {range} received");
            return Err(response.inconsistent(what));
        }
        let promised = came_last - came_first + 1;
        if let Some(stated) = response.stated_length().filter(|&n| n != promised) {
            let what = format!("{promised} bytes by Content-Range, {stated} by Content-Length");
            return Err(response.inconsistent(what));
        }
        let before = bytes.len();
        let mut more = true;
        while more {
            more = response.append_to(bytes).await?;
            if (bytes.len() - before) as u64 > promised {
                bytes.truncate(before);
                return Err(response.inconsistent("the body is longer than stated"));
            }
        }
        if bytes.len() < length {
            let came = bytes.len() - before;
            let asked = length - before;
            return Err(response.inconsistent(format!("received {came} of {asked} bytes requested")));
        }
        Ok(())
    }

    async fn fetch_stream(&self, probe: &Probe, partial: &Arc<Partial>, size: u64) -> Result<(), FetchError> {
        self.progress.note(&format!(
            "{}: the server does not support ranges; fetching the whole file in one stream",
            probe.file.name
        ));
        let _permit = self.permits.acquire().await;
        let mut retries = self.retries(&probe.file.name);
        loop {
            let before = partial.bytes_here();
            let Err(e) = self.read_stream(probe, partial, size).await else {
                return Ok(());
            };
            if partial.bytes_here() > before {
                retries.renew();
            }
            retries.wait_or_fail(e).await?;
        }
    }

    async fn read_stream(&self, probe: &Probe, partial: &Arc<Partial>, size: u64) -> Result<(), FetchError> {
        let mut response = self.request_whole(probe).await?;
        if response.stated_length().is_some_and(|stated| stated != size) {
            return Err(probe.changed());
        }
        let mut bytes = Vec::new();
        let (mut piece, mut came) = (0, 0);
        let mut more = true;
        while more {
            more = response.append_to(&mut bytes).await?;
            loop {
                let length = usize::try_from(partial.length_of(piece)).unwrap_or(usize::MAX);
                if length == 0 || bytes.len() < length {
                    break;
                }
                let rest = bytes.split_off(length);
                let whole = std::mem::replace(&mut bytes, rest);
                self.record(probe, partial, piece, whole).await?;
                response.excuse_pause();
                piece += 1;
                came += length as u64;
            }
            if came == size && !bytes.is_empty() {
                return Err(response.inconsistent(format!("the body is longer than {size} bytes")));
            }
        }
        if came < size {
            let came = came + bytes.len() as u64;
            return Err(response.inconsistent(format!("received {came} of {size} bytes")));
        }
        Ok(())
    }

    async fn request_whole(&self, probe: &Probe) -> Result<super::http::FileResponse, FetchError> {
        let response = probe.fetch(&self.http, None).await?;
        if !response.is_whole() {
            return Err(response.inconsistent("a partial response to a request without range"));
        }
        probe.require_same(&response)?;
        if !response.shows_its_end() {
            return Err(FetchError::NoLength { file: probe.file.name.clone() });
        }
        Ok(response)
    }

    async fn fetch_in_memory(&self, probe: &Probe) -> Result<Vec<u8>, FetchError> {
        let file = &probe.file;
        if file.limit > MAX_IN_MEMORY {
            return Err(FetchError::NoLength { file: file.name.clone() });
        }
        let _permit = self.permits.acquire().await;
        let mut retries = self.retries(&file.name);
        loop {
            match self.read_whole(probe).await {
                Err(e) => retries.wait_or_fail(e).await?,
                bytes => return bytes,
            }
        }
    }

    async fn read_whole(&self, probe: &Probe) -> Result<Vec<u8>, FetchError> {
        let mut response = self.request_whole(probe).await?;
        let mut bytes = Vec::new();
        while response.append_to(&mut bytes).await? {
            let size = bytes.len() as u64;
            if size > probe.file.limit {
                return Err(FetchError::TooLarge {
                    file: probe.file.name.clone(),
                    size,
                    limit: probe.file.limit,
                });
            }
        }
        Ok(bytes)
    }

    async fn record_all(
        &self,
        probe: &Probe,
        partial: &Arc<Partial>,
        bytes: &[u8],
    ) -> Result<(), FetchError> {
        let length = usize::try_from(self.options.piece_length()).unwrap_or(usize::MAX);
        for (piece, bytes) in (0..).zip(bytes.chunks(length)) {
            self.record(probe, partial, piece, bytes.to_vec()).await?;
        }
        Ok(())
    }

    async fn record(
        &self,
        probe: &Probe,
        partial: &Arc<Partial>,
        piece: u64,
        bytes: Vec<u8>,
    ) -> Result<(), FetchError> {
        let to = Arc::clone(partial);
        blocking(move || to.record(piece, &bytes)).await?;
        let new = probe.uncounted(partial.bytes_here());
        self.progress.advance(new);
        Ok(())
    }

    fn retries<'b>(&'b self, file: &'b str) -> Retries<'b> {
        Retries::new(self.options.retry, file, self.progress)
    }
}

fn fetched(probe: &Probe, path: PathBuf, size: u64, sha256: Sha256Digest) -> FetchedFile {
    FetchedFile { name: probe.file.name.clone(), path, size, sha256, digest_source: digest_source(probe) }
}

fn digest_source(probe: &Probe) -> DigestSource {
    if probe.file.expected.is_some() {
        DigestSource::Expected
    } else if probe.announced.digest.is_some() {
        DigestSource::Announced
    } else {
        DigestSource::FirstUse
    }
}

fn wrong_digest(probe: &Probe, actual: Sha256Digest) -> FetchError {
    let by = match digest_source(probe) {
        DigestSource::Expected => "the known digest",
        _ => "the digest that the endpoint announced",
    };
    FetchError::Digest {
        file: probe.file.name.clone(),
        expected: probe.file.expected.or(probe.announced.digest).unwrap_or(actual),
        actual,
        by,
    }
}

/// Runs blocking work on a thread for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(FetchError::Client(e.to_string())))
}
