//! Reads chunks from a folder, hostile until their digest was compared, and opens them in memory.
//!
//! Opened chunks are kept for a while, since tensors are read in pieces that do not know of chunks: two for each core. Their memory is
//! used again for the next ones, and wiped at the end. Whoever asks for a chunk that another thread is opening waits for it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Deref;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::chunk::{Buffers, FileCipher, Place};
use super::{CHUNKS, ChunkEntry, ChunkName, Error, SealedManifest};
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
    ) -> Result<Vec<u8>, Error> {
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
        if metadata.len() != entry.size {
            return Err(Error::ChunkSize { chunk: chunk(), expected: entry.size, found: metadata.len() });
        }
        // The manifest's check bound the size by the largest chunk's.
        let mut buffer = buffers.take(entry.size as usize);
        File::open(&name)
            .and_then(|file| file.read_exact_at(&mut buffer, 0))
            .map_err(Error::io("read", &name))?;
        let found = Sha256Digest::of(&buffer);
        if found != entry.sha256 {
            return Err(Error::ChunkDigest { chunk: chunk(), expected: entry.sha256, found });
        }
        Ok(buffer)
    }
}

/// A chunk's plaintext. Its memory is used again for the next chunk when the last who reads it is done.
pub(super) struct Plain {
    bytes: Vec<u8>,
    buffers: Arc<Buffers>,
}

impl Deref for Plain {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.buffers.give(std::mem::take(&mut self.bytes));
    }
}

type Slot = Arc<Mutex<Option<Arc<Plain>>>>;

/// A chunk by file, counted in the manifest's order, and index.
type Key = (usize, u64);

/// Opens chunks of one checkpoint; for several threads at once.
pub(super) struct ChunkReader {
    manifest: SealedManifest,
    folder: ChunkFolder,
    ciphers: Vec<FileCipher>,
    buffers: Arc<Buffers>,
    /// The latest used at the end.
    kept: Mutex<VecDeque<(Key, Slot)>>,
    most_kept: usize,
}

impl ChunkReader {
    pub(super) fn new(manifest: SealedManifest, folder: ChunkFolder, ciphers: Vec<FileCipher>) -> Self {
        let most_kept = 2 * rayon::current_num_threads().max(1);
        let (buffers, kept) = (Arc::default(), Mutex::default());
        Self { manifest, folder, ciphers, buffers, kept, most_kept }
    }

    pub(super) fn manifest(&self) -> &SealedManifest {
        &self.manifest
    }

    /// Reads and opens a chunk, past what is kept. `None` where there is no such chunk.
    pub(super) fn open(&self, file: usize, index: u64) -> Option<Result<Vec<u8>, Error>> {
        let (cipher, plain) = (self.ciphers.get(file)?, self.manifest.plain.files.get(file)?);
        let chunks = self.manifest.seal.files.get(&plain.name)?;
        let entry = chunks.get(usize::try_from(index).ok()?)?;
        let read = self.folder.read((&plain.name, index), entry, &self.buffers);
        Some(read.and_then(|mut buffer| {
            let place = Place { index, is_last: index + 1 == chunks.len() as u64 };
            let chunk = || ChunkName { path: plain.name.clone(), index };
            cipher.open(place, &mut buffer).ok_or_else(|| Error::ChunkNotOpened { chunk: chunk() })?;
            Ok(buffer)
        }))
    }

    /// Takes a buffer back for the next chunk.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        self.buffers.give(buffer);
    }

    /// An opened chunk, kept for whoever asks next. `None` where there is no such chunk.
    pub(super) fn kept(&self, file: usize, index: u64) -> Option<Result<Arc<Plain>, Error>> {
        let slot = self.slot((file, index));
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plain) = &*slot {
            return Some(Ok(Arc::clone(plain)));
        }
        let opened = self.open(file, index)?;
        let plain = |bytes| Arc::new(Plain { bytes, buffers: Arc::clone(&self.buffers) });
        Some(opened.map(|bytes| Arc::clone(slot.insert(plain(bytes)))))
    }

    fn slot(&self, key: Key) -> Slot {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(other, _)| *other == key).and_then(|at| kept.remove(at));
        let (_, slot) = found.unwrap_or_else(|| (key, Slot::default()));
        kept.push_back((key, Arc::clone(&slot)));
        if kept.len() > self.most_kept {
            kept.pop_front();
        }
        slot
    }
}
