//! Usage journals on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::Sha256Digest;
use crate::usage::{JournalId, JournalMark};

/// How a journal stands, as its owner tells it who asks for a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalState {
    /// Which journal.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub journal: JournalId,
    /// How many records it has.
    pub records: u64,
    /// The digest of the last, or what the first will cite.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub head: Sha256Digest,
    /// Generations that are being written now, by the records with which they began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub under_way: Vec<u64>,
}

impl JournalState {
    /// A journal that stands so, with the generations that are being written.
    pub fn new(mark: JournalMark, under_way: Vec<u64>) -> Self {
        Self { journal: mark.journal, records: mark.records, head: mark.head, under_way }
    }
}
