//! The texts of a process's running generations: if it crashes, the next process ends their records with them.
//!
//! ```text
//! header      a line of JSON: the machine's boot id, and the file's key, sealed to the journal's owner
//! frame …     number (8 bytes), begin (8), tokens so far (8), length (4), a piece of text under AES-256-GCM
//! ```
//!
//! Integers are big-endian. The frame's number is the nonce and is never used twice; the other numbers are associated data. A process locks
//! its file while it runs. Texts are sealed to the owner, who has seen them; a stage that keeps counts stores no text. Frames are written
//! when a text is shown, and durable within a second: a crash loses nothing, a power cut at most a second.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::identity::{OpeningKey, SealingKey};
use crate::seal::{Purpose, SealedMessage, open_with, seal_to};

/// The purpose of the file's sealed key.
const PURPOSE: Purpose = Purpose::new("portcullis/v1/usage-live");
const SUFFIX: &str = "live";
/// Bytes before each piece.
const HEAD: usize = 28;
/// Maximum header and maximum piece.
const MAX_HEADER: usize = 4 << 10;
const MAX_PIECE: usize = 1 << 20;
/// A larger file is rewritten with the running generations only.
const MAX_BYTES: u64 = 8 << 20;
/// Maximum time before a piece is durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    schema: u32,
    boot: String,
    key: SealedMessage,
}

/// The stored part of a text.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartialText {
    pub text: String,
    pub tokens: u64,
}

/// The file of a process that generates texts.
pub(super) struct LiveFile {
    path: PathBuf,
    file: File,
    key: LessSafeKey,
    owner: SealingKey,
    number: u64,
    header: u64,
    bytes: u64,
    durable: Instant,
    open: BTreeMap<u64, PartialText>,
}

impl std::fmt::Debug for LiveFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Live({} texts)", self.open.len())
    }
}

impl LiveFile {
    /// Creates a locked and durable file in `folder`.
    pub(super) fn create(folder: &Path, owner: SealingKey) -> io::Result<Self> {
        let mut secret = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(&mut *secret);
        let sealed = seal_to(&owner, PURPOSE, &[], &*secret, &mut rand::rng()).map_err(io::Error::other)?;
        let header = Header { schema: 1, boot: boot(), key: sealed };
        let mut line = serde_json::to_vec(&header)?;
        line.push(b'\n');
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{:032x}.{SUFFIX}", rand::random::<u128>()));
        let mut file = File::options().create_new(true).read(true).append(true).open(&path)?;
        file.lock()?;
        file.write_all(&line)?;
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
        let header = line.len() as u64;
        let key = key(&*secret)?;
        let durable = Instant::now();
        Ok(Self { path, file, key, owner, number: 0, header, bytes: header, durable, open: BTreeMap::new() })
    }

    /// Begins a text with this record.
    pub(super) fn begin(&mut self, begin: u64) -> io::Result<()> {
        self.open.insert(begin, PartialText::default());
        self.append(begin, "", 0)
    }

    /// Stores a further piece before it is shown; `tokens` is the total so far.
    pub(super) fn append_text(&mut self, begin: u64, text: &str, tokens: u64) -> io::Result<()> {
        let Some(written) = self.open.get_mut(&begin) else { return Ok(()) };
        written.text.push_str(text);
        written.tokens = tokens;
        self.append(begin, text, tokens)?;
        if self.durable.elapsed() >= DURABLE_WITHIN {
            self.file.sync_data()?;
            self.durable = Instant::now();
        }
        if self.bytes > MAX_BYTES { self.write_anew() } else { Ok(()) }
    }

    /// Ends a text whose end is recorded, or that never began.
    pub(super) fn end(&mut self, begin: u64) {
        self.open.remove(&begin);
        // A failure to shrink the file loses nothing.
        if self.open.is_empty() && self.file.set_len(self.header).is_ok() {
            self.bytes = self.header;
        }
    }

    fn append(&mut self, begin: u64, text: &str, tokens: u64) -> io::Result<()> {
        for piece in pieces(text) {
            let mut sealed = piece.as_bytes().to_vec();
            let head = head(self.number, begin, tokens, sealed.len() + AES_256_GCM.tag_len());
            self.key
                .seal_in_place_append_tag(nonce(self.number), Aad::from(&head), &mut sealed)
                .map_err(|_| io::Error::other("a piece of text cannot be sealed"))?;
            self.number += 1;
            let mut frame = head.to_vec();
            frame.append(&mut sealed);
            self.file.write_all(&frame)?;
            self.bytes += frame.len() as u64;
        }
        Ok(())
    }

    /// Replaces a grown file by a short one with the running texts. The old one is deleted last: of a text in both, the longer one is used.
    fn write_anew(&mut self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        let mut fresh = Self::create(&folder, self.owner)?;
        for (begin, PartialText { text, tokens }) in &self.open {
            fresh.append(*begin, text, *tokens)?;
        }
        fresh.file.sync_data()?;
        std::mem::swap(&mut fresh.open, &mut self.open);
        // The old file is removed on drop, because nothing is open in it.
        *self = fresh;
        Ok(())
    }
}

impl Drop for LiveFile {
    fn drop(&mut self) {
        if self.open.is_empty() {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// The contents of all processes' files.
#[derive(Debug, Default)]
pub(super) struct Salvage {
    /// Texts of running processes, by the records with which they began.
    pub(super) under_way: Vec<u64>,
    /// Texts of ended processes; missing if the file was lost in a power cut.
    pub(super) written: BTreeMap<u64, PartialText>,
    /// Whether a file is from an earlier boot, so that its last frames may be missing.
    pub(super) lost_power: bool,
    /// The files of ended processes.
    pub(super) dead: Vec<PathBuf>,
}

/// Reads the files of a folder. Without a key, texts stay sealed; running ones are still listed.
pub(super) fn salvage(folder: &Path, key: Option<&OpeningKey>) -> io::Result<Salvage> {
    let mut found = Salvage::default();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != SUFFIX) {
            continue;
        }
        let mut file = File::open(&path)?;
        let lives = file.try_lock().is_err();
        let Some((header, opened)) = read(&mut file, key)? else {
            found.dead.extend((!lives).then_some(path));
            continue;
        };
        if lives {
            found.under_way.extend(opened.keys());
            continue;
        }
        found.lost_power |= header.boot != boot();
        for (begin, written) in opened {
            let known = found.written.entry(begin).or_default();
            if written.tokens >= known.tokens {
                *known = written;
            }
        }
        found.dead.push(path);
    }
    Ok(found)
}

/// A file's header and texts. Reading ends at a truncated frame; a file without a whole header is skipped.
fn read(
    file: &mut File,
    opening: Option<&OpeningKey>,
) -> io::Result<Option<(Header, BTreeMap<u64, PartialText>)>> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    // A piece may exceed the limit before the file is rewritten.
    file.take(MAX_BYTES + 4 * MAX_PIECE as u64).read_to_end(&mut bytes)?;
    let Some(end) = bytes.iter().take(MAX_HEADER).position(|byte| *byte == b'\n') else { return Ok(None) };
    let Ok(header) = crate::json::from_slice::<Header>(&bytes[..end]) else { return Ok(None) };
    let secret = opening.and_then(|opening| open_with(opening, PURPOSE, &[], &header.key).ok());
    let key = secret.as_ref().and_then(|secret| key(secret).ok());
    let (mut texts, mut rest) = (BTreeMap::<u64, PartialText>::new(), &mut bytes[end + 1..]);
    while rest.len() >= HEAD {
        let (head, behind) = std::mem::take(&mut rest).split_at_mut(HEAD);
        let [number, begin, tokens] = [0, 8, 16].map(|at| number(&head[at..at + 8]));
        let length = number_of_length(&head[24..]);
        if length > MAX_PIECE + AES_256_GCM.tag_len() || length > behind.len() {
            break;
        }
        let (sealed, behind) = behind.split_at_mut(length);
        let written = texts.entry(begin).or_default();
        if let Some(key) = &key {
            let Ok(piece) = key.open_in_place(nonce(number), Aad::from(&*head), sealed) else { break };
            written.text.push_str(&String::from_utf8_lossy(piece));
            written.tokens = tokens;
        }
        rest = behind;
    }
    Ok(Some((header, texts)))
}

/// Cuts a text into pieces of bounded length; the empty text is one piece.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while rest.len() > MAX_PIECE {
        let mut end = MAX_PIECE;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, behind) = rest.split_at(end);
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

fn key(secret: &[u8]) -> io::Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, secret)
        .map_err(|_| io::Error::other("the key is of another length"))?;
    Ok(LessSafeKey::new(key))
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn head(number: u64, begin: u64, tokens: u64, length: usize) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    for (at, value) in [(0, number), (8, begin), (16, tokens)] {
        head[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }
    // Pieces are much shorter than this.
    head[24..].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    head
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn number_of_length(bytes: &[u8]) -> usize {
    usize::try_from(number(bytes)).unwrap_or(usize::MAX)
}

/// The machine's boot id; empty if the system has none.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_after_a_kill_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (OpeningKey::from_bytes(&[7; 32]), OpeningKey::from_bytes(&[8; 32]));
        let mut live = LiveFile::create(folder.path(), own.sealing_key()).unwrap();
        for begin in [3, 5] {
            live.begin(begin).unwrap();
        }
        for (at, piece) in ["Wild ", "horses"].into_iter().enumerate() {
            live.append_text(3, piece, at as u64 + 1).unwrap();
        }
        assert_eq!(salvage(folder.path(), Some(&own)).unwrap().under_way, [3, 5], "its process lives");
        let path = live.path.clone();
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(4).any(|window| window == b"Wild"));
        // After a crash the lock is gone, and the file is not.
        live.file.unlock().unwrap();
        let found = salvage(folder.path(), Some(&own)).unwrap();
        let horses = PartialText { text: "Wild horses".to_owned(), tokens: 2 };
        assert_eq!(found.written, BTreeMap::from([(3, horses.clone()), (5, PartialText::default())]));
        assert!(!found.lost_power && found.under_way.is_empty());
        let found = salvage(folder.path(), Some(&other)).unwrap();
        assert!(found.written.values().all(|written| written.text.is_empty()));
        // Wherever the file is truncated, whole frames are read.
        for cut in bytes.len() - 40..bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            let found = salvage(folder.path(), Some(&own)).unwrap();
            assert_eq!(found.written[&3].text, "Wild ", "cut at {cut}");
        }
        fs::write(&path, &bytes).unwrap();
        live.end(3);
        live.end(5);
        assert!(salvage(folder.path(), Some(&own)).unwrap().written.is_empty());
        drop(live);
        assert!(!path.exists(), "nothing is left of a process that ended well");
    }

    #[test]
    fn a_file_that_grew_is_written_anew_with_what_is_under_way() {
        let folder = tempfile::tempdir().unwrap();
        let own = OpeningKey::from_bytes(&[7; 32]);
        let mut live = LiveFile::create(folder.path(), own.sealing_key()).unwrap();
        live.begin(1).unwrap();
        live.begin(2).unwrap();
        live.append_text(2, "short", 1).unwrap();
        let piece = "x".repeat(MAX_PIECE);
        for at in 0..9 {
            live.append_text(1, &piece, at + 1).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        live.end(1);
        live.file.unlock().unwrap();
        let found = salvage(folder.path(), Some(&own)).unwrap();
        assert_eq!(found.written[&2], PartialText { text: "short".to_owned(), tokens: 1 });
        assert_eq!(found.written[&1].tokens, 9);
        live.end(2);
    }
}
