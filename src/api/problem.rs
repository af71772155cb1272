//! Refusals as RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::WorkDemand;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What was refused, the rule that refused it, and what to do next (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What was refused, and by which rule.
    pub detail: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The work to do and to send with the same request, where that is what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<WorkDemand>,
}
