//! Chunks from a folder, such as a memory stick's.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use rayon::prelude::*;

use super::{Error, PIECE, Session, refused};
use crate::digest::Sha256Hasher;
use crate::seal::ChunkEntry;

/// Copies the missing chunks, each checked on the way.
pub(super) fn copy(from: &Path, session: &Session<'_>, missing: &[ChunkEntry]) -> Result<(), Error> {
    missing.par_iter().try_for_each(|chunk| {
        let source = from.join(chunk.sha256.to_string());
        let partial = session.partial(chunk);
        let is_right = copy_chunk(&source, &partial, chunk, session).map_err(refused("copy", &source))?;
        if !is_right {
            fs::remove_file(&partial).map_err(refused("remove", &partial))?;
            return Err(Error::WrongChunk { path: source });
        }
        fs::rename(&partial, session.path(chunk)).map_err(refused("rename", &partial))
    })
}

/// Copies one; whether it is what its name says.
fn copy_chunk(source: &Path, partial: &Path, chunk: &ChunkEntry, session: &Session<'_>) -> io::Result<bool> {
    let mut source = File::open(source)?.take(chunk.size + 1);
    let mut to = File::create(partial)?;
    let (mut hasher, mut size, mut piece) = (Sha256Hasher::default(), 0, vec![0; PIECE]);
    loop {
        let count = source.read(&mut piece)?;
        if count == 0 {
            return Ok((size, hasher.finish()) == (chunk.size, chunk.sha256));
        }
        hasher.update(&piece[..count]);
        to.write_all(&piece[..count])?;
        size += count as u64;
        session.progress.advance(count as u64);
    }
}
