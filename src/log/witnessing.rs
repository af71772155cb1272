//! What a witness decides on a head that a log offers it (C2SP [tlog-witness](https://c2sp.org/tlog-witness), `add-checkpoint`).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{ConsistencyProof, Error, HeadNote, LogKey, TreeHead};
use crate::digest::Sha256Digest;

/// Most lines of a proof.
const MAX_LINES: usize = 63;

/// A head that a log offers, and the proof that it continues an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub struct Offered {
    /// The size of the head that the log believes the witness to have seen.
    pub old: u64,
    /// The proof.
    pub proof: ConsistencyProof,
    /// The head.
    pub note: HeadNote,
}

/// Why a witness refused to cosign.
#[derive(Debug, thiserror::Error)]
pub enum WitnessRefusal {
    /// The request has not the form (400).
    #[error("malformed request: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// A log that this witness does not know (404).
    #[error("the log `{name}` is not one that this witness knows")]
    UnknownLog {
        /// Its name, cut.
        name: String,
    },
    /// The log's key did not sign (403).
    #[error("the head is not signed by the log's key")]
    Unsigned,
    /// The witness has seen another head than the log believes (409).
    #[error("the last head that this witness saw has {seen} entries")]
    Conflict {
        /// How many entries it has.
        seen: u64,
    },
    /// The head does not continue the last one (422).
    #[error("the head does not continue the last one that this witness saw")]
    NotConsistent,
}

impl Offered {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`WitnessRefusal::Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, WitnessRefusal> {
        let malformed = |reason: &str| WitnessRefusal::Malformed { reason: reason.to_owned() };
        let text = std::str::from_utf8(body).map_err(|_| malformed("it is no UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or_else(|| malformed("it has no blank line"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        // One form for each number, as the head's own size has.
        let old = old.and_then(|text| text.parse::<u64>().ok().filter(|old| old.to_string() == text));
        let old = old.ok_or_else(|| malformed("it does not begin with `old <size>`"))?;
        let mut path = Vec::new();
        for line in lines {
            let hash = BASE64_STANDARD.decode(line).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            path.push(Sha256Digest::from_bytes(hash.ok_or_else(|| malformed("a line is no hash"))?));
            if path.len() > MAX_LINES {
                return Err(malformed("its proof has too many lines"));
            }
        }
        let note = HeadNote::parse(note.as_bytes()).map_err(|error| malformed(&error.to_string()))?;
        if old > note.claim().size() {
            return Err(malformed("the old head is longer than the new one"));
        }
        Ok(Self { old, proof: ConsistencyProof { path }, note })
    }

    /// The head, if one of the log's keys signed it and it continues `last`, the head that this witness saw last.
    ///
    /// # Errors
    /// [`WitnessRefusal`], in the order in which the specification checks.
    pub fn check(&self, keys: &[LogKey], last: Option<&TreeHead>) -> Result<TreeHead, WitnessRefusal> {
        let name = self.note.log();
        let mut known = keys.iter().filter(|key| key.name() == name).peekable();
        if known.peek().is_none() {
            return Err(WitnessRefusal::UnknownLog { name: name.chars().take(80).collect() });
        }
        let head = known.find_map(|key| self.note.verify(key).ok()).ok_or(WitnessRefusal::Unsigned)?;
        let last = last.copied().unwrap_or(TreeHead::EMPTY);
        if self.old != last.size() || (self.old == head.size() && last.root() != head.root()) {
            return Err(WitnessRefusal::Conflict { seen: last.size() });
        }
        match self.proof.verify(&last, &head) {
            Ok(()) => Ok(head),
            Err(Error::NotConsistent { .. } | Error::Shrunk { .. }) => Err(WitnessRefusal::NotConsistent),
            Err(error) => Err(WitnessRefusal::Malformed { reason: error.to_string() }),
        }
    }
}
