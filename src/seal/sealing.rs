//! Sealing a checkpoint: two passes over its files.
//!
//! The first pass hashes each plaintext file and, at the same time, encrypts its chunks in memory, for their digests and tags; it
//! writes nothing. Only when every file is what its manifest says does the second pass encrypt again and write. A chunk is
//! written only if its tag is the first pass's, so what is sealed is what was verified (P6), whoever changes the files meanwhile.
//!
//! Nonces never repeat: each file has a key of its own, made from a session's random keys, and its chunks are numbered. The one
//! danger is a resumed session whose files changed, for then two plaintexts would meet under one key and nonce. It is met three
//! times: a session is bound to the manifest of the files; no ciphertext leaves memory before the files were compared with that
//! manifest; and where they differ, the session is destroyed with all that was written under it.
//!
//! Memory: four chunks a core, at most. The order of writes is at the head of `staging.rs`.

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

/// What is to be sealed, and how.
#[derive(Debug)]
pub struct SealRequest<'a> {
    /// An imported checkpoint's folder.
    pub source: &'a Path,
    /// The folder to make.
    pub destination: &'a Path,
    /// Who will hold the locks.
    pub recipients: &'a Recipients,
    /// Bytes of plaintext in a chunk.
    pub chunk_size: ChunkSize,
    /// The key of whoever seals: a sealing that is cut off goes on with it, and with no other.
    pub sealer: &'a OpeningKey,
}

/// What a sealing did.
#[derive(Debug)]
pub struct Sealed {
    /// What is in the folder.
    pub manifest: SealedManifest,
    /// The digest of the manifest's bytes, which grants cite.
    pub digest: Sha256Digest,
    /// Bytes of ciphertext that an interrupted run had written already.
    pub resumed_bytes: u64,
    /// Whether the folder was there before, sealed from the same files to the same holders.
    pub already_there: bool,
}

/// Seals a checkpoint. The destination appears whole or not at all; a second run goes on where one was cut off.
///
/// # Errors
/// Every variant of [`Error`] that is not about opening; the source is never changed.
pub fn seal_checkpoint(
    request: &SealRequest<'_>,
    rng: &mut dyn CryptoRng,
    progress: &dyn Progress,
) -> Result<Sealed, Error> {
    let source = Checkpoint::open(request.source)?;
    let staging = Staging::open(request.destination)?;
    let sealed = if request.destination.exists() {
        existing(request.destination, source.manifest(), request, progress)?
            .ok_or_else(|| Error::DestinationExists { destination: request.destination.to_owned() })
    } else {
        build(request, source.manifest(), &staging, (rng, progress))
    };
    match &sealed {
        // What the operating system refused may go well next time: what is there is kept for then.
        Err(error) if error.is_passing() => {}
        _ => staging.discard()?,
    }
    sealed
}

/// What lies in `folder`, if it is this checkpoint sealed whole to these holders.
fn existing(
    folder: &Path,
    plain: &Manifest,
    request: &SealRequest<'_>,
    progress: &dyn Progress,
) -> Result<Option<Sealed>, Error> {
    let Ok(bytes) = SealedCheckpoint::manifest_bytes(folder) else {
        return Ok(None);
    };
    let Ok(sealed) = SealedCheckpoint::open(folder, &bytes, Sha256Digest::of(&bytes)) else {
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
    Ok(Some(Sealed { manifest, digest, resumed_bytes: 0, already_there: true }))
}

fn build(
    request: &SealRequest<'_>,
    plain: &Manifest,
    staging: &Staging,
    (rng, progress): (&mut dyn CryptoRng, &dyn Progress),
) -> Result<Sealed, Error> {
    let context = session::context(plain, request.chunk_size, request.recipients)?;
    let sealer = (request.sealer, context.as_slice());
    let session = match Session::resume(staging, request.recipients, sealer)? {
        Some(session) => session,
        // The session goes last: cut off between its removal and the rename, the folder is whole and only has to appear.
        None => match existing(&staging.folder(), plain, request, progress) {
            Ok(Some(sealed)) => {
                staging.publish()?;
                let resumed_bytes = sealed.manifest.sealed_size();
                return Ok(Sealed { resumed_bytes, already_there: false, ..sealed });
            }
            _ => {
                staging.clear()?;
                Session::create(staging, request.recipients, sealer, rng)?
            }
        },
    };
    let content = ContentKey::derive(&session.board_key, &session.registry_key, &plain.checkpoint);
    let job = Job::new(request, plain, &content, progress)?;
    let planned = job.encrypt_all()?;
    let resumed_bytes = job.write_all(&planned, &staging.folder())?;
    let manifest = job.manifest(&planned, &session, content.commitment())?;
    let json = manifest.to_json()?;
    let digest = Sha256Digest::of(json.as_bytes());
    let keys = (session.shares.as_slice(), &session.registry_key);
    let shares = SealedShares::seal((&manifest, digest), request.recipients, keys, rng)?;
    let folder = staging.folder();
    write_whole(&folder.join(SHARES), shares.to_json()?.as_bytes())?;
    write_whole(&folder.join(MANIFEST), json.as_bytes())?;
    staging.publish()?;
    Ok(Sealed { manifest, digest, resumed_bytes, already_there: false })
}

/// A chunk as the first pass found it.
struct Planned {
    entry: ChunkEntry,
    tag: [u8; CHUNK_TAG as usize],
}

/// A sealing under way.
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

    /// The first pass: every file's chunks as they will be, if every file is what its manifest says.
    fn encrypt_all(&self) -> Result<Vec<Vec<Planned>>, Error> {
        self.progress.begin("checking and encrypting", Some(self.plain.size()));
        self.files.iter().map(|file| self.encrypt(file)).collect()
    }

    /// One thread reads and hashes the next chunks while the others encrypt and hash those before them.
    fn encrypt(&self, file: &SourceFile<'_>) -> Result<Vec<Planned>, Error> {
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
        let mut chunk = chunk.map_err(Error::io("find memory for", &file.path))?;
        let position = index * size.bytes();
        file.file.read_exact_at(&mut chunk, position).map_err(Error::io("read", &file.path))?;
        Ok(chunk)
    }

    fn plan(&self, file: &SourceFile<'_>, first: u64, chunks: Vec<Buffer>) -> Result<Vec<Planned>, Error> {
        let sealed = chunks.into_par_iter().enumerate().map(|(i, mut chunk)| {
            self.seal(file, first + i as u64, &mut chunk)?;
            let entry = ChunkEntry { sha256: Sha256Digest::of(&chunk), size: chunk.len() as u64 };
            let tag = tag(&chunk)?;
            self.buffers.give(chunk);
            Ok(Planned { entry, tag })
        });
        sealed.collect()
    }

    fn seal(&self, file: &SourceFile<'_>, index: u64, chunk: &mut Buffer) -> Result<(), Error> {
        let is_last = index + 1 == self.request.chunk_size.count(file.entry.size);
        file.cipher.seal(Place { index, is_last }, chunk)
    }

    /// The second pass. Returns how many bytes were there already.
    fn write_all(&self, planned: &[Vec<Planned>], folder: &Path) -> Result<u64, Error> {
        let chunks = folder.join(CHUNKS);
        fs::create_dir_all(&chunks).map_err(Error::io("create", &chunks))?;
        self.progress.begin("writing", Some(self.plain.size()));
        let target = ChunkFolder::of(folder);
        let files = self.files.iter().zip(planned);
        let all = files.flat_map(|(file, planned)| planned.iter().enumerate().map(move |p| (file, p)));
        let kept = all.collect::<Vec<_>>().into_par_iter().map(|(file, (index, planned))| {
            let mut chunk = self.read(file, index as u64)?;
            self.progress.advance(chunk.len() as u64);
            self.seal(file, index as u64, &mut chunk)?;
            // The same tag under a key that nobody else knows: the same plaintext as was verified.
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
        planned: &[Vec<Planned>],
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
        let chunks = |planned: &Vec<Planned>| planned.iter().map(|planned| planned.entry).collect();
        let files = self.files.iter().zip(planned);
        let files = files.map(|(file, planned)| (file.entry.name.clone(), chunks(planned))).collect();
        let (chunk_size, registry) = (self.request.chunk_size, recipients.registry().key_id);
        let seal = Seal { chunk_size, key_commitment, board, registry, files };
        Ok(SealedManifest::new(self.plain.clone(), seal)?)
    }
}

/// The tag at the end of a sealed chunk.
fn tag(chunk: &[u8]) -> Result<[u8; CHUNK_TAG as usize], Error> {
    chunk.last_chunk().copied().ok_or(Error::Cipher)
}
