//! Grants and sealed checkpoints on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::Sha256Digest;
use crate::visible::Untrusted;

/// A grant, and whether it counts now.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// The grant's digest.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Sha256Digest,
    /// Whether it counts under the rules in force, now.
    pub counts: bool,
    /// The rule that refuses it, where it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub refused: Option<Untrusted>,
    /// The DSSE envelope with every signature that was handed in.
    #[schema(value_type = Object)]
    pub envelope: Box<serde_json::value::RawValue>,
}

/// A sealed checkpoint's manifest and shares, as the texts of their files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealParcel {
    /// `manifest.json`.
    pub manifest: String,
    /// `shares.json`.
    pub shares: String,
}

/// What the registry keeps of a sealed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SealReceipt {
    /// The manifest's SHA-256.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub manifest: Sha256Digest,
}
