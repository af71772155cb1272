//! Writing an opened checkpoint to a folder: the normal form as it was imported, with the same digests.
//!
//! For people who may have the plain files: a board that moves its release, or a public stage. No command does it without a grant. The
//! folder appears completely or not at all, by the order of writes in `staging.rs`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rayon::prelude::*;

use super::Error;
use super::buffer::Buffer;
use super::opened::OpenedCheckpoint;
use super::staging::{Staging, has_bytes_at, open_for_writing, write_whole};
use crate::checkpoint::manifest::{FileEntry, MANIFEST};
use crate::checkpoint::{self, Checkpoint};
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::progress::Progress;

impl OpenedCheckpoint {
    /// Writes the plain checkpoint to a new folder. A second run resumes an interrupted one.
    ///
    /// # Errors
    /// [`Error::DestinationExists`], [`Error::PlainDigest`], [`Error::Io`], and those of the chunks.
    pub fn unseal_to(&self, destination: &Path, progress: &dyn Progress) -> Result<Checkpoint, Error> {
        let staging = Staging::open(destination)?;
        let done = if destination.exists() {
            self.existing(destination, progress)
        } else {
            self.write_to(&staging, progress).and_then(|()| Ok(Checkpoint::open(destination)?))
        };
        match &done {
            Err(error) if error.is_passing() => {}
            _ => staging.discard()?,
        }
        done
    }

    /// Accepts an existing folder with the same contents.
    fn existing(&self, destination: &Path, progress: &dyn Progress) -> Result<Checkpoint, Error> {
        let exists = || Error::DestinationExists { destination: destination.to_owned() };
        let checkpoint = Checkpoint::open(destination).map_err(|_| exists())?;
        if checkpoint.manifest() != self.manifest() {
            return Err(exists());
        }
        progress.begin("checking", Some(self.manifest().size()));
        checkpoint.check_files(progress)?;
        Ok(checkpoint)
    }

    fn write_to(&self, staging: &Staging, progress: &dyn Progress) -> Result<(), Error> {
        let folder = staging.folder();
        progress.begin("opening", Some(self.manifest().size()));
        for (at, file) in self.manifest().files.iter().enumerate() {
            self.write_file(at, file, &folder, progress)?;
        }
        let json = self.manifest().to_json().map_err(|source| checkpoint::Error::Encode { source })?;
        write_whole(&folder.join(MANIFEST), json.as_bytes())?;
        staging.publish()
    }

    /// All threads decrypt and write chunks while one hashes the previous chunks, in order.
    fn write_file(
        &self,
        at: usize,
        entry: &FileEntry,
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let path = folder.join(&entry.name);
        let file = open_for_writing(&path)?;
        let batch = 2 * rayon::current_num_threads().max(1) as u64;
        let count = self.reader.manifest().seal.chunk_size.count(entry.size);
        let mut hasher = Sha256Hasher::default();
        let mut opened = Vec::new();
        for first in (0..count).step_by(batch as usize) {
            let indices = first..(first + batch).min(count);
            let before = std::mem::take(&mut opened);
            let (now, ()) = rayon::join(
                || self.write_chunks(at, indices, &file, &path),
                || self.hash(before, &mut hasher, progress),
            );
            opened = now?;
        }
        self.hash(opened, &mut hasher, progress);
        let (expected, found): (Sha256Digest, _) = (entry.sha256, hasher.finish());
        if found != expected {
            return Err(Error::PlainDigest { path: entry.name.clone(), expected, found });
        }
        file.set_len(entry.size).and_then(|()| file.sync_all()).map_err(Error::io("write", &path))
    }

    fn write_chunks(
        &self,
        at: usize,
        indices: std::ops::Range<u64>,
        file: &File,
        path: &Path,
    ) -> Result<Vec<Buffer>, Error> {
        let chunk_size = self.reader.manifest().seal.chunk_size.bytes();
        let opened = indices.into_par_iter().filter_map(|index| {
            let plain = self.reader.open(at, index)?;
            Some(plain.and_then(|plain| {
                let position = index * chunk_size;
                let write = || {
                    if has_bytes_at(file, &plain, position)? {
                        Ok(())
                    } else {
                        file.write_all_at(&plain, position)
                    }
                };
                write().map_err(Error::io("write", path))?;
                Ok(plain)
            }))
        });
        opened.collect()
    }

    fn hash(&self, chunks: Vec<Buffer>, hasher: &mut Sha256Hasher, progress: &dyn Progress) {
        for chunk in chunks {
            hasher.update(&chunk);
            progress.advance(chunk.len() as u64);
            self.reader.return_buffer(chunk);
        }
    }
}
