//! Which usage journal a lease is for. What is in journals is the `usage` room's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Sha256Digest, serde_as_text};
use crate::hex;

/// A journal's name: 128 random bits. One person has a journal on each machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalId([u8; 16]);

impl JournalId {
    /// A journal of these random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The random bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

/// A text is no journal's name.
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

/// How a journal stood at a moment: whoever continues it later has at least so many records, and this one among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalMark {
    /// Which journal.
    pub journal: JournalId,
    /// How many records it had.
    pub records: u64,
    /// The digest of the last of them, or what the first cites.
    pub head: Sha256Digest,
}
