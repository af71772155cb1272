//! The catalogue's files and proposals on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The paths of the catalogue's files at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogueListing {
    /// Counts up with every change.
    pub version: i64,
    /// Every file's path; those below `proposals/` are for keepers.
    pub files: Vec<String>,
}

/// What became of a proposal that was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposalReceipt {
    /// `proposed`, `signed` or `known`.
    pub received: String,
    /// The roles whose proposals had their signatures then, and are in force now.
    pub published: Vec<String>,
}
