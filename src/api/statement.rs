//! Statements in the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::Sha256Digest;

/// The result of submitting a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatementReceipt {
    /// The SHA-256 of its payload.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Sha256Digest,
    /// Its kind, such as `request`.
    pub kind: String,
    /// Whether the statement was new.
    pub new: bool,
    /// The resulting state of the request that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The pending request with the same terms, if there is one: this statement was not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    pub same_as: Option<Sha256Digest>,
}

/// A statement in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatementItem {
    /// The SHA-256 of its payload.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Sha256Digest,
    /// The DSSE envelope.
    #[schema(value_type = Object)]
    pub envelope: Box<serde_json::value::RawValue>,
}

/// A page of statements in the order of receipt.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatementPage {
    /// The statements.
    pub statements: Vec<StatementItem>,
    /// The value of `after` for the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
