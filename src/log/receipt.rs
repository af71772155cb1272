//! Receipts: an entry with its inclusion proof, in C2SP's [tlog-proof](https://c2sp.org/tlog-proof) format.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Entry, Error, HeadNote, InclusionProof, LogKey, TreeHead, WitnessRule, leaf_hash};
use crate::digest::Sha256Digest;

/// The first line of a proof.
const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// Maximum number of hashes in a proof: the greatest height of a tree.
const MAX_HASHES: usize = 64;
/// Longest accepted proof, in bytes.
const MAX_BYTES: usize = 128 << 10;

/// An entry, its inclusion proof and the head, unverified.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The proof that the entry is in the log.
    pub proof: InclusionProof,
    /// The head for which the proof was made.
    pub note: HeadNote,
}

impl Receipt {
    /// Returns the entry and the head if the log's key and enough witnesses signed the head and the proof holds.
    ///
    /// # Errors
    /// [`Error::OtherLog`], [`Error::Unsigned`], [`Error::TooFewWitnesses`], [`Error::NotIncluded`], [`Error::Entry`].
    pub fn verify(&self, log: &LogKey, witnesses: &WitnessRule) -> Result<(Entry, TreeHead), Error> {
        let head = self.note.verify(log)?;
        witnesses.require(&self.note)?;
        self.proof.verify(leaf_hash(&self.entry), &head)?;
        Ok((Entry::parse(&self.entry)?, head))
    }

    /// Serializes the proof, without the entry.
    pub fn proof_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nindex {}\n", self.proof.index);
        for hash in &self.proof.path {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", BASE64_STANDARD.encode(hash.as_bytes()));
        }
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&self.note.to_bytes()));
        text
    }

    /// Parses a proof for an entry.
    ///
    /// # Errors
    /// [`Error::Proof`], [`Error::Head`].
    pub fn parse(entry: Vec<u8>, proof: &str) -> Result<Self, Error> {
        let malformed = |reason: &str| Error::Proof { reason: reason.to_owned() };
        if proof.len() > MAX_BYTES {
            return Err(malformed("it is too long"));
        }
        let (head, note) = proof.split_once("\n\n").ok_or_else(|| malformed("it has no head"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(malformed("its version is not supported"));
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index: u64 =
            index.and_then(|index| index.parse().ok()).ok_or_else(|| malformed("it has no index"))?;
        let mut path = Vec::new();
        for line in lines {
            let hash = BASE64_STANDARD.decode(line).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            path.push(Sha256Digest::from_bytes(hash.ok_or_else(|| malformed("a line is not a hash"))?));
            if path.len() > MAX_HASHES {
                return Err(malformed("it has too many hashes"));
            }
        }
        let note = HeadNote::parse(note.as_bytes())?;
        Ok(Self { entry, proof: InclusionProof { index, path }, note })
    }
}
