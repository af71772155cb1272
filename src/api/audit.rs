//! The log with what it records, for auditors.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An entry, and the statement that it records.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// The entry, as it stands in the log.
    pub entry: String,
    /// The statement's DSSE envelopes; none if it is no statement, or was erased.
    #[schema(value_type = Vec<Object>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<Box<serde_json::value::RawValue>>,
}

/// A part of the log, in order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// The place of the first record.
    pub from: u64,
    /// The records.
    pub records: Vec<AuditRecord>,
}
