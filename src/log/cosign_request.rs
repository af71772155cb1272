//! Requests to a witness to cosign a head (C2SP [tlog-witness](https://c2sp.org/tlog-witness), `add-checkpoint`).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{ConsistencyProof, Error, HeadNote, LogKey, TreeHead};
use crate::digest::Sha256Digest;

/// Maximum number of hashes in a consistency proof.
const MAX_LINES: usize = 63;

/// A request to cosign a head, with the proof that it continues an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub struct CosignRequest {
    /// The size of the head that the log assumes the witness saw last.
    pub old: u64,
    /// The consistency proof from that head.
    pub proof: ConsistencyProof,
    /// The head to cosign.
    pub note: HeadNote,
}

/// Why a witness refuses to cosign, with the HTTP status of the specification.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum WitnessRefusal {
    /// The request is malformed (400).
    #[error("malformed request: {reason}")]
    Malformed { reason: String },
    /// The witness does not know the log (404).
    #[error("unknown log `{name}`")]
    UnknownLog { name: String },
    /// The log's key did not sign the head (403).
    #[error("the head is not signed by the log's key")]
    Unsigned,
    /// The last head that the witness saw has another size than the request names (409).
    #[error("the last head that this witness saw has {seen} entries")]
    Conflict { seen: u64 },
    /// The head does not continue the last one (422).
    #[error("the head does not continue the last one that this witness saw")]
    NotConsistent,
}

impl CosignRequest {
    /// Parses the body of a request.
    ///
    /// # Errors
    /// [`WitnessRefusal::Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, WitnessRefusal> {
        let malformed = |reason: &str| WitnessRefusal::Malformed { reason: reason.to_owned() };
        let text = std::str::from_utf8(body).map_err(|_| malformed("it is not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or_else(|| malformed("it has no blank line"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        // Each number has one form, like the head's size.
        let old = old.and_then(|text| text.parse::<u64>().ok().filter(|old| old.to_string() == text));
        let old = old.ok_or_else(|| malformed("it does not begin with `old <size>`"))?;
        let mut path = Vec::new();
        for line in lines {
            let hash = BASE64_STANDARD.decode(line).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            path.push(Sha256Digest::from_bytes(hash.ok_or_else(|| malformed("a line is not a hash"))?));
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

    /// Returns the head if one of the log's keys signed it and it continues `last`, the last head that this witness saw.
    ///
    /// # Errors
    /// [`WitnessRefusal`]; the checks are in the specification's order.
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
