//! The name of a catalogue, which everything that is signed for it carries.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

/// Which catalogue something is for: the SHA-256 of the signed part of its `1.root.json`, in canonical JSON (TUF 1.0, 4.2).
///
/// The signed part is the same however many owners have signed, so that the catalogue has its name before it is founded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CatalogueId(Sha256Digest);

impl CatalogueId {
    /// The catalogue whose first root has this digest.
    pub fn new(first_root: Sha256Digest) -> Self {
        Self(first_root)
    }

    /// The digest of its first root.
    pub fn digest(self) -> Sha256Digest {
        self.0
    }
}

impl fmt::Display for CatalogueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
