//! The registry's own name, and how one proves to it who one is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::identity::KeyId;
use crate::time::Timestamp;

/// What a registry says of itself. Nothing of it is believed without the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistryInfo {
    /// The program's version.
    pub version: String,
    /// The id of the registry's key, to which answers to its challenges are bound.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub key_id: KeyId,
    /// Whether its catalogue is published.
    pub founded: bool,
}

/// A challenge, to be answered once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    /// Random text; the SHA-256 of it is the subject of the statement that answers it.
    pub challenge: String,
    /// Until when it can be answered.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
}

/// A short-lived bearer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bearer {
    /// What goes into the `Authorization` header behind `Bearer `.
    pub bearer: String,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bearer(until {})", self.expires)
    }
}
