//! The log on the wire, beside its tiles.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An entry of the log, with the proof that it is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogReceipt {
    /// The entry, as it stands in the log.
    pub entry: String,
    /// The proof, in C2SP's tlog-proof form, with the head that it leads to.
    pub proof: String,
}
