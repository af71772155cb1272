//! Reads chunks from a folder, untrusted until their digest is compared, and decrypts them in memory.
//!
//! The digest of a file that is unchanged since it was verified is not computed again. The chunk's tag, which is verified in every case
//! and over the returned bytes, detects any alteration.
//!
//! Decrypted chunks are kept until all of their bytes were read, since readers do not know the boundaries of chunks; at most one more
//! than there are cores. Their memory is reused while it is still in a CPU cache, and wiped at the end. A thread that requests a chunk
//! that another thread is decrypting waits for it.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::ops::Deref;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::buffer::{Buffer, Buffers};
use super::chunk::{FileCipher, Place};
use super::{CHUNKS, CheckedChunks, ChunkEntry, ChunkName, Error, SealedManifest};
use crate::digest::Sha256Digest;

/// A folder of chunks, each named after its SHA-256.
#[derive(Debug, Clone)]
pub(super) struct ChunkFolder(PathBuf);

impl ChunkFolder {
    /// The chunks of a sealed folder.
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.join(CHUNKS))
    }

    pub(super) fn path(&self, sha256: Sha256Digest) -> PathBuf {
        self.0.join(sha256.to_string())
    }

    /// Reads a chunk's ciphertext and verifies its digest.
    pub(super) fn read(
        &self,
        chunk: &ChunkName,
        entry: &ChunkEntry,
        buffers: &Buffers,
    ) -> Result<Buffer, Error> {
        let (buffer, _) = self.read_unverified(chunk, entry, buffers)?;
        verify_digest(chunk, entry, &buffer)?;
        Ok(buffer)
    }

    /// Reads a chunk's ciphertext, unverified, and its file's metadata.
    fn read_unverified(
        &self,
        chunk: &ChunkName,
        entry: &ChunkEntry,
        buffers: &Buffers,
    ) -> Result<(Buffer, Metadata), Error> {
        let name = self.path(entry.sha256);
        let missing = || Error::ChunkMissing { chunk: chunk.clone(), sha256: entry.sha256 };
        let metadata = match name.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing()),
            metadata => metadata.map_err(Error::io("open", &name))?,
        };
        if !metadata.is_file() {
            return Err(missing()); // a pipe would block
        }
        let file = File::open(&name).map_err(Error::io("open", &name))?;
        let metadata = file.metadata().map_err(Error::io("open", &name))?;
        if metadata.len() != entry.size {
            return Err(Error::ChunkSize {
                chunk: chunk.clone(),
                expected: entry.size,
                found: metadata.len(),
            });
        }
        // The manifest's validation bounds the size by the largest chunk.
        let buffer = buffers.take(entry.size as usize);
        let mut buffer = buffer.map_err(Error::io("allocate memory for", &name))?;
        file.read_exact_at(&mut buffer, 0).map_err(Error::io("read", &name))?;
        Ok((buffer, metadata))
    }
}

/// Verifies the digest of a chunk's ciphertext.
fn verify_digest(chunk: &ChunkName, entry: &ChunkEntry, bytes: &[u8]) -> Result<(), Error> {
    let found = Sha256Digest::compute(bytes);
    if found == entry.sha256 {
        return Ok(());
    }
    Err(Error::ChunkDigest { chunk: chunk.clone(), expected: entry.sha256, found })
}

/// A chunk's plaintext. Its memory is reused for the next chunk when the last reference to it is dropped.
pub(super) struct PlainChunk {
    /// `None` after its memory was returned.
    bytes: Option<Buffer>,
    buffers: Arc<Buffers>,
    /// How many bytes were read.
    read: AtomicUsize,
}

impl Deref for PlainChunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

impl Drop for PlainChunk {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            self.buffers.give(bytes);
        }
    }
}

type Slot = Arc<Mutex<Option<Arc<PlainChunk>>>>;

/// A chunk by its file's index in the manifest and its own index.
pub(super) type Key = (usize, u64);

/// Decrypts chunks of one checkpoint for several threads.
pub(super) struct ChunkReader {
    manifest: SealedManifest,
    folder: ChunkFolder,
    ciphers: Vec<FileCipher>,
    buffers: Arc<Buffers>,
    /// Chunks with a verified digest.
    checked: Mutex<CheckedChunks>,
    /// Most recently used last.
    kept: Mutex<VecDeque<(Key, Slot)>>,
    max_kept: usize,
}

impl ChunkReader {
    pub(super) fn new(
        manifest: SealedManifest,
        folder: ChunkFolder,
        checked: CheckedChunks,
        ciphers: Vec<FileCipher>,
    ) -> Self {
        let max_kept = rayon::current_num_threads().max(1) + 1;
        let (buffers, kept, checked) = (Arc::default(), Mutex::default(), Mutex::new(checked));
        Self { manifest, folder, ciphers, buffers, checked, kept, max_kept }
    }

    /// Returns the chunks with a verified digest.
    pub(super) fn checked(&self) -> CheckedChunks {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn manifest(&self) -> &SealedManifest {
        &self.manifest
    }

    /// Reads and decrypts a chunk without the cache. `None` if there is no such chunk.
    pub(super) fn open(&self, file: usize, index: u64) -> Option<Result<Buffer, Error>> {
        let (cipher, plain) = (self.ciphers.get(file)?, self.manifest.plain.files.get(file)?);
        let chunks = self.manifest.seal.files.get(&plain.name)?;
        let entry = chunks.get(usize::try_from(index).ok()?)?;
        let place = Place { index, is_last: index + 1 == chunks.len() as u64 };
        let chunk = ChunkName { path: plain.name.clone(), index };
        Some(self.open_chunk(&chunk, entry, cipher, place))
    }

    fn open_chunk(
        &self,
        chunk: &ChunkName,
        entry: &ChunkEntry,
        cipher: &FileCipher,
        place: Place,
    ) -> Result<Buffer, Error> {
        let (mut buffer, meta) = self.folder.read_unverified(chunk, entry, &self.buffers)?;
        let checked = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = checked().is_unchanged(entry, &meta);
        if !is_known {
            verify_digest(chunk, entry, &buffer)?;
            checked().add(entry, &meta);
        }
        if let Some(length) = cipher.open(place, &mut buffer) {
            buffer.truncate(length);
            return Ok(buffer);
        }
        // The digest tells whether the file was altered or was sealed with another key.
        self.folder.read(chunk, entry, &self.buffers)?;
        Err(Error::ChunkNotOpened { chunk: chunk.clone() })
    }

    /// Returns a buffer for reuse.
    pub(super) fn return_buffer(&self, buffer: Buffer) {
        self.buffers.give(buffer);
    }

    /// Returns a decrypted chunk and caches it. `None` if there is no such chunk.
    pub(super) fn get_or_open(&self, (file, index): Key) -> Option<Result<Arc<PlainChunk>, Error>> {
        let slot = self.slot((file, index));
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plain) = &*slot {
            return Some(Ok(Arc::clone(plain)));
        }
        let opened = self.open(file, index)?;
        Some(opened.map(|bytes| {
            let (bytes, buffers) = (Some(bytes), Arc::clone(&self.buffers));
            Arc::clone(slot.insert(Arc::new(PlainChunk { bytes, buffers, read: AtomicUsize::new(0) })))
        }))
    }

    /// Counts bytes of a chunk as read. Weights are read once, so a chunk that was read completely leaves the cache.
    pub(super) fn note_read(&self, chunk: Key, plain: &PlainChunk, bytes: usize) {
        if plain.read.fetch_add(bytes, Ordering::Relaxed) + bytes >= plain.len() {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|(other, _)| *other != chunk);
        }
    }

    fn slot(&self, key: Key) -> Slot {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(other, _)| *other == key).and_then(|at| kept.remove(at));
        let (_, slot) = found.unwrap_or_else(|| (key, Slot::default()));
        kept.push_back((key, Arc::clone(&slot)));
        if kept.len() > self.max_kept {
            kept.pop_front();
        }
        slot
    }
}
