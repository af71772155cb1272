//! Handing a sealed checkpoint in to a registry over HTTP: chunks first, those that it has left out, then manifest and shares.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde::Serialize;

use super::remote::RemoteRegistry;
use super::{Error, sealed};
use crate::api::SealParcel;
use crate::digest::Sha256Digest;
use crate::progress::Progress;
use crate::seal::{self, ChunkEntry, Locks, SealedCheckpoint};

/// Chunks in flight.
const PARALLEL: usize = 4;

/// What handing in did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Uploaded {
    /// Chunks of the checkpoint.
    pub chunks: usize,
    /// Of them, those that the registry had already.
    pub already_there: usize,
}

/// Hands in the sealed checkpoint of a folder.
///
/// # Errors
/// [`Error::Seal`], [`Error::WrongChunk`], [`Error::Remote`], [`Error::Io`].
pub fn upload(
    folder: &Path,
    manifest: Sha256Digest,
    registry: &RemoteRegistry,
    progress: &dyn Progress,
) -> Result<Uploaded, Error> {
    let checkpoint = sealed(folder, manifest)?;
    let chunks: Vec<ChunkEntry> = checkpoint.manifest().chunks().cloned().collect();
    progress.begin("handing in", Some(chunks.iter().map(|chunk| chunk.size).sum()));
    let queue = Mutex::new(chunks.iter());
    let hand_in = || -> Result<usize, Error> {
        let mut known = 0;
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(chunk) = next else { return Ok(known) };
            if registry.has_chunk(chunk.sha256)? {
                known += 1;
            } else {
                registry.put_chunk(chunk.sha256, read(folder, chunk)?)?;
            }
            progress.advance(chunk.size);
        }
    };
    let already_there = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(hand_in)).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, _>| match handle.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        handles.into_iter().map(join).collect::<Vec<_>>().into_iter().sum::<Result<usize, Error>>()
    })?;
    let id = &checkpoint.manifest().plain.checkpoint;
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .map_err(|_| Error::NotText { checkpoint: id.clone(), what: "sealed manifest" })
    };
    let parcel = SealParcel {
        manifest: text(SealedCheckpoint::manifest_bytes(folder)?)?,
        shares: text(shares(folder)?)?,
    };
    registry.put_seal(id, &parcel)?;
    Ok(Uploaded { chunks: chunks.len(), already_there })
}

fn shares(folder: &Path) -> Result<Vec<u8>, Error> {
    bounded(&folder.join(seal::SHARES), Locks::MAX_SHARES_BYTES)
}

fn read(folder: &Path, chunk: &ChunkEntry) -> Result<Vec<u8>, Error> {
    let path = folder.join(seal::CHUNKS).join(chunk.sha256.to_string());
    let bytes = bounded(&path, chunk.size)?;
    if Sha256Digest::compute(&bytes) == chunk.sha256 { Ok(bytes) } else { Err(Error::WrongChunk { path }) }
}

fn bounded(path: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    Ok(bytes)
}
