//! Pulling a sealed checkpoint into the vault: chunks by content address, each checked before it is stored as complete (P6).
//!
//! A chunk is written beside its name, synced and renamed, so whatever has its name is whole; the manifest is written last. A
//! kill costs the chunk in flight, and the next pull takes only what is missing.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use rayon::prelude::*;

use super::{Error, Vault, sealed};
use crate::access::RulesInForce;
use crate::digest::Sha256Digest;
use crate::progress::Progress;
use crate::seal::{self, ChunkEntry, SealedCheckpoint};

/// What a pull did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Pulled {
    /// Chunks of the checkpoint.
    pub chunks: usize,
    /// Of them, those that were there already.
    pub already_there: usize,
    /// Bytes of ciphertext in all.
    pub bytes: u64,
}

/// Copies the sealed checkpoint in `from` that the rules name into the vault.
///
/// # Errors
/// [`Error::Seal`] where the manifest is another than the catalogue's, [`Error::WrongChunk`], [`Error::Io`].
pub fn pull(
    from: &Path,
    vault: &Vault,
    rules: &RulesInForce,
    progress: &dyn Progress,
) -> Result<Pulled, Error> {
    let sealed = sealed(from, rules.manifest)?;
    let to = vault.sealed(&rules.checkpoint, rules.manifest);
    let folder = to.join(seal::CHUNKS);
    fs::create_dir_all(&folder).map_err(refused("create", &folder))?;
    let chunks: Vec<&ChunkEntry> = sealed.manifest().chunks().collect();
    let bytes = chunks.iter().map(|chunk| chunk.size).sum();
    progress.begin("pulling", Some(bytes));
    let there = chunks.par_iter().map(|chunk| {
        let name = chunk.sha256.to_string();
        let there = take(&from.join(seal::CHUNKS).join(&name), &folder.join(&name), chunk)?;
        progress.advance(chunk.size);
        Ok(there)
    });
    let there: Vec<bool> = there.collect::<Result<_, Error>>()?;
    sync(&folder)?;
    let text = SealedCheckpoint::manifest_bytes(from)?;
    SealedCheckpoint::open(from, &text, rules.manifest)?;
    write_whole(&to.join(seal::MANIFEST), &text).map_err(refused("write", &to))?;
    sync(&to)?;
    let already_there = there.iter().filter(|there| **there).count();
    Ok(Pulled { chunks: chunks.len(), already_there, bytes })
}

/// Brings one chunk over; returns whether it was there, whole, already.
fn take(from: &Path, to: &Path, chunk: &ChunkEntry) -> Result<bool, Error> {
    if read(to, chunk).is_ok_and(|bytes| Sha256Digest::of(&bytes) == chunk.sha256) {
        return Ok(true);
    }
    let bytes = read(from, chunk).map_err(refused("read", from))?;
    if Sha256Digest::of(&bytes) != chunk.sha256 {
        return Err(Error::WrongChunk { path: from.to_owned() });
    }
    write_whole(to, &bytes).map_err(refused("write", to))?;
    Ok(false)
}

/// A chunk's bytes, never more than the manifest says it has.
fn read(path: &Path, chunk: &ChunkEntry) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(chunk.size).unwrap_or(0));
    File::open(path)?.take(chunk.size + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(parent)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(refused("sync", folder))
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
