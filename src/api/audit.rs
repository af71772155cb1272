//! The log with the recorded statements, for auditors.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A log entry with the statement that it records.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// The entry as it is in the log.
    pub entry: String,
    /// The statement's DSSE envelopes; empty if the entry records no statement or an erased one.
    #[schema(value_type = Vec<Object>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<Box<serde_json::value::RawValue>>,
}

/// A page of the log, in order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// The place of the first record.
    pub from: u64,
    /// The records.
    pub records: Vec<AuditRecord>,
}
