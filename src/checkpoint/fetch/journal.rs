//! The journal of an unfinished download: `<name>.part.jsonl` beside `<name>.part`.
//!
//! The first line identifies the file. Each further line names a written piece and its CRC-32C. A line is written after its piece, so a
//! kill loses at most the piece in flight. The journal is not trusted: a piece counts only if the bytes on disk have its checksum, and
//! the finished file's SHA-256 is verified (P6). If the digest is known, an attacker who can write to the folder can only make the
//! program fetch again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::FetchError;
use crate::digest::{Crc32c, Sha256Digest};

/// Longest accepted journal, in bytes. The journal of 64 GiB in pieces of 8 MiB has 400 kB.
const LONGEST: u64 = 16 << 20;

/// Identifies a version of a remote file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The address.
    pub(super) url: String,
    /// The `ETag`, or else `Last-Modified`.
    pub(super) validator: Option<String>,
    /// The SHA-256, if it is known before the download.
    pub(super) digest: Option<Sha256Digest>,
    /// The size in bytes.
    pub(super) size: u64,
}

impl Identity {
    /// Whether both have the same content: equal digests, or else equal validators at one address.
    pub(super) fn is_same_content(&self, other: &Self) -> bool {
        let same = match (self.digest, other.digest) {
            (Some(one), Some(other)) => one == other,
            _ => self.validator.is_some() && self.validator == other.validator && self.url == other.url,
        };
        same && self.size == other.size
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    schema: u32,
    piece_bytes: u64,
    file: Identity,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    piece: u64,
    crc32c: Crc32c,
}

/// The checksums of pieces by index.
pub(super) type Pieces = BTreeMap<u64, Crc32c>;

/// An open journal.
pub(super) struct Journal(File);

impl Journal {
    /// Reads the pieces in the journal at `path` if it is for this file and piece size.
    pub(super) fn read(
        path: &Path,
        identity: &Identity,
        piece_bytes: u64,
    ) -> Result<Option<Pieces>, FetchError> {
        let Some(text) = read_bounded(path, LONGEST).map_err(FetchError::io("read", path))? else {
            return Ok(None);
        };
        // A line without a line feed is incomplete.
        let mut lines = text.split_inclusive(|&b| b == b'\n');
        let whole = |line: Option<&[u8]>| line.filter(|l| l.ends_with(b"\n")).map(<[u8]>::to_vec);
        let head = whole(lines.next()).and_then(|l| crate::json::from_slice::<Head>(&l).ok());
        let fits = head.is_some_and(|head| {
            head.schema == 1 && head.piece_bytes == piece_bytes && head.file.is_same_content(identity)
        });
        if !fits {
            return Ok(None);
        }
        let count = identity.size.div_ceil(piece_bytes.max(1));
        let pieces = std::iter::from_fn(|| whole(lines.next()))
            .map_while(|line| crate::json::from_slice::<Line>(&line).ok())
            .filter(|line| line.piece < count)
            .map(|line| (line.piece, line.crc32c));
        Ok(Some(pieces.collect()))
    }

    /// Replaces the journal at `path` by one with these pieces.
    pub(super) fn create(
        path: &Path,
        identity: &Identity,
        piece_bytes: u64,
        pieces: &Pieces,
    ) -> Result<Self, FetchError> {
        let head = Head { schema: 1, piece_bytes, file: identity.clone() };
        let mut text = line(&head).map_err(FetchError::io("write", path))?;
        for (&piece, &crc32c) in pieces {
            text.extend(line(&Line { piece, crc32c }).map_err(FetchError::io("write", path))?);
        }
        replace(path, &text)?;
        let file = OpenOptions::new().append(true).open(path);
        file.map(Self).map_err(FetchError::io("open", path))
    }

    /// Adds a piece that is already written.
    pub(super) fn record(&mut self, piece: u64, crc32c: Crc32c) -> io::Result<()> {
        self.0.write_all(&line(&Line { piece, crc32c })?)
    }
}

/// Identifies a finished file: `.<name>.receipt` beside it, so that it is not fetched again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Receipt {
    /// The remote file.
    pub(super) file: Identity,
    /// The digest of its bytes.
    pub(super) sha256: Sha256Digest,
}

impl Receipt {
    /// Reads the receipt at `path`; an unreadable one counts as absent.
    pub(super) fn read(path: &Path) -> Option<Self> {
        crate::json::from_slice(&read_bounded(path, 1 << 16).ok()??).ok()
    }

    /// Writes the receipt to `path`.
    pub(super) fn write(&self, path: &Path) -> Result<(), FetchError> {
        let text = line(self).map_err(FetchError::io("write", path))?;
        replace(path, &text)
    }
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    Ok(text)
}

/// Reads a file; returns `None` if it does not exist or exceeds `limit`.
fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= limit))
}

/// Writes a small file atomically.
fn replace(path: &Path, text: &[u8]) -> Result<(), FetchError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()
    });
    written.map_err(FetchError::io("write", &new))?;
    fs::rename(&new, path).map_err(FetchError::io("rename", &new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(url: &str, validator: Option<&str>, digest: Option<&[u8]>) -> Identity {
        Identity {
            url: url.into(),
            validator: validator.map(str::to_owned),
            digest: digest.map(Sha256Digest::compute),
            size: 100,
        }
    }

    #[test]
    fn bytes_are_kept_only_where_they_are_known_to_belong() {
        let kept = |one: Identity, other: Identity| one.is_same_content(&other);
        let (a, b) = ("https://a/x", "https://b/x");
        assert!(kept(identity(a, Some("\"1\""), None), identity(a, Some("\"1\""), None)));
        assert!(kept(identity(a, None, Some(b"x")), identity(b, Some("\"1\""), Some(b"x"))));
        assert!(!kept(identity(a, Some("\"1\""), None), identity(a, Some("\"2\""), None)));
        assert!(!kept(identity(a, Some("\"1\""), None), identity(b, Some("\"1\""), None)));
        assert!(!kept(identity(a, None, None), identity(a, None, None)));
        assert!(!kept(identity(a, Some("\"1\""), Some(b"x")), identity(a, Some("\"1\""), Some(b"y"))));
    }

    #[test]
    fn a_torn_or_foreign_line_ends_the_journal_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.part.jsonl");
        let file = identity("https://a/x", Some("\"1\""), None);
        let pieces: Pieces = (0..5).map(|i| (i, Crc32c::compute(&[i as u8]))).collect();
        Journal::create(&path, &file, 20, &Pieces::new()).unwrap();
        let mut journal = Journal::create(&path, &file, 20, &Pieces::new()).unwrap();
        for (&piece, &crc) in &pieces {
            journal.record(piece, crc).unwrap();
        }
        let text = fs::read(&path).unwrap();
        let head = text.iter().position(|&b| b == b'\n').unwrap() + 1;
        for cut in 0..=text.len() {
            fs::write(&path, &text[..cut]).unwrap();
            let read = Journal::read(&path, &file, 20).unwrap();
            let ends = text[..cut].iter().filter(|&&b| b == b'\n').count();
            assert_eq!(read.map(|p| p.len()), (cut >= head).then(|| ends - 1), "cut at {cut}");
        }
        let foreign = [&text[..], b"{\"piece\":9,\"crc32c\":\"00000000\"}\n\xff\n"].concat();
        fs::write(&path, foreign).unwrap();
        assert_eq!(Journal::read(&path, &file, 20).unwrap(), Some(pieces));
        assert_eq!(Journal::read(&path, &file, 10).unwrap(), None);
        let changed = identity("https://a/x", Some("\"2\""), None);
        assert_eq!(Journal::read(&path, &changed, 20).unwrap(), None);
    }
}
