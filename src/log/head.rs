//! Tree heads: a log's size and root in a signed note (C2SP tlog-checkpoint, signed-note).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use signed_note::{Note, Signature, is_key_name_valid, key_id};
use tlog_tiles::Checkpoint;

use super::proof::{from_tlog, to_tlog};
use super::{Error, MAX_ENTRIES};
use crate::digest::Sha256Digest;
use crate::identity::{self, Signer, VerifyingKey};

/// Longest accepted note, in bytes: enough for dozens of witnesses.
const MAX_BYTES: usize = 64 << 10;
/// The signature type of Ed25519 (signed-note, "Signature types").
const ED25519: u8 = 1;

/// A log's size and the root of its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    size: u64,
    root: Sha256Digest,
}

impl TreeHead {
    /// The head of an empty log: its root is the SHA-256 of no bytes (RFC 6962, 2.1).
    pub const EMPTY: Self = Self { size: 0, root: Sha256Digest::from_bytes(tlog_tiles::EMPTY_HASH.0) };

    /// A head of `size` entries.
    ///
    /// # Errors
    /// [`Error::Size`].
    pub fn new(size: u64, root: Sha256Digest) -> Result<Self, Error> {
        if size > MAX_ENTRIES || (size == 0 && root != Self::EMPTY.root) {
            return Err(Error::Size { size });
        }
        Ok(Self { size, root })
    }

    /// Returns the number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root of the tree.
    pub fn root(&self) -> Sha256Digest {
        self.root
    }
}

/// A key with its name in notes and its signature type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedKey {
    pub(super) name: String,
    pub(super) key: VerifyingKey,
    kind: u8,
}

impl NamedKey {
    pub(super) fn new(name: &str, key: VerifyingKey, kind: u8) -> Result<Self, Error> {
        // Without white space, a name cannot end its line.
        if name.len() > 255 || !is_key_name_valid(name) || name.chars().any(char::is_control) {
            return Err(Error::Name { name: name.chars().take(80).collect() });
        }
        Ok(Self { name: name.to_owned(), key, kind })
    }

    fn encoded(&self) -> Vec<u8> {
        let mut encoded = vec![self.kind];
        encoded.extend_from_slice(self.key.as_bytes());
        encoded
    }

    pub(super) fn id(&self) -> u32 {
        key_id(&self.name, &self.encoded())
    }

    pub(super) fn parse(text: &str, kind: u8) -> Result<Self, Error> {
        let malformed = || Error::Head { reason: "a verifier key is `<name>+<hash>+<key>`".to_owned() };
        let (name, rest) = text.split_once('+').ok_or_else(malformed)?;
        let (hash, encoded) = rest.split_once('+').ok_or_else(malformed)?;
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| malformed())?;
        let key = match bytes.split_first() {
            Some((found, key)) if *found == kind => <[u8; 32]>::try_from(key).map_err(|_| malformed())?,
            _ => return Err(malformed()),
        };
        let key = VerifyingKey::from_bytes(&key).map_err(|_| malformed())?;
        let named = Self::new(name, key, kind)?;
        if format!("{:08x}", named.id()) == hash { Ok(named) } else { Err(malformed()) }
    }
}

/// `<name>+<hash>+<key>` (signed-note, "Verifier keys").
impl fmt::Display for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.id(), BASE64_STANDARD.encode(self.encoded()))
    }
}

/// The key of a log with the log's name, the first line of its heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey(NamedKey);

impl LogKey {
    /// A key under the log's name.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self, Error> {
        NamedKey::new(name, key, ED25519).map(Self)
    }

    /// Returns the log's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the public key.
    pub fn key(&self) -> VerifyingKey {
        self.0.key
    }
}

impl FromStr for LogKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        NamedKey::parse(text, ED25519).map(Self)
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A head with its signatures, unverified.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadNote {
    log: String,
    head: TreeHead,
    text: String,
    pub(super) signatures: Vec<Signature>,
}

impl HeadNote {
    /// Signs a head with the log's key.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Signer`].
    pub fn sign(log: &str, head: TreeHead, signer: &dyn Signer) -> Result<Self, Error> {
        let key = NamedKey::new(log, signer.verifying_key(), ED25519)?;
        let text = Checkpoint::new(log, head.size(), to_tlog(head.root()), "")
            .map_err(|error| Error::Head { reason: error.to_string() })?;
        let text = String::from_utf8_lossy(&text.to_bytes()).into_owned();
        let mut note = Self { log: log.to_owned(), head, text, signatures: Vec::new() };
        let signature = signer.sign(note.text.as_bytes())?;
        note.put_signature(&key, signature.as_bytes().to_vec())?;
        Ok(note)
    }

    /// Parses a note.
    ///
    /// # Errors
    /// [`Error::Head`], [`Error::Size`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |reason: &str| Error::Head { reason: reason.to_owned() };
        if bytes.len() > MAX_BYTES {
            return Err(Error::Head { reason: format!("it is longer than {MAX_BYTES} bytes") });
        }
        let note = Note::from_bytes(bytes).map_err(|error| malformed(&error.to_string()))?;
        let text = String::from_utf8(note.text().to_vec()).map_err(|_| malformed("it is not UTF-8"))?;
        // A parsed note has a blank line, and only signatures after it.
        let lines = bytes.get(text.len() + 1..).unwrap_or_default();
        let signatures = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let signatures = signatures.map(Signature::from_bytes).collect::<Result<Vec<_>, _>>();
        let signatures = signatures.map_err(|error| malformed(&error.to_string()))?;
        let found = Checkpoint::from_bytes(text.as_bytes()).map_err(|error| malformed(&error.to_string()))?;
        let head = TreeHead::new(found.size(), from_tlog(*found.hash()))?;
        Ok(Self { log: found.origin().to_owned(), head, text, signatures })
    }

    /// Returns the head if it is of this log and the log's key signed it.
    ///
    /// # Errors
    /// [`Error::OtherLog`], [`Error::Unsigned`].
    pub fn verify(&self, log: &LogKey) -> Result<TreeHead, Error> {
        if self.log != log.name() {
            let found = self.log.chars().take(80).collect();
            return Err(Error::OtherLog { found, expected: log.name().to_owned() });
        }
        let holds = |signature: &[u8]| {
            let signature = <[u8; 64]>::try_from(signature).map(identity::Signature::from_bytes);
            signature.is_ok_and(|signature| log.key().has_signed(self.text.as_bytes(), &signature))
        };
        if self.signatures_by(&log.0).any(holds) {
            return Ok(self.head);
        }
        Err(Error::Unsigned { name: log.name().to_owned() })
    }

    /// The signatures that name a key.
    pub(super) fn signatures_by(&self, key: &NamedKey) -> impl Iterator<Item = &[u8]> {
        let id = key.id();
        let name = key.name.clone();
        self.signatures
            .iter()
            .filter(move |signature| signature.id() == id && signature.name() == name)
            .map(Signature::signature)
    }

    /// Adds a signature, in place of an earlier one by the same key.
    pub(super) fn put_signature(&mut self, key: &NamedKey, signature: Vec<u8>) -> Result<(), Error> {
        let id = key.id();
        let signature = Signature::new(key.name.clone(), id, signature)
            .map_err(|error| Error::Head { reason: error.to_string() })?;
        self.signatures.retain(|other| other.id() != id || other.name() != key.name);
        self.signatures.push(signature);
        Ok(())
    }

    /// Returns the head, unverified.
    pub fn claim(&self) -> TreeHead {
        self.head
    }

    /// Adds signature lines, unverified.
    ///
    /// # Errors
    /// [`Error::Head`].
    pub fn add_signatures(&mut self, lines: &[u8]) -> Result<(), Error> {
        if lines.len() > MAX_BYTES {
            return Err(Error::Head { reason: "there are too many signatures".to_owned() });
        }
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let signature =
                Signature::from_bytes(line).map_err(|error| Error::Head { reason: error.to_string() })?;
            self.signatures.retain(|other| other.id() != signature.id() || other.name() != signature.name());
            self.signatures.push(signature);
        }
        Ok(())
    }

    /// Returns the name of the log that the note claims.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Returns the signed text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Removes all signatures.
    pub fn clear_signatures(&mut self) {
        self.signatures.clear();
    }

    /// Returns the signature lines.
    pub fn signature_lines(&self) -> Vec<u8> {
        self.signatures.iter().flat_map(Signature::to_bytes).collect()
    }

    /// Serializes the note.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.text.clone().into_bytes();
        bytes.push(b'\n');
        bytes.extend(self.signatures.iter().flat_map(Signature::to_bytes));
        bytes
    }
}
