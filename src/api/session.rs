//! Registry information, and authentication.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::identity::KeyId;
use crate::time::Timestamp;

/// A registry's information about itself. Clients verify it against the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistryInfo {
    /// The program's version.
    pub version: String,
    /// The id of the registry's key, to which answers to its challenges are bound.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub key_id: KeyId,
    /// Whether its catalogue has been published.
    pub founded: bool,
}

/// A challenge for one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    /// Random text; the answer's subject is its SHA-256.
    pub challenge: String,
    /// The end of its validity.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
}

/// A short-lived bearer token for private reads.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bearer {
    /// The credential for the `Authorization` header, after `Bearer `.
    pub bearer: String,
    /// The end of its validity.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bearer(until {})", self.expires)
    }
}
