//! Usage journals in the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::Sha256Digest;
use crate::usage::{JournalId, JournalMark};

/// The state of a journal, as its owner reports it with a lease request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalState {
    /// The journal's id.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub journal: JournalId,
    /// Number of records.
    pub records: u64,
    /// The digest of the last record, or the link that the first record will cite.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub head: Sha256Digest,
    /// Running generations, by the records with which they began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub under_way: Vec<u64>,
}

impl JournalState {
    /// The state of a journal with its running generations.
    pub fn new(mark: JournalMark, under_way: Vec<u64>) -> Self {
        Self { journal: mark.journal, records: mark.records, head: mark.head, under_way }
    }
}
