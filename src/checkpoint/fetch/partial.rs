//! An unfinished file: `<name>.part`, its journal, and the final rename to `<name>`.
//!
//! The order is safe against a kill at any time: a piece's bytes, then its journal line; after the last piece the file is read back,
//! hashed and synced, the receipt is written, and then the file is renamed. So a file with its final name is complete. Functions here
//! block.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::FetchError;
use super::journal::{Identity, Journal, Pieces, Receipt};
use crate::digest::{Crc32c, Sha256Digest, Sha256Hasher};

/// The paths of a file's parts.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    folder: PathBuf,
    /// The finished file.
    pub(super) whole: PathBuf,
    part: PathBuf,
    journal: PathBuf,
    receipt: PathBuf,
}

impl Paths {
    /// `name` must be a plain file name.
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            whole: folder.join(name),
            part: folder.join(format!("{name}.part")),
            journal: folder.join(format!("{name}.part.jsonl")),
            receipt: folder.join(format!(".{name}.receipt")),
        }
    }

    /// Removes the parts of an unfinished file.
    pub(super) fn discard(&self) -> Result<(), FetchError> {
        for path in [&self.journal, &self.part] {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(FetchError::io("remove", path)(e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the digest of the finished file, if it exists and its bytes are those of `identity`.
    pub(super) fn finished(&self, identity: &Identity) -> Result<Option<Sha256Digest>, FetchError> {
        let fits = fs::metadata(&self.whole).is_ok_and(|m| m.is_file() && m.len() == identity.size);
        let known = identity.digest.or_else(|| {
            let receipt = Receipt::read(&self.receipt)?;
            receipt.file.is_same_content(identity).then_some(receipt.sha256)
        });
        let Some(known) = known.filter(|_| fits) else {
            return Ok(None);
        };
        let mut actual = Sha256Hasher::default();
        let (size, none) = (identity.size, Pieces::new());
        read_back(&self.whole, size, size.max(1), &none, |bytes| {
            actual.update(bytes);
        })?;
        if actual.finish() != known {
            return Ok(None);
        }
        // A kill between the rename and the removal may have left these.
        self.discard()?;
        Ok(Some(known))
    }
}

/// The result of finishing a file.
pub(super) enum FinishOutcome {
    /// The file is complete and has its final name.
    Whole(Sha256Digest),
    /// This many pieces on disk are damaged and must be fetched again.
    Torn(u64),
    /// The complete file has the wrong digest and was removed.
    Wrong(Sha256Digest),
}

/// A file of which some pieces are on disk.
pub(super) struct Partial {
    paths: Paths,
    identity: Identity,
    piece_bytes: u64,
    state: Mutex<State>,
}

struct State {
    journal: Journal,
    pieces: Pieces,
}

impl Partial {
    /// Opens the parts of an earlier run and keeps the pieces that still have their checksums.
    ///
    /// Also returns whether pieces of another version of the file were dropped.
    pub(super) fn open(
        paths: Paths,
        identity: Identity,
        piece_bytes: u64,
    ) -> Result<(Self, bool), FetchError> {
        let claimed = Journal::read(&paths.journal, &identity, piece_bytes)?;
        let there = fs::metadata(&paths.part).is_ok_and(|m| m.is_file());
        let dropped = claimed.is_none() && there;
        let mut pieces = claimed.filter(|_| there).unwrap_or_default();
        // Before the file gets its length: holes read as zeros, whose checksum the journal may contain.
        if !pieces.is_empty() {
            let torn = read_back(&paths.part, identity.size, piece_bytes, &pieces, |_| {})?;
            pieces.retain(|piece, _| !torn.contains(piece));
        }
        let missing = identity.size.saturating_sub(
            pieces.keys().map(|&piece| piece_length(identity.size, piece_bytes, piece)).sum(),
        );
        require_space(&paths.folder, missing)?;
        if dropped {
            paths.discard()?;
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&paths.part);
        file.and_then(|file| file.set_len(identity.size)).map_err(FetchError::io("create", &paths.part))?;
        let journal = Journal::create(&paths.journal, &identity, piece_bytes, &pieces)?;
        let state = Mutex::new(State { journal, pieces });
        let partial = Self { paths, identity, piece_bytes, state };
        Ok((partial, dropped))
    }

    /// Returns how many bytes are on disk.
    pub(super) fn bytes_here(&self) -> u64 {
        let pieces = &self.lock().pieces;
        pieces.keys().map(|&piece| self.length_of(piece)).sum()
    }

    /// Returns the missing pieces.
    pub(super) fn missing(&self) -> Vec<u64> {
        let pieces = &self.lock().pieces;
        (0..self.identity.size.div_ceil(self.piece_bytes))
            .filter(|piece| !pieces.contains_key(piece))
            .collect()
    }

    /// Returns the length of a piece; the last may be shorter.
    pub(super) fn length_of(&self, piece: u64) -> u64 {
        piece_length(self.identity.size, self.piece_bytes, piece)
    }

    /// Writes a piece, then its journal line; returns whether it is new.
    pub(super) fn record(&self, piece: u64, bytes: &[u8]) -> Result<bool, FetchError> {
        let crc32c = Crc32c::compute(bytes);
        if self.lock().pieces.get(&piece) == Some(&crc32c) {
            return Ok(false);
        }
        let written = OpenOptions::new().write(true).open(&self.paths.part).and_then(|mut file| {
            file.seek(SeekFrom::Start(piece.saturating_mul(self.piece_bytes)))?;
            file.write_all(bytes)
        });
        written.map_err(FetchError::io("write", &self.paths.part))?;
        let mut state = self.lock();
        state.journal.record(piece, crc32c).map_err(FetchError::io("write", &self.paths.journal))?;
        Ok(state.pieces.insert(piece, crc32c).is_none())
    }

    /// Reads the file back and renames it if its digest is right.
    pub(super) fn finish(&self) -> Result<FinishOutcome, FetchError> {
        let mut state = self.lock();
        let Identity { size, digest, .. } = self.identity;
        let (part, whole) = (&self.paths.part, &self.paths.whole);
        let mut sha256 = Sha256Hasher::default();
        let torn = read_back(part, size, self.piece_bytes, &state.pieces, |bytes| {
            sha256.update(bytes);
        })?;
        let sha256 = sha256.finish();
        if !torn.is_empty() {
            state.pieces.retain(|piece, _| !torn.contains(piece));
            state.journal =
                Journal::create(&self.paths.journal, &self.identity, self.piece_bytes, &state.pieces)?;
            return Ok(FinishOutcome::Torn(torn.len() as u64));
        }
        if digest.is_some_and(|expected| expected != sha256) {
            self.paths.discard()?;
            return Ok(FinishOutcome::Wrong(sha256));
        }
        File::open(part).and_then(|file| file.sync_all()).map_err(FetchError::io("sync", part))?;
        let receipt = Receipt { file: self.identity.clone(), sha256 };
        receipt.write(&self.paths.receipt)?;
        fs::rename(part, whole).map_err(FetchError::io("rename", part))?;
        #[cfg(unix)]
        File::open(&self.paths.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(FetchError::io("sync", &self.paths.folder))?;
        self.paths.discard()?;
        Ok(FinishOutcome::Whole(sha256))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the map inconsistent: each change is one insertion.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn piece_length(size: u64, piece_bytes: u64, piece: u64) -> u64 {
    size.saturating_sub(piece.saturating_mul(piece_bytes)).min(piece_bytes)
}

/// Reads a file once and passes each block to `each`; returns the pieces with wrong checksums.
fn read_back(
    path: &Path,
    size: u64,
    piece_bytes: u64,
    pieces: &Pieces,
    mut each: impl FnMut(&[u8]),
) -> Result<Vec<u64>, FetchError> {
    let refuse = || FetchError::io("read", path);
    let mut file = File::open(path).map_err(refuse())?;
    let mut buffer = vec![0; 1 << 18];
    let mut torn = Vec::new();
    for piece in 0..size.div_ceil(piece_bytes) {
        let mut crc32c = Crc32c::default();
        let mut left = piece_length(size, piece_bytes, piece);
        while left > 0 {
            let want = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let got = file.read(&mut buffer[..want]).map_err(refuse())?;
            if got == 0 {
                break;
            }
            each(&buffer[..got]);
            crc32c = crc32c.append(&buffer[..got]);
            left -= got as u64;
        }
        if pieces.get(&piece).is_some_and(|&known| left > 0 || known != crc32c) {
            torn.push(piece);
        }
    }
    Ok(torn)
}

/// Requires enough free space before the download begins.
fn require_space(folder: &Path, needed: u64) -> Result<(), FetchError> {
    #[cfg(unix)]
    if let Ok(disk) = rustix::fs::statvfs(folder) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if needed > free {
            return Err(FetchError::NoSpace { path: folder.to_owned(), needed, free });
        }
    }
    #[cfg(not(unix))]
    let _ = (folder, needed);
    Ok(())
}
