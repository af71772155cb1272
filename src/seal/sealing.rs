//! Sealing a checkpoint, in two passes over its files.
//!
//! The first pass hashes each plaintext file and encrypts its chunks in memory, for their digests and tags; it writes nothing. If every
//! file matches its manifest, the second pass encrypts again and writes. It writes a chunk only if its tag equals the first pass's, so
//! the sealed bytes are the verified ones (P6), even if another process changes the files meanwhile.
//!
//! Nonces never repeat: each file has its own key, derived from a session's random keys, and its chunks are numbered. A resumed session
//! with changed files would encrypt two plaintexts under one key and nonce. Three measures prevent that: a session is bound to the
//! manifest of the files; no ciphertext leaves memory before the files were compared with that manifest; and if they differ, the session
//! and everything written under it are deleted.
//!
//! Memory: at most four chunks per core. The order of writes is described in `staging.rs`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rand::CryptoRng;
use rayon::prelude::*;

use super::buffer::{Buffer, Buffers};
use super::chunk::{CHUNK_TAG, ChunkSize, FileCipher, Place};
use super::opened::SealedCheckpoint;
use super::reader::ChunkFolder;
use super::session::{self, Session};
use super::shares::LockKeys;
use super::staging::{Staging, sync_folder, write_whole};
use super::{
    Board, CHUNKS, ChunkEntry, ContentKey, Error, MANIFEST, Member, Recipients, SHARES, Seal, SealedManifest,
    SealedShares,
};
use crate::checkpoint::manifest::{FileEntry, Manifest};
use crate::checkpoint::{Checkpoint, Error as CheckpointError, FileProblem};
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::identity::OpeningKey;
use crate::progress::Progress;

/// A request to seal a checkpoint.
#[derive(Debug)]
pub struct SealRequest<'a> {
    /// The folder of the imported checkpoint.
    pub source: &'a Path,
    /// The folder to create.
    pub destination: &'a Path,
    /// The holders of the locks.
    pub recipients: &'a Recipients,
    /// The bytes of plaintext in a chunk.
    pub chunk_size: ChunkSize,
    /// The key of the person who seals; only it can resume an interrupted sealing.
    pub sealer: &'a OpeningKey,
}

/// The result of sealing.
#[derive(Debug)]
pub struct SealOutcome {
    /// The manifest in the new folder.
    pub manifest: SealedManifest,
    /// The digest of the manifest's bytes, which grants name.
    pub digest: Sha256Digest,
    /// The bytes of ciphertext that an interrupted run had already written.
    pub resumed_bytes: u64,
    /// Whether the folder already existed, sealed from the same files to the same recipients.
    pub already_there: bool,
}

/// Seals a checkpoint. The destination appears completely or not at all; a second run resumes an interrupted one. The source is never
/// changed.
///
/// # Errors
/// All variants of [`Error`] that are not about opening.
pub fn seal_checkpoint(
    request: &SealRequest<'_>,
    rng: &mut dyn CryptoRng,
    progress: &dyn Progress,
) -> Result<SealOutcome, Error> {
    let source = Checkpoint::open(request.source)?;
    let staging = Staging::open(request.destination)?;
    let sealed = if request.destination.exists() {
        existing(request.destination, source.manifest(), request, progress)?
            .ok_or_else(|| Error::DestinationExists { destination: request.destination.to_owned() })
    } else {
        build(request, source.manifest(), &staging, rng, progress)
    };
    match &sealed {
        // A system error may be temporary: keep what was written for the next run.
        Err(error) if error.is_passing() => {}
        _ => staging.discard()?,
    }
    sealed
}

/// Returns the sealed checkpoint in `folder` if it is complete and of this source and these recipients.
fn existing(
    folder: &Path,
    plain: &Manifest,
    request: &SealRequest<'_>,
    progress: &dyn Progress,
) -> Result<Option<SealOutcome>, Error> {
    let Ok(bytes) = SealedCheckpoint::manifest_bytes(folder) else {
        return Ok(None);
    };
    let Ok(sealed) = SealedCheckpoint::open(folder, &bytes, Sha256Digest::compute(&bytes)) else {
        return Ok(None);
    };
    let manifest = sealed.manifest();
    let same = manifest.plain == *plain
        && manifest.is_for(request.recipients)
        && manifest.seal.chunk_size == request.chunk_size;
    if !same || sealed.shares().is_err() {
        return Ok(None);
    }
    sealed.check_chunks(progress)?;
    let (manifest, digest) = (manifest.clone(), sealed.digest());
    Ok(Some(SealOutcome { manifest, digest, resumed_bytes: 0, already_there: true }))
}

fn build(
    request: &SealRequest<'_>,
    plain: &Manifest,
    staging: &Staging,
    rng: &mut dyn CryptoRng,
    progress: &dyn Progress,
) -> Result<SealOutcome, Error> {
    let context = session::context(plain, request.chunk_size, request.recipients)?;
    let session = match Session::resume(staging, request.recipients, request.sealer, &context)? {
        Some(session) => session,
        // Remove the session last: after a kill between its removal and the rename, the folder is complete and only needs the rename.
        None => match existing(&staging.folder(), plain, request, progress) {
            Ok(Some(sealed)) => {
                staging.publish()?;
                let resumed_bytes = sealed.manifest.sealed_size();
                return Ok(SealOutcome { resumed_bytes, already_there: false, ..sealed });
            }
            _ => {
                staging.clear()?;
                Session::create(staging, request.recipients, request.sealer, &context, rng)?
            }
        },
    };
    let content = ContentKey::derive(&session.board_key, &session.registry_key, &plain.checkpoint);
    let job = Job::new(request, plain, &content, progress)?;
    let planned = job.encrypt_all()?;
    let resumed_bytes = job.write_all(&planned, &staging.folder())?;
    let manifest = job.manifest(&planned, &session, content.commitment())?;
    let json = manifest.to_json()?;
    let digest = Sha256Digest::compute(json.as_bytes());
    let keys = LockKeys { shares: &session.shares, registry_key: &session.registry_key };
    let shares = SealedShares::seal(&manifest, digest, request.recipients, keys, rng)?;
    let folder = staging.folder();
    write_whole(&folder.join(SHARES), shares.to_json()?.as_bytes())?;
    write_whole(&folder.join(MANIFEST), json.as_bytes())?;
    staging.publish()?;
    Ok(SealOutcome { manifest, digest, resumed_bytes, already_there: false })
}

/// A chunk's digest and tag from the first pass.
struct ChunkPlan {
    entry: ChunkEntry,
    tag: [u8; CHUNK_TAG as usize],
}

/// A sealing in progress.
struct Job<'a> {
    request: &'a SealRequest<'a>,
    plain: &'a Manifest,
    files: Vec<SourceFile<'a>>,
    buffers: Buffers,
    progress: &'a dyn Progress,
}

struct SourceFile<'a> {
    entry: &'a FileEntry,
    path: PathBuf,
    file: File,
    cipher: FileCipher,
}

impl<'a> Job<'a> {
    fn new(
        request: &'a SealRequest<'a>,
        plain: &'a Manifest,
        content: &ContentKey,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let open = |entry: &'a FileEntry| {
            let path = request.source.join(&entry.name);
            let file = File::open(&path).map_err(Error::io("open", &path))?;
            let cipher = FileCipher::new(content, &plain.checkpoint, &entry.name)?;
            Ok(SourceFile { entry, path, file, cipher })
        };
        let files = plain.files.iter().map(open).collect::<Result<_, Error>>()?;
        Ok(Self { request, plain, files, buffers: Buffers::default(), progress })
    }

    /// The first pass: computes the chunks of all files and requires that the files match the manifest.
    fn encrypt_all(&self) -> Result<Vec<Vec<ChunkPlan>>, Error> {
        self.progress.begin("checking and encrypting", Some(self.plain.size()));
        self.files.iter().map(|file| self.encrypt(file)).collect()
    }

    /// One thread reads and hashes the next chunks while the others encrypt and hash the previous ones.
    fn encrypt(&self, file: &SourceFile<'_>) -> Result<Vec<ChunkPlan>, Error> {
        let batch = 2 * rayon::current_num_threads().max(1) as u64;
        let count = self.request.chunk_size.count(file.entry.size);
        let mut hasher = Sha256Hasher::default();
        let mut planned = Vec::new();
        let mut read = self.read_and_hash(file, 0..batch.min(count), &mut hasher)?;
        for first in (0..count).step_by(batch as usize) {
            let next = (first + batch).min(count)..(first + 2 * batch).min(count);
            let (sealed, following) =
                rayon::join(|| self.plan(file, first, read), || self.read_and_hash(file, next, &mut hasher));
            planned.extend(sealed?);
            read = following?;
        }
        let (expected, found) = (file.entry.sha256, hasher.finish());
        if found == expected {
            return Ok(planned);
        }
        let problem = FileProblem::WrongDigest { name: file.entry.name.clone(), expected, found };
        Err(CheckpointError::Altered { folder: self.request.source.to_owned(), problem }.into())
    }

    fn read_and_hash(
        &self,
        file: &SourceFile<'_>,
        indices: std::ops::Range<u64>,
        hasher: &mut Sha256Hasher,
    ) -> Result<Vec<Buffer>, Error> {
        let mut chunks = Vec::new();
        for index in indices {
            let chunk = self.read(file, index)?;
            hasher.update(&chunk);
            self.progress.advance(chunk.len() as u64);
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    fn read(&self, file: &SourceFile<'_>, index: u64) -> Result<Buffer, Error> {
        let size = self.request.chunk_size;
        let chunk = self.buffers.take(size.length(file.entry.size, index) as usize);
        let mut chunk = chunk.map_err(Error::io("allocate memory for", &file.path))?;
        let position = index * size.bytes();
        file.file.read_exact_at(&mut chunk, position).map_err(Error::io("read", &file.path))?;
        Ok(chunk)
    }

    fn plan(&self, file: &SourceFile<'_>, first: u64, chunks: Vec<Buffer>) -> Result<Vec<ChunkPlan>, Error> {
        let sealed = chunks.into_par_iter().enumerate().map(|(i, mut chunk)| {
            self.seal(file, first + i as u64, &mut chunk)?;
            let entry = ChunkEntry { sha256: Sha256Digest::compute(&chunk), size: chunk.len() as u64 };
            let tag = tag(&chunk)?;
            self.buffers.give(chunk);
            Ok(ChunkPlan { entry, tag })
        });
        sealed.collect()
    }

    fn seal(&self, file: &SourceFile<'_>, index: u64, chunk: &mut Buffer) -> Result<(), Error> {
        let is_last = index + 1 == self.request.chunk_size.count(file.entry.size);
        file.cipher.seal(Place { index, is_last }, chunk)
    }

    /// The second pass. Returns how many bytes were already written.
    fn write_all(&self, planned: &[Vec<ChunkPlan>], folder: &Path) -> Result<u64, Error> {
        let chunks = folder.join(CHUNKS);
        fs::create_dir_all(&chunks).map_err(Error::io("create", &chunks))?;
        self.progress.begin("writing", Some(self.plain.size()));
        let target = ChunkFolder::new(folder);
        let files = self.files.iter().zip(planned);
        let all = files.flat_map(|(file, planned)| planned.iter().enumerate().map(move |p| (file, p)));
        let kept = all.collect::<Vec<_>>().into_par_iter().map(|(file, (index, planned))| {
            let mut chunk = self.read(file, index as u64)?;
            self.progress.advance(chunk.len() as u64);
            self.seal(file, index as u64, &mut chunk)?;
            // The same tag under a secret key proves the same plaintext as was verified.
            if tag(&chunk)? != planned.tag {
                return Err(Error::SourceChanged { path: file.entry.name.clone() });
            }
            let kept = write_whole(&target.path(planned.entry.sha256), &chunk)?;
            self.buffers.give(chunk);
            Ok(if kept { planned.entry.size } else { 0 })
        });
        let kept = kept.try_reduce(|| 0, |a, b| Ok(a + b))?;
        sync_folder(&chunks)?;
        Ok(kept)
    }

    fn manifest(
        &self,
        planned: &[Vec<ChunkPlan>],
        session: &Session,
        key_commitment: Sha256Digest,
    ) -> Result<SealedManifest, Error> {
        let recipients = self.request.recipients;
        let members = recipients.board().iter().zip(&session.shares).map(|(member, share)| Member {
            key_id: member.key_id,
            index: share.index(),
            commitment: share.commitment(&self.plain.checkpoint),
        });
        let board = Board { threshold: recipients.threshold(), members: members.collect() };
        let chunks = |planned: &Vec<ChunkPlan>| planned.iter().map(|planned| planned.entry).collect();
        let files = self.files.iter().zip(planned);
        let files = files.map(|(file, planned)| (file.entry.name.clone(), chunks(planned))).collect();
        let (chunk_size, registry) = (self.request.chunk_size, recipients.registry().key_id);
        let seal = Seal { chunk_size, key_commitment, board, registry, files };
        Ok(SealedManifest::new(self.plain.clone(), seal)?)
    }
}

/// Returns the tag at the end of a sealed chunk.
fn tag(chunk: &[u8]) -> Result<[u8; CHUNK_TAG as usize], Error> {
    chunk.last_chunk().copied().ok_or(Error::Cipher)
}
