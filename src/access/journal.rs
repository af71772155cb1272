//! The usage journal that a lease is bound to. Journals themselves are in the `usage` room.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Sha256Digest, serde_as_text};
use crate::hex;

/// A journal's id: 128 random bits. A person has one journal per machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalId([u8; 16]);

impl JournalId {
    /// The id with these random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 random bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

/// The text is not a journal id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a journal id is 32 lower-case hexadecimal digits")]
pub struct JournalIdError;

impl FromStr for JournalId {
    type Err = JournalIdError;

    fn from_str(text: &str) -> Result<Self, JournalIdError> {
        hex::parse(text).map(Self).ok_or(JournalIdError)
    }
}

serde_as_text!(JournalId);

/// The state of a journal at some time. A later state has at least as many records, including this last one.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalMark {
    pub journal: JournalId,
    /// Number of records.
    pub records: u64,
    /// Digest of the last record, or the link that the first record cites.
    pub head: Sha256Digest,
}
