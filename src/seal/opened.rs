//! Opening a sealed checkpoint with both locks: plaintext in memory, never on disk.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::buffer::Buffers;
use super::chunk::FileCipher;
use super::reader::{self, ChunkFolder, ChunkReader, PlainChunk};
use super::staging::read_bounded;
use super::{
    CheckedChunks, ChunkName, ContentKey, Error, MANIFEST, SHARES, SealedManifest, SealedShares, manifest,
    shares,
};
use crate::checkpoint::config::ModelConfig;
use crate::checkpoint::manifest::{CONFIG, MERGES, Manifest, TOKENIZER, VOCABULARY, WEIGHTS};
use crate::checkpoint::tensor_file::{self, TensorEntry};
use crate::checkpoint::tokenizer_files::{TokenizerBytes, TokenizerFiles};
use crate::checkpoint::{self, compare_entries};
use crate::digest::Sha256Digest;
use crate::progress::Progress;

/// Longest file that can be opened as a whole, in bytes.
const SMALL: u64 = 32 << 20;

/// A folder of chunks with its verified manifest.
#[derive(Debug)]
pub struct SealedCheckpoint {
    folder: PathBuf,
    manifest: SealedManifest,
    digest: Sha256Digest,
    checked: CheckedChunks,
}

/// A sealed checkpoint's manifest and sealed shares, without the chunks: the part that board members and the registry need.
#[derive(Debug, Clone)]
pub struct Locks {
    /// The manifest.
    pub manifest: SealedManifest,
    /// The shares, each sealed to its holder.
    pub shares: SealedShares,
}

impl Locks {
    /// Longest accepted manifest, in bytes.
    pub const MAX_MANIFEST_BYTES: u64 = manifest::MAX_SIZE;
    /// Longest accepted file of shares, in bytes.
    pub const MAX_SHARES_BYTES: u64 = shares::MAX_BYTES;

    /// Parses both; `expected` is the digest of the manifest in a grant or the catalogue.
    ///
    /// # Errors
    /// [`Error::ManifestDigest`], [`Error::Manifest`], [`Error::Shares`].
    pub fn parse(manifest: &[u8], shares: &[u8], expected: Sha256Digest) -> Result<Self, Error> {
        let found = Sha256Digest::compute(manifest);
        if found != expected {
            return Err(Error::ManifestDigest { expected, found });
        }
        let manifest = SealedManifest::parse(manifest)?;
        let shares = own_shares(shares, &manifest, found)?;
        Ok(Self { manifest, shares })
    }
}

/// Parses shares, which must belong to this manifest.
fn own_shares(json: &[u8], manifest: &SealedManifest, digest: Sha256Digest) -> Result<SealedShares, Error> {
    let shares = SealedShares::parse(json)?;
    if shares.manifest != digest || shares.checkpoint != manifest.plain.checkpoint {
        let (of, not) = (&shares.checkpoint, &manifest.plain.checkpoint);
        let (of, not) = (format!("{of} ({})", shares.manifest), format!("{not} ({digest})"));
        return Err(Error::Shares { reason: format!("they are of {of}, not of {not}") });
    }
    Ok(shares)
}

impl SealedCheckpoint {
    /// Reads the manifest of a sealed folder, unverified.
    ///
    /// # Errors
    /// [`Error::NotSealed`], [`Error::Io`].
    pub fn manifest_bytes(folder: &Path) -> Result<Vec<u8>, Error> {
        let bytes = read_bounded(&folder.join(MANIFEST), manifest::MAX_SIZE)?;
        bytes.ok_or_else(|| Error::NotSealed { folder: folder.to_owned(), name: MANIFEST })
    }

    /// Opens the checkpoint of this manifest with its chunks in `folder/chunks/`; `expected` is the digest in a grant or the catalogue.
    ///
    /// # Errors
    /// [`Error::ManifestDigest`], [`Error::Manifest`].
    pub fn open(folder: &Path, manifest: &[u8], expected: Sha256Digest) -> Result<Self, Error> {
        let found = Sha256Digest::compute(manifest);
        if found != expected {
            return Err(Error::ManifestDigest { expected, found });
        }
        let (folder, manifest) = (folder.to_owned(), SealedManifest::parse(manifest)?);
        Ok(Self { folder, manifest, digest: found, checked: CheckedChunks::default() })
    }

    /// Uses the folder's cache of verified digests: unchanged chunks are not hashed again. Tags are verified in any case.
    #[must_use]
    pub fn with_checked_chunks(mut self) -> Self {
        self.checked = CheckedChunks::read(&self.folder);
        self
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &SealedManifest {
        &self.manifest
    }

    /// Returns the digest of the manifest's bytes.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// Reads the sealed shares in the folder.
    ///
    /// # Errors
    /// [`Error::NotSealed`], [`Error::Shares`], [`Error::Io`].
    pub fn shares(&self) -> Result<SealedShares, Error> {
        let json = read_bounded(&self.folder.join(SHARES), shares::MAX_BYTES)?
            .ok_or_else(|| Error::NotSealed { folder: self.folder.clone(), name: SHARES })?;
        own_shares(&json, &self.manifest, self.digest)
    }

    /// Returns the manifest with the sealed shares in the folder.
    ///
    /// # Errors
    /// Those of [`Self::shares`].
    pub fn locks(self) -> Result<Locks, Error> {
        Ok(Locks { shares: self.shares()?, manifest: self.manifest })
    }

    /// Verifies the digest of every chunk's ciphertext, on all cores; needs no key.
    ///
    /// # Errors
    /// [`Error::ChunkMissing`], [`Error::ChunkSize`], [`Error::ChunkDigest`], [`Error::Io`].
    pub fn check_chunks(&self, progress: &dyn Progress) -> Result<(), Error> {
        let (folder, buffers) = (ChunkFolder::new(&self.folder), Buffers::default());
        progress.begin("checking", Some(self.manifest.sealed_size()));
        let files = self.manifest.seal.files.iter();
        let chunks = files.flat_map(|(path, chunks)| chunks.iter().enumerate().map(move |c| (path, c)));
        chunks.collect::<Vec<_>>().into_par_iter().try_for_each(|(path, (index, entry))| {
            let chunk = ChunkName { path: path.clone(), index: index as u64 };
            buffers.give(folder.read(&chunk, entry, &buffers)?);
            progress.advance(entry.size);
            Ok(())
        })
    }

    /// Opens the checkpoint with its content key.
    ///
    /// # Errors
    /// [`Error::WrongKey`].
    pub fn unlock(self, key: &ContentKey) -> Result<OpenedCheckpoint, Error> {
        if !key.has_commitment(&self.manifest.seal.key_commitment) {
            return Err(Error::WrongKey);
        }
        let plain = &self.manifest.plain;
        let cipher = |name: &str| FileCipher::new(key, &plain.checkpoint, name);
        let ciphers = plain.files.iter().map(|file| cipher(&file.name)).collect::<Result<_, _>>()?;
        let folder = ChunkFolder::new(&self.folder);
        let reader = Arc::new(ChunkReader::new(self.manifest, folder, self.checked, ciphers));
        Ok(OpenedCheckpoint { folder: self.folder, reader })
    }
}

/// An unlocked checkpoint. It holds the files' keys, which are wiped when it and its weights are dropped.
pub struct OpenedCheckpoint {
    folder: PathBuf,
    pub(super) reader: Arc<ChunkReader>,
}

impl fmt::Debug for OpenedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedCheckpoint({})", self.manifest().checkpoint)
    }
}

impl OpenedCheckpoint {
    /// Returns the manifest of the plain checkpoint.
    pub fn manifest(&self) -> &Manifest {
        &self.reader.manifest().plain
    }

    /// Saves the cache of verified digests for the next opening. Errors are ignored: the chunks are then hashed again.
    pub fn save_checked_chunks(&self) {
        let checked = self.reader.checked();
        if checked == CheckedChunks::read(&self.folder) {
            return;
        }
        let write = || -> io::Result<()> {
            let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder)?;
            file.write_all(&checked.to_json())?;
            file.persist(self.folder.join(CheckedChunks::NAME)).map_err(|error| error.error)?;
            Ok(())
        };
        _ = write();
    }

    /// Returns a small file, its SHA-256 verified.
    ///
    /// # Errors
    /// [`Error::NotASmallFile`], [`Error::PlainDigest`], and those of its chunks.
    pub fn file(&self, path: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let files = &self.manifest().files;
        let not_small = || Error::NotASmallFile { path: path.to_owned() };
        let at =
            files.iter().position(|file| file.name == path && file.size <= SMALL).ok_or_else(not_small)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(files[at].size as usize));
        for index in 0..self.reader.manifest().seal.chunk_size.count(files[at].size) {
            bytes.extend_from_slice(&self.reader.open(at, index).ok_or_else(not_small)??);
        }
        let (expected, found) = (files[at].sha256, Sha256Digest::compute(&bytes));
        if found == expected {
            Ok(bytes)
        } else {
            Err(Error::PlainDigest { path: path.to_owned(), expected, found })
        }
    }

    /// Reads the model's configuration.
    ///
    /// # Errors
    /// Those of [`Self::file`]; [`Error::Checkpoint`] if the configuration is invalid.
    pub fn config(&self) -> Result<ModelConfig, Error> {
        let path = self.folder.join(CONFIG);
        let config = ModelConfig::from_hugging_face(&self.file(CONFIG)?);
        Ok(config.map_err(|source| checkpoint::Error::Config { path, source })?)
    }

    /// Reads the tokenizer's files.
    ///
    /// # Errors
    /// As [`Self::config`].
    pub fn tokenizer_files(&self, config: &ModelConfig) -> Result<TokenizerFiles, Error> {
        let (vocabulary, merges) = (self.file(VOCABULARY)?, self.file(MERGES)?);
        let has_tokenizer = self.manifest().file(TOKENIZER).is_some();
        let tokenizer = has_tokenizer.then(|| self.file(TOKENIZER)).transpose()?;
        let tokenizer = tokenizer.as_ref().map(|bytes| bytes.as_slice());
        let bytes = TokenizerBytes { vocabulary: &vocabulary, merges: &merges, tokenizer };
        Ok(TokenizerFiles::parse_folder(&self.folder, config, bytes)?)
    }

    /// Opens the weights and compares their shapes with the configuration. Each chunk is verified when it is read.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if they are malformed or do not match; errors of their chunks.
    pub fn weights(&self, config: &ModelConfig) -> Result<OpenedWeights, Error> {
        let path = self.folder.join(WEIGHTS);
        let files = &self.manifest().files;
        let at = files.iter().position(|file| file.name == WEIGHTS);
        let file = at.ok_or_else(|| Error::NotASmallFile { path: WEIGHTS.to_owned() })?;
        let size = files[file].size;
        let reader = Arc::clone(&self.reader);
        let read = |buffer: &mut [u8], position| read_at(&reader, file, position, buffer);
        let entries = tensor_file::read_entries(size, &read)
            .map_err(into_error(&path))?
            .map_err(|source| checkpoint::Error::Weights { path, source })?;
        let problems = compare_entries(&entries, config, self.manifest().dtype);
        if problems.is_empty() {
            Ok(OpenedWeights { reader, file, entries })
        } else {
            Err(checkpoint::Error::Tensors { folder: self.folder.clone(), problems }.into())
        }
    }
}

/// Tensors that are decrypted on read, by several threads; only a few chunks are in plaintext at a time.
pub struct OpenedWeights {
    reader: Arc<ChunkReader>,
    file: usize,
    entries: BTreeMap<String, TensorEntry>,
}

impl fmt::Debug for OpenedWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedWeights({} tensors)", self.entries.len())
    }
}

impl OpenedWeights {
    /// Returns the tensors by name.
    pub fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        &self.entries
    }

    /// Fills `buffer` with the bytes at `position` of a tensor. The range must be inside the tensor.
    ///
    /// # Errors
    /// `InvalidData` with an [`Error`] that names the chunk, `UnexpectedEof` beyond the end of the file.
    pub fn read_at(&self, entry: &TensorEntry, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_at(&self.reader, self.file, entry.offset.saturating_add(position), buffer)
    }

    /// Borrows `length` bytes of a tensor from `position` on; `None` unless one chunk holds them all.
    ///
    /// # Errors
    /// As [`Self::read_at`].
    pub fn try_borrow(
        &self,
        entry: &TensorEntry,
        position: u64,
        length: usize,
    ) -> io::Result<Option<OpenedBytes>> {
        let chunk_size = self.reader.manifest().seal.chunk_size.bytes();
        let position = entry.offset.saturating_add(position);
        let first = (position % chunk_size) as usize;
        if first as u64 + length as u64 > chunk_size {
            return Ok(None);
        }
        let at = (self.file, position / chunk_size);
        let chunk = opened_chunk(&self.reader, at)?;
        let range = first..first + length;
        if range.end > chunk.len() {
            return Ok(None);
        }
        self.reader.note_read(at, &chunk, length);
        Ok(Some(OpenedBytes { chunk, range }))
    }
}

/// Bytes of a decrypted chunk, which is wiped when the last reference to it is dropped.
pub struct OpenedBytes {
    chunk: Arc<PlainChunk>,
    range: Range<usize>,
}

impl fmt::Debug for OpenedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedBytes({} bytes)", self.range.len())
    }
}

impl Deref for OpenedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.chunk[self.range.clone()]
    }
}

/// Fills `buffer` with the bytes at `position` of a file.
fn read_at(reader: &ChunkReader, file: usize, position: u64, buffer: &mut [u8]) -> io::Result<()> {
    let chunk_size = reader.manifest().seal.chunk_size.bytes();
    let (mut position, mut buffer) = (position, buffer);
    while !buffer.is_empty() {
        let (at, within) = ((file, position / chunk_size), (position % chunk_size) as usize);
        let plain = opened_chunk(reader, at)?;
        let available = plain.get(within..).filter(|rest| !rest.is_empty());
        let available = available.ok_or(io::ErrorKind::UnexpectedEof)?;
        let count = available.len().min(buffer.len());
        let (now, rest) = buffer.split_at_mut(count);
        now.copy_from_slice(&available[..count]);
        reader.note_read(at, &plain, count);
        buffer = rest;
        position += count as u64;
    }
    Ok(())
}

fn opened_chunk(reader: &ChunkReader, chunk: reader::Key) -> io::Result<Arc<PlainChunk>> {
    let plain = reader.get_or_open(chunk).ok_or(io::ErrorKind::UnexpectedEof)?;
    plain.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Unwraps the [`Error`] inside an `io::Error`.
fn into_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::io("read", &path)(error),
    }
}
