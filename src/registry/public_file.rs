//! A file of a public checkpoint as it is read: a chunk is open while its bytes are taken, and no longer.

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

/// Bytes that are handed out at once.
const PIECE: u64 = 64 << 10;
/// How long a chunk stays open while nobody reads of it. Who goes on later has it opened again.
const IDLE: Duration = Duration::from_secs(2);
/// How long it stays open at most, for those who read it slowly.
const MAX_OPEN: Duration = Duration::from_secs(20);
/// How often it is looked for what is to be closed.
const LOOK: Duration = Duration::from_secs(1);
/// Longest wait for work that an address may ask for again.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// What is wanted of a public checkpoint.
#[derive(Debug, Clone)]
pub struct PublicRange {
    /// Which file, by its place in the manifest.
    pub file: usize,
    /// Which of its bytes.
    pub bytes: Range<u64>,
}

/// Asks whether a chunk of so many bytes may be opened now; how long to wait if not.
pub type ChunkCharge = dyn Fn(u64) -> Result<(), Duration> + Send + Sync;

/// For whom chunks are opened.
#[derive(Clone)]
pub struct PublicReader {
    /// Their share of the room, below [`Self::SHARES`].
    pub share: usize,
    /// What each chunk but the first costs them.
    pub charge: Arc<ChunkCharge>,
}

impl PublicReader {
    /// How many shares of the room there are.
    pub const SHARES: usize = SHARES;
}

/// A chunk that is open.
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

/// The bytes that are wanted, the first chunk opened already.
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

    /// The chunk that is read next.
    fn index(&self) -> u64 {
        self.wanted.bytes.start / self.chunk_size()
    }

    /// The next piece. It is a copy, so that what waits to be sent keeps no chunk open.
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
            // A chunk that is shorter than its manifest says was refused before.
            return Ok(None);
        }
        self.wanted.bytes.start = start + piece.len() as u64;
        if self.wanted.bytes.is_empty() || self.index() != index {
            *lock(&self.held) = None;
        }
        Ok(Some(piece))
    }

    /// The chunk, if it is open still.
    fn open_chunk_bytes(&self, index: u64) -> Option<Bytes> {
        let mut held = lock(&self.held);
        let opened = held.as_mut().filter(|opened| opened.index == index)?;
        opened.read = Instant::now();
        Some(opened.plain.clone())
    }

    /// Waits until the next chunk may be opened.
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
        // The place goes along: who leaves meanwhile gives it back when the memory is free.
        let opened = tokio::task::spawn_blocking(move || (opener.open(file, index, ciphertext), place)).await;
        let (plain, place) = opened.map_err(|_| Error::Busy)?;
        let (plain, now) = (Bytes::from(plain?), Instant::now());
        let opened = OpenChunk { index, plain: plain.clone(), since: now, read: now, _place: place };
        *lock(&self.held) = Some(opened);
        Ok(plain)
    }
}

/// Closes chunks that nobody reads, until nobody reads the file.
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
