//! Reads chunks from a folder, hostile until their digest was compared, and opens them in memory.
//!
//! The digest of a file that did not change since it was compared is not worked out again: the chunk's tag, which is checked in
//! every case and over the very bytes that are handed out, tells whatever was altered.
//!
//! Opened chunks are kept until all of them was read, since tensors are read in pieces that do not know of chunks; one more
//! than there are cores at most. Their memory is used again for the next ones, while a cache still holds it, and wiped at the
//! end. Whoever asks for a chunk that another thread is opening waits for it.

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

/// Where chunks lie, each under its SHA-256.
#[derive(Debug, Clone)]
pub(super) struct ChunkFolder(PathBuf);

impl ChunkFolder {
    /// The chunks of a sealed folder.
    pub(super) fn of(folder: &Path) -> Self {
        Self(folder.join(CHUNKS))
    }

    pub(super) fn path(&self, sha256: Sha256Digest) -> PathBuf {
        self.0.join(sha256.to_string())
    }

    /// A chunk's ciphertext, if it is what the manifest says.
    pub(super) fn read(
        &self,
        (path, index): (&str, u64),
        entry: &ChunkEntry,
        buffers: &Buffers,
    ) -> Result<Buffer, Error> {
        let (buffer, _) = self.unchecked((path, index), entry, buffers)?;
        check((path, index), entry, &buffer)?;
        Ok(buffer)
    }

    /// As many bytes as a chunk's ciphertext has, hostile as yet, and of which file.
    fn unchecked(
        &self,
        (path, index): (&str, u64),
        entry: &ChunkEntry,
        buffers: &Buffers,
    ) -> Result<(Buffer, Metadata), Error> {
        let chunk = || ChunkName { path: path.to_owned(), index };
        let name = self.path(entry.sha256);
        let missing = || Error::ChunkMissing { chunk: chunk(), sha256: entry.sha256 };
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
            return Err(Error::ChunkSize { chunk: chunk(), expected: entry.size, found: metadata.len() });
        }
        // The manifest's check bound the size by the largest chunk's.
        let buffer = buffers.take(entry.size as usize);
        let mut buffer = buffer.map_err(Error::io("find memory for", &name))?;
        file.read_exact_at(&mut buffer, 0).map_err(Error::io("read", &name))?;
        Ok((buffer, metadata))
    }
}

/// Compares a chunk's ciphertext with its digest.
fn check((path, index): (&str, u64), entry: &ChunkEntry, bytes: &[u8]) -> Result<(), Error> {
    let found = Sha256Digest::of(bytes);
    if found == entry.sha256 {
        return Ok(());
    }
    let chunk = ChunkName { path: path.to_owned(), index };
    Err(Error::ChunkDigest { chunk, expected: entry.sha256, found })
}

/// A chunk's plaintext. Its memory is used again for the next chunk when the last who reads it is done.
pub(super) struct Plain {
    /// None once it was given back.
    bytes: Option<Buffer>,
    buffers: Arc<Buffers>,
    /// Bytes that were read.
    read: AtomicUsize,
}

impl Deref for Plain {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            self.buffers.give(bytes);
        }
    }
}

type Slot = Arc<Mutex<Option<Arc<Plain>>>>;

/// A chunk by file, counted in the manifest's order, and index.
pub(super) type Key = (usize, u64);

/// Opens chunks of one checkpoint; for several threads at once.
pub(super) struct ChunkReader {
    manifest: SealedManifest,
    folder: ChunkFolder,
    ciphers: Vec<FileCipher>,
    buffers: Arc<Buffers>,
    /// What need not be hashed, and what was hashed here.
    checked: Mutex<CheckedChunks>,
    /// The latest used at the end.
    kept: Mutex<VecDeque<(Key, Slot)>>,
    max_kept: usize,
}

impl ChunkReader {
    pub(super) fn new(
        manifest: SealedManifest,
        (folder, checked): (ChunkFolder, CheckedChunks),
        ciphers: Vec<FileCipher>,
    ) -> Self {
        let max_kept = rayon::current_num_threads().max(1) + 1;
        let (buffers, kept, checked) = (Arc::default(), Mutex::default(), Mutex::new(checked));
        Self { manifest, folder, ciphers, buffers, checked, kept, max_kept }
    }

    /// What was checked, here and before.
    pub(super) fn checked(&self) -> CheckedChunks {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn manifest(&self) -> &SealedManifest {
        &self.manifest
    }

    /// Reads and opens a chunk, past what is kept. `None` where there is no such chunk.
    pub(super) fn open(&self, file: usize, index: u64) -> Option<Result<Buffer, Error>> {
        let (cipher, plain) = (self.ciphers.get(file)?, self.manifest.plain.files.get(file)?);
        let chunks = self.manifest.seal.files.get(&plain.name)?;
        let entry = chunks.get(usize::try_from(index).ok()?)?;
        let place = Place { index, is_last: index + 1 == chunks.len() as u64 };
        Some(self.open_chunk((&plain.name, entry), cipher, place))
    }

    fn open_chunk(
        &self,
        (path, entry): (&str, &ChunkEntry),
        cipher: &FileCipher,
        place: Place,
    ) -> Result<Buffer, Error> {
        let name = (path, place.index);
        let (mut buffer, meta) = self.folder.unchecked(name, entry, &self.buffers)?;
        let checked = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = checked().is_unchanged(entry, &meta);
        if !is_known {
            check(name, entry, &buffer)?;
            checked().add(entry, &meta);
        }
        if let Some(length) = cipher.open(place, &mut buffer) {
            buffer.truncate(length);
            return Ok(buffer);
        }
        // The digest says whether the file was altered or never was of this key.
        self.folder.read(name, entry, &self.buffers)?;
        Err(Error::ChunkNotOpened { chunk: ChunkName { path: path.to_owned(), index: place.index } })
    }

    /// Takes a buffer back for the next chunk.
    pub(super) fn give_back(&self, buffer: Buffer) {
        self.buffers.give(buffer);
    }

    /// An opened chunk, kept for whoever asks next. `None` where there is no such chunk.
    pub(super) fn kept(&self, (file, index): Key) -> Option<Result<Arc<Plain>, Error>> {
        let slot = self.slot((file, index));
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plain) = &*slot {
            return Some(Ok(Arc::clone(plain)));
        }
        let opened = self.open(file, index)?;
        Some(opened.map(|bytes| {
            let (bytes, buffers) = (Some(bytes), Arc::clone(&self.buffers));
            Arc::clone(slot.insert(Arc::new(Plain { bytes, buffers, read: AtomicUsize::new(0) })))
        }))
    }

    /// Notes that so many bytes of a chunk were read. Weights are read once: what was read to its end is not kept.
    pub(super) fn note_read(&self, chunk: Key, plain: &Plain, bytes: usize) {
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
