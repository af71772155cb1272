//! The published files for the manifest, each compared with the public record.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::super::config::ModelConfig;
use super::super::known::{KnownCheckpoint, Publication};
use super::super::manifest::FileEntry;
use super::super::{Error, hashing};

/// Files up to this size are hashed before anything is written, so that a wrong one is found early.
const SMALL: u64 = 16 << 20;

/// The public record to compare the published files with.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) publication: Publication,
    /// The known checkpoint whose digests must match; `None` for another build or an unknown checkpoint.
    pub(super) known: Option<&'static KnownCheckpoint>,
}

impl Record {
    /// Hashes the small files and compares them with the record; also returns the remaining files.
    pub(super) fn check_small(self, files: &[PathBuf]) -> Result<(Vec<FileEntry>, Vec<PathBuf>), Error> {
        let mut large = Vec::new();
        let mut entries = Vec::new();
        for path in files {
            let size = path.metadata().map_err(Error::io("open", path))?.len();
            if size > SMALL {
                large.push(path.clone());
            } else {
                entries.push(self.check(path)?);
            }
        }
        Ok((entries, large))
    }

    /// Hashes files and compares them with the record.
    pub(super) fn check_all(self, files: &[PathBuf]) -> Result<Vec<FileEntry>, Error> {
        files.iter().map(|path| self.check(path)).collect()
    }

    fn check(self, path: &Path) -> Result<FileEntry, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let (size, sha256) = hashing::hash_file(&file, |_| ()).map_err(Error::io("read", path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let on_record = self.known.and_then(|known| Some((known, known.file(self.publication, &name)?)));
        match on_record {
            Some((known, record)) if record.sha256 != sha256.to_string() => Err(Error::Unofficial {
                path: path.to_owned(),
                checkpoint: known.id,
                expected: record.sha256,
                found: sha256,
            }),
            _ => Ok(FileEntry { name, size, sha256 }),
        }
    }
}

/// Requires that a model with a known checkpoint's id has its shape.
pub(super) fn require_shape(known: &KnownCheckpoint, found: &ModelConfig) -> Result<(), Error> {
    let expected = known.config();
    for (field, expected, found) in [
        ("n_layer", expected.layers, found.layers),
        ("n_embd", expected.width, found.width),
        ("n_head", expected.heads, found.heads),
        ("n_positions", expected.context, found.context),
        ("vocab_size", expected.vocabulary, found.vocabulary),
    ] {
        if expected != found {
            return Err(Error::NotThatCheckpoint { checkpoint: known.id, field, expected, found });
        }
    }
    Ok(())
}
