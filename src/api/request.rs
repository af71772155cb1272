//! The queue of requests in the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::time::Timestamp;
use crate::visible::Untrusted;

/// A request in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestItem {
    /// The request's digest.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Sha256Digest,
    /// The checkpoint.
    #[schema(value_type = String)]
    pub checkpoint: CheckpointId,
    /// The author's key id.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub holder: KeyId,
    /// The requested stage.
    #[schema(value_type = String)]
    pub stage: Untrusted,
    /// `pending`, `granted`, `denied`, `withdrawn` or `ended`.
    #[schema(value_type = String)]
    pub state: Untrusted,
    /// The key id of the assigned member.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<KeyId>,
    /// The earlier request that it renews.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<Sha256Digest>,
    /// Time of receipt.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// Time of the first decision.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Timestamp>,
}

/// A page of requests in the order of receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestPage {
    /// The requests.
    pub requests: Vec<RequestItem>,
    /// The value of `after` for the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An event in a request's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestEvent {
    /// The time.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The new state, or `assigned`.
    #[schema(value_type = String)]
    pub state: Untrusted,
    /// The key id of the person who caused it.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub actor: KeyId,
    /// The reason, or the assignee.
    #[schema(value_type = String)]
    pub note: Untrusted,
}

/// A request with its history and estimated wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestStanding {
    /// The request.
    pub request: RequestItem,
    /// The history, in order.
    pub history: Vec<RequestEvent>,
    /// Place in the queue from 1, if the request is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<i64>,
    /// Median seconds of recent decisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_seconds: Option<i64>,
    /// 90th percentile of the seconds of recent decisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_seconds: Option<i64>,
    /// Sanctions against the people in the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sanctions: Vec<SanctionItem>,
    /// Approvals in the order of receipt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalItem>,
}

/// A signature of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalItem {
    /// The grant's digest.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub grant: Sha256Digest,
    /// The signer's key id.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub signer: KeyId,
    /// Time of receipt.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A revocation or suspension of a person for the request's checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SanctionItem {
    /// The person's key id.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub person: KeyId,
    /// `suspended` or `revoked`.
    pub kind: String,
    /// The end of the suspension, or the time of the revocation.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// The case or revocation.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Sha256Digest>,
}

/// The member to assign to a request; empty to assign no one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The member's key id.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    #[serde(default)]
    pub assignee: Option<KeyId>,
}
