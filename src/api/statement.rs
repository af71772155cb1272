//! Statements on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::Sha256Digest;

/// What became of a statement that was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatementReceipt {
    /// The SHA-256 of its payload.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Sha256Digest,
    /// Its kind, such as `request`.
    pub kind: String,
    /// Whether it was not known before.
    pub new: bool,
    /// How the request that it bears on stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The pending request of the same person that asks for the same: this one was not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    pub same_as: Option<Sha256Digest>,
}

/// One statement of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatementItem {
    /// The SHA-256 of its payload.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Sha256Digest,
    /// The DSSE envelope.
    #[schema(value_type = Object)]
    pub envelope: Box<serde_json::value::RawValue>,
}

/// A page of statements, in the order in which they came in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatementPage {
    /// The statements.
    pub statements: Vec<StatementItem>,
    /// What to give as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
