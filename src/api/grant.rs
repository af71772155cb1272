//! Grants and sealed checkpoints in the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::Sha256Digest;
use crate::visible::Untrusted;

/// A grant, and whether it is valid now.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// The grant's digest.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Sha256Digest,
    /// Whether it is valid under the rules in force.
    pub counts: bool,
    /// The rule that refuses it, if it is not valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub refused: Option<Untrusted>,
    /// The DSSE envelope with all stored signatures.
    #[schema(value_type = Object)]
    pub envelope: Box<serde_json::value::RawValue>,
}

/// A sealed checkpoint's manifest and shares, as file contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealParcel {
    /// `manifest.json`.
    pub manifest: String,
    /// `shares.json`.
    pub shares: String,
}

/// The result of storing a sealed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SealReceipt {
    /// The manifest's SHA-256.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub manifest: Sha256Digest,
}
