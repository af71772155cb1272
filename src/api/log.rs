//! The log in the API, beside its tiles.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A log entry with its proof of inclusion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogReceipt {
    /// The entry as it is in the log.
    pub entry: String,
    /// The proof in C2SP's tlog-proof form, with its tree head.
    pub proof: String,
}
