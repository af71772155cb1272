//! Reading a file of a public checkpoint: a chunk stays decrypted only while it is read.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::time::{Instant, sleep};

use super::Error;
use super::chunk_memory::{MemoryPermit, SHARES};
use super::public::PublicCheckpoint;

/// Bytes per piece.
const PIECE: u64 = 64 << 10;
/// How long an unread chunk stays decrypted; a later read decrypts it again.
const IDLE: Duration = Duration::from_secs(2);
/// How long a chunk stays decrypted at most, for slow readers.
const MAX_OPEN: Duration = Duration::from_secs(20);
/// How often idle chunks are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Maximum wait before an address is charged again.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// A range of a file of a public checkpoint.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone)]
pub struct PublicRange {
    /// The file's index in the manifest.
    pub file: usize,
    pub bytes: Range<u64>,
}

/// Charges for decrypting a chunk of so many bytes; returns how long to wait if it is not allowed yet.
pub type ChunkCharge = dyn Fn(u64) -> Result<(), Duration> + Send + Sync;

/// The reader for whom chunks are decrypted.
#[derive(Clone)]
pub struct PublicReader {
    /// Their share of the chunk memory, below [`Self::SHARES`].
    pub share: usize,
    /// The charge for each chunk but the first.
    pub charge: Arc<ChunkCharge>,
}

impl PublicReader {
    /// The number of shares of the chunk memory.
    pub const SHARES: usize = SHARES;
}

/// A decrypted chunk.
struct OpenChunk {
    index: u64,
    plain: Bytes,
    since: Instant,
    read: Instant,
    _place: MemoryPermit,
}

type ChunkSlot = Mutex<Option<OpenChunk>>;

/// A file that is being read.
struct Reading {
    checkpoint: PublicCheckpoint,
    wanted: PublicRange,
    reader: PublicReader,
    held: Arc<ChunkSlot>,
}

/// Starts reading; the first chunk is decrypted.
pub(super) async fn read(
    checkpoint: PublicCheckpoint,
    wanted: PublicRange,
    reader: PublicReader,
) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
    let reading = Reading { checkpoint, wanted, reader, held: Arc::default() };
    if !reading.wanted.bytes.is_empty() {
        reading.open(reading.index()).await?;
        tokio::spawn(close_idle_chunks(Arc::downgrade(&reading.held)));
    }
    let pieces = stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next_piece().await?.map(|piece| (piece, reading)))
    });
    Ok(pieces.boxed())
}

impl Reading {
    fn chunk_size(&self) -> u64 {
        self.checkpoint.opener.manifest().seal.chunk_size.bytes()
    }

    /// The index of the next chunk.
    fn index(&self) -> u64 {
        self.wanted.bytes.start / self.chunk_size()
    }

    /// The next piece. It is copied, so that data in transit keeps no chunk decrypted.
    async fn next_piece(&mut self) -> Result<Option<Bytes>, Error> {
        let Range { start, end } = self.wanted.bytes;
        if start >= end {
            return Ok(None);
        }
        let (size, index) = (self.chunk_size(), self.index());
        let plain = match self.open_chunk_bytes(index) {
            Some(plain) => plain,
            None => {
                self.charge(index).await;
                self.open(index).await?
            }
        };
        let begin = start - index * size;
        let end = (end - index * size).min(size).min(begin + PIECE);
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(plain.len());
        let piece = Bytes::copy_from_slice(&plain[place(begin)..place(end)]);
        if piece.is_empty() {
            // Chunks shorter than their manifest says were refused before.
            return Ok(None);
        }
        self.wanted.bytes.start = start + piece.len() as u64;
        if self.wanted.bytes.is_empty() || self.index() != index {
            *lock(&self.held) = None;
        }
        Ok(Some(piece))
    }

    /// The chunk's next bytes, if it is still decrypted.
    fn open_chunk_bytes(&self, index: u64) -> Option<Bytes> {
        let mut held = lock(&self.held);
        let opened = held.as_mut().filter(|opened| opened.index == index)?;
        opened.read = Instant::now();
        Some(opened.plain.clone())
    }

    /// Waits until the next chunk may be decrypted.
    async fn charge(&self, index: u64) {
        let entry = usize::try_from(index).ok();
        let entry = entry.and_then(|index| self.checkpoint.opener.chunks(self.wanted.file).get(index));
        let bytes = entry.map_or(0, |entry| entry.size);
        while let Err(wait) = (self.reader.charge)(bytes) {
            sleep(wait.clamp(Duration::from_millis(10), MAX_WAIT)).await;
        }
    }

    async fn open(&self, index: u64) -> Result<Bytes, Error> {
        let PublicCheckpoint { opener, blobs, memory, manifest } = &self.checkpoint;
        let file = self.wanted.file;
        let entry = usize::try_from(index).ok().and_then(|index| opener.chunks(file).get(index));
        let entry = *entry.ok_or(Error::Unknown { what: "chunk", digest: *manifest })?;
        *lock(&self.held) = None;
        let place = memory.reserve(self.reader.share, entry.size).await?;
        let mut pieces = blobs.stream(entry.sha256, 0..entry.size).await?;
        let mut ciphertext = Vec::with_capacity(usize::try_from(entry.size).unwrap_or_default());
        while let Some(piece) = pieces.next().await {
            ciphertext.extend_from_slice(&piece?);
        }
        let opener = opener.clone();
        // The permit moves along: after a disconnect it is released with the memory.
        let opened = tokio::task::spawn_blocking(move || (opener.open(file, index, ciphertext), place)).await;
        let (plain, place) = opened.map_err(|_| Error::Busy)?;
        let (plain, now) = (Bytes::from(plain?), Instant::now());
        let opened = OpenChunk { index, plain: plain.clone(), since: now, read: now, _place: place };
        *lock(&self.held) = Some(opened);
        Ok(plain)
    }
}

/// Drops idle chunks until the file is closed.
async fn close_idle_chunks(held: Weak<ChunkSlot>) {
    loop {
        sleep(LOOK).await;
        let Some(held) = held.upgrade() else { return };
        let mut held = lock(&held);
        let is_over =
            |opened: &OpenChunk| opened.read.elapsed() >= IDLE || opened.since.elapsed() >= MAX_OPEN;
        if held.as_ref().is_some_and(is_over) {
            *held = None;
        }
    }
}

fn lock(held: &ChunkSlot) -> MutexGuard<'_, Option<OpenChunk>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
