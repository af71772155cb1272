//! The id of a catalogue, which every statement for it carries.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

/// The id of a catalogue: the SHA-256 of the signed part of its `1.root.json`, in canonical JSON (TUF 1.0, 4.2).
///
/// The signed part does not depend on the signatures, so a catalogue has its id before its owners sign it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CatalogueId(Sha256Digest);

impl CatalogueId {
    /// The id of the catalogue whose first root has this digest.
    pub fn new(first_root: Sha256Digest) -> Self {
        Self(first_root)
    }

    /// Returns the digest of the first root.
    pub fn digest(self) -> Sha256Digest {
        self.0
    }
}

impl fmt::Display for CatalogueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
