//! Usage journals on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::Sha256Digest;
use crate::usage::{JournalId, Summary};

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
}

impl From<&Summary> for JournalState {
    fn from(summary: &Summary) -> Self {
        Self { journal: summary.journal, records: summary.records, head: summary.head }
    }
}
