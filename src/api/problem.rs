//! Refusals as problem details (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::WorkDemand;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem (RFC 9457): what was refused, by which rule, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What was refused, and why.
    pub detail: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The proof of work to send with the same request, if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<WorkDemand>,
}
