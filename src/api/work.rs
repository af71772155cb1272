//! Proof of work: what a newcomer's first statements cost them, so that keys that anybody can make do not fill a registry's disk.
//!
//! As in Hashcash: a counter is looked for until the SHA-256 over a challenge, the statement's digest and the counter begins with enough
//! zero bits. The challenge is the registry's, for this statement and some minutes, so nothing can be worked out ahead or used twice.

use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::{Sha256Digest, Sha256Hasher};

/// The header in which the proof is sent, as `<challenge>:<counter>`.
pub const WORK: &str = "portcullis-work";

/// The work that a registry asks for before it takes a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkDemand {
    /// The registry's challenge for this statement.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub challenge: Sha256Digest,
    /// With how many zero bits the digest must begin.
    #[schema(minimum = 0, maximum = 32)]
    pub bits: u32,
}

/// Work that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkProof {
    /// The challenge that it answers.
    pub challenge: Sha256Digest,
    /// The counter that was found.
    pub counter: u64,
}

/// A text is no proof of work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {WORK} header holds no challenge and counter")]
pub struct WorkProofError;

impl WorkDemand {
    /// Most zero bits that a client works for: some minutes of one processor core.
    pub const MAX_BITS: u32 = 32;
    /// Counters that are tried between two looks at the clock.
    const STRIDE: u64 = 1 << 16;

    /// Looks for a counter; `is_going_on` is asked now and then, and ends the search if it says no.
    pub fn solve(&self, statement: Sha256Digest, mut is_going_on: impl FnMut() -> bool) -> Option<WorkProof> {
        let begun = beginning(self.challenge, statement);
        for first in (0..u64::MAX).step_by(Self::STRIDE as usize) {
            let found = (first..first + Self::STRIDE).find(|counter| is_met(&begun, *counter, self.bits));
            if let Some(counter) = found {
                return Some(WorkProof { challenge: self.challenge, counter });
            }
            if !is_going_on() {
                return None;
            }
        }
        None
    }
}

impl WorkProof {
    /// Whether it was done for this statement, and was as much as that.
    pub fn is_worth(&self, bits: u32, statement: Sha256Digest) -> bool {
        is_met(&beginning(self.challenge, statement), self.counter, bits)
    }

    /// As the header has it.
    pub fn to_header(self) -> String {
        let mut text = self.challenge.to_string();
        // Writing to a string cannot fail.
        let _ = write!(text, ":{}", self.counter);
        text
    }
}

impl FromStr for WorkProof {
    type Err = WorkProofError;

    fn from_str(text: &str) -> Result<Self, WorkProofError> {
        let (challenge, counter) = text.split_once(':').ok_or(WorkProofError)?;
        let challenge = challenge.parse().map_err(|_| WorkProofError)?;
        Ok(Self { challenge, counter: counter.parse().map_err(|_| WorkProofError)? })
    }
}

/// What is the same for every counter, hashed already.
fn beginning(challenge: Sha256Digest, statement: Sha256Digest) -> Sha256Hasher {
    let mut hasher = Sha256Hasher::default();
    hasher.update(b"portcullis-work/v1\n");
    hasher.update(challenge.as_bytes());
    hasher.update(statement.as_bytes());
    hasher
}

fn is_met(begun: &Sha256Hasher, counter: u64, bits: u32) -> bool {
    let mut hasher = begun.clone();
    hasher.update(&counter.to_be_bytes());
    leading_zeros(hasher.finish()) >= bits
}

fn leading_zeros(digest: Sha256Digest) -> u32 {
    let bytes = digest.as_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let next = bytes.get(zeros).map_or(0, |byte| byte.leading_zeros());
    u32::try_from(zeros).unwrap_or(0) * 8 + next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_counts_for_its_statement_and_its_challenge_only() {
        let demand = WorkDemand { challenge: Sha256Digest::compute(b"challenge"), bits: 12 };
        let statement = Sha256Digest::compute(b"statement");
        let proof = demand.solve(statement, || true).unwrap();
        assert!(proof.is_worth(12, statement));
        assert!(!proof.is_worth(12, Sha256Digest::compute(b"another statement")));
        let another = WorkProof { challenge: Sha256Digest::compute(b"another challenge"), ..proof };
        assert!(!another.is_worth(12, statement));
        assert_eq!(proof.to_header().parse(), Ok(proof));
        for wrong in ["", "1:2", &proof.challenge.to_string(), &format!("{}:-1", proof.challenge)] {
            assert_eq!(wrong.parse::<WorkProof>(), Err(WorkProofError), "{wrong}");
        }
    }

    #[test]
    fn a_search_that_is_called_off_ends() {
        let demand = WorkDemand { challenge: Sha256Digest::compute(b"challenge"), bits: 200 };
        assert_eq!(demand.solve(Sha256Digest::compute(b"statement"), || false), None);
    }
}
