//! Pulling a sealed checkpoint into the vault: chunks by content address, each checked before it is stored as complete (P6).
//!
//! A chunk is written beside its name while its digest is worked out, and renamed once it is right, so whatever has its name is whole;
//! the manifest is written last. A kill costs the chunks in flight, and the next pull takes only what is missing.
//!
//! **Durability.** A chunk is not synced by itself: that would make every pull wait for the disk, and protect from nothing but a
//! power cut. A list names the boot in which a chunk was checked; after another boot every chunk is hashed again, which finds what a
//! power cut took ([`CheckedChunks`]).

mod folder;
mod http;
mod mirrors;
mod pace;
mod workers;

pub use http::Pace;
pub use mirrors::{Mirror, SetAside};
pub use workers::Parallel;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Error, Vault};
use crate::access::RulesInForce;
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::progress::Progress;
use crate::seal::{self, CheckedChunks, ChunkEntry, SealedManifest};

/// The beginning of the name of a chunk that is not whole yet.
const PARTIAL: &str = ".part-";
/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Where chunks come from.
#[derive(Debug, Clone)]
pub enum ChunkSource {
    /// A sealed checkpoint's folder.
    Folder(PathBuf),
    /// Servers, tried in this order.
    Mirrors(Vec<Mirror>),
}

/// How to pull.
#[derive(Debug, Clone, Copy, Default)]
pub struct PullOptions {
    /// How many chunks may be in flight.
    pub parallel: Parallel,
    /// How patient to be with silence and failures.
    pub pace: Pace,
}

/// What a pull did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pulled {
    /// Chunks of the checkpoint.
    pub chunks: usize,
    /// Of them, those that were there already.
    pub already_there: usize,
    /// Of them, those that another version of the checkpoint had.
    pub shared: usize,
    /// Bytes of ciphertext in all.
    pub bytes: u64,
    /// Bytes that came over the wire or were copied.
    pub fetched_bytes: u64,
    /// Mirrors that were set aside, and why.
    pub set_aside: Vec<SetAside>,
}

/// A pull under way: the folder is held against a second one until this is dropped, or the process ends however it may.
struct Session<'a> {
    folder: PathBuf,
    chunks: PathBuf,
    progress: &'a dyn Progress,
    _lock: File,
}

/// Brings the sealed checkpoint that the rules name into the vault.
///
/// # Errors
/// [`Error::Seal`] where the manifest is another than the catalogue's, [`Error::PullUnderWay`], [`Error::NoSpace`],
/// [`Error::WrongChunk`], [`Error::NoMirror`], [`Error::Io`].
pub fn pull(
    manifest: &[u8],
    source: &ChunkSource,
    (vault, rules): (&Vault, &RulesInForce),
    options: &PullOptions,
    progress: &dyn Progress,
) -> Result<Pulled, Error> {
    let found = Sha256Digest::of(manifest);
    if found != rules.manifest {
        return Err(seal::Error::ManifestDigest { expected: rules.manifest, found }.into());
    }
    let sealed = SealedManifest::parse(manifest).map_err(seal::Error::from)?;
    let session = Session::begin(vault.sealed(&rules.checkpoint, rules.manifest), progress)?;
    let mut entries: Vec<ChunkEntry> = sealed.chunks().cloned().collect();
    entries.sort_by_key(|chunk| chunk.sha256);
    entries.dedup_by_key(|chunk| chunk.sha256);
    let bytes = entries.iter().map(|chunk| chunk.size).sum();
    let checked = CheckedChunks::read(&session.folder);
    let (there, missing) = session.there(entries, &checked, bytes)?;
    let (shared, missing) = session.share(missing)?;
    session.require_space(&missing)?;
    let fetched_bytes = missing.iter().map(|chunk| chunk.size).sum();
    progress.advance(bytes - fetched_bytes);
    let set_aside = match source {
        ChunkSource::Folder(folder) => {
            folder::copy(&folder.join(seal::CHUNKS), &session, &missing)?;
            Vec::new()
        }
        ChunkSource::Mirrors(mirrors) => workers::fetch(mirrors, &session, &missing, options)?,
    };
    let chunks = there.len() + shared.len() + missing.len();
    let checked = CheckedChunks::of(&session.chunks, there.iter().chain(&shared).chain(&missing));
    write_whole(&session.folder.join(CheckedChunks::NAME), &checked.to_json())?;
    write_whole(&session.folder.join(seal::MANIFEST), manifest)?;
    Ok(Pulled { chunks, already_there: there.len(), shared: shared.len(), bytes, fetched_bytes, set_aside })
}

impl<'a> Session<'a> {
    fn begin(folder: PathBuf, progress: &'a dyn Progress) -> Result<Self, Error> {
        let chunks = folder.join(seal::CHUNKS);
        fs::create_dir_all(&chunks).map_err(refused("create", &chunks))?;
        let path = folder.join(".pull.lock");
        let lock = File::create(&path).map_err(refused("create", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::PullUnderWay { path: folder }),
            Err(TryLockError::Error(error)) => return Err(refused("lock", &path)(error)),
        }
        // Nobody else is here, so what is unfinished is of a pull that was killed.
        for entry in fs::read_dir(&chunks).map_err(refused("read", &chunks))? {
            let path = entry.map_err(refused("read", &chunks))?.path();
            if name(&path).starts_with(PARTIAL) {
                fs::remove_file(&path).map_err(refused("remove", &path))?;
            }
        }
        Ok(Self { folder, chunks, progress, _lock: lock })
    }

    fn path(&self, chunk: &ChunkEntry) -> PathBuf {
        self.chunks.join(chunk.sha256.to_string())
    }

    fn partial(&self, chunk: &ChunkEntry) -> PathBuf {
        self.chunks.join(format!("{PARTIAL}{}", chunk.sha256))
    }

    /// Those that are there, whole, and those that are not. What the list vouches for is not hashed again.
    fn there(
        &self,
        entries: Vec<ChunkEntry>,
        checked: &CheckedChunks,
        bytes: u64,
    ) -> Result<(Vec<ChunkEntry>, Vec<ChunkEntry>), Error> {
        let vouched = |chunk: &ChunkEntry| {
            fs::metadata(self.path(chunk)).is_ok_and(|meta| checked.is_unchanged(chunk, &meta))
        };
        let unsure: u64 = entries
            .iter()
            .filter(|chunk| !vouched(chunk) && self.path(chunk).exists())
            .map(|chunk| chunk.size)
            .sum();
        if unsure > 0 {
            self.progress.begin("checking", Some(unsure));
        }
        let there: Vec<bool> = entries
            .par_iter()
            .map(|chunk| vouched(chunk) || is_right(&self.path(chunk), chunk, self.progress))
            .collect();
        self.progress.begin("pulling", Some(bytes));
        let (there, missing): (Vec<_>, Vec<_>) =
            entries.into_iter().zip(there).partition(|(_, there)| *there);
        let chunks = |pairs: Vec<(ChunkEntry, bool)>| pairs.into_iter().map(|(chunk, _)| chunk).collect();
        Ok((chunks(there), chunks(missing)))
    }

    /// Takes from other versions of the checkpoint what they have.
    fn share(&self, missing: Vec<ChunkEntry>) -> Result<(Vec<ChunkEntry>, Vec<ChunkEntry>), Error> {
        let others: Vec<PathBuf> = self
            .folder
            .parent()
            .and_then(|parent| fs::read_dir(parent).ok())
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| *path != self.folder)
            .map(|path| path.join(seal::CHUNKS))
            .collect();
        Ok(missing.into_iter().partition(|chunk| {
            others.iter().map(|other| other.join(chunk.sha256.to_string())).any(|path| {
                is_right(&path, chunk, &crate::progress::Silent)
                    && is_gone(fs::remove_file(self.path(chunk)))
                    && fs::hard_link(&path, self.path(chunk)).is_ok()
            })
        }))
    }

    /// Refuses to begin what cannot end.
    fn require_space(&self, missing: &[ChunkEntry]) -> Result<(), Error> {
        let needed: u64 = missing.iter().map(|chunk| chunk.size).sum();
        #[cfg(unix)]
        if let Ok(disk) = rustix::fs::statvfs(&self.folder) {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            if needed > free {
                return Err(Error::NoSpace { path: self.folder.clone(), needed, free });
            }
        }
        Ok(())
    }
}

/// Whether nothing is there any more.
fn is_gone(removed: io::Result<()>) -> bool {
    removed.is_ok() || removed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Whether a file is the chunk; reads no more than it may have.
fn is_right(path: &Path, chunk: &ChunkEntry, progress: &dyn Progress) -> bool {
    let hash = || -> io::Result<(u64, Sha256Digest)> {
        let mut file = File::open(path)?.take(chunk.size + 1);
        let (mut hasher, mut size, mut piece) = (Sha256Hasher::default(), 0, vec![0; PIECE]);
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                return Ok((size, hasher.finish()));
            }
            hasher.update(&piece[..count]);
            size += count as u64;
            progress.advance(count as u64);
        }
    };
    // One that has another size need not be read.
    fs::metadata(path).is_ok_and(|meta| meta.len() == chunk.size)
        && hash().is_ok_and(|found| found == (chunk.size, chunk.sha256))
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Writes a small file whole or not at all, and syncs it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(parent)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(parent)?.sync_all()
    };
    write().map_err(refused("write", path))
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
