//! The catalogue's files and proposals in the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The paths of the catalogue's files at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogueListing {
    /// Increases with every change.
    pub version: i64,
    /// All paths; those below `proposals/` are for keepers only.
    pub files: Vec<String>,
}

/// The result of submitting a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposalReceipt {
    /// `proposed`, `signed` or `known`.
    pub received: String,
    /// The roles whose proposals came into force.
    pub published: Vec<String>,
}
