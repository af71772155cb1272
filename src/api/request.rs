//! The queue of requests on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::time::Timestamp;
use crate::visible::Untrusted;

/// A request as the queue shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestItem {
    /// Its digest.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Sha256Digest,
    /// For which checkpoint.
    #[schema(value_type = String)]
    pub checkpoint: CheckpointId,
    /// The key id of the one who asks.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub holder: KeyId,
    /// The stage that it asks under.
    #[schema(value_type = String)]
    pub stage: Untrusted,
    /// `pending`, `granted`, `denied`, `withdrawn` or `ended`.
    #[schema(value_type = String)]
    pub state: Untrusted,
    /// The key id of the member who looks after it.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<KeyId>,
    /// The earlier request that it renews.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<Sha256Digest>,
    /// When it came in.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it was first decided.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Timestamp>,
}

/// A page of requests, in the order in which they came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestPage {
    /// The requests.
    pub requests: Vec<RequestItem>,
    /// What to give as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Something that happened to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestEvent {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How it stood from then on, or `assigned`.
    #[schema(value_type = String)]
    pub state: Untrusted,
    /// The key id of who did it.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub actor: KeyId,
    /// Why, or to whom.
    #[schema(value_type = String)]
    pub note: Untrusted,
}

/// A request, what happened to it, and how long it may wait yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestStanding {
    /// The request.
    pub request: RequestItem,
    /// What happened to it, in order.
    pub history: Vec<RequestEvent>,
    /// Its place in the queue, from 1, where it waits still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<i64>,
    /// Seconds that half of the last decisions took at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_seconds: Option<i64>,
    /// Seconds that nine of ten of the last decisions took at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_seconds: Option<i64>,
    /// What stands against the people for whom it asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sanctions: Vec<SanctionItem>,
    /// Signatures of grants that answer it, in the order in which they came in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalItem>,
}

/// When somebody's signature of a grant came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalItem {
    /// The grant.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub grant: Sha256Digest,
    /// The key id of who signed it.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub signer: KeyId,
    /// When it came in.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A revocation or a suspension that stands against a person for the checkpoint of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SanctionItem {
    /// The person's key id.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub person: KeyId,
    /// `suspended` or `revoked`.
    pub kind: String,
    /// The end of a suspension; the time of a revocation.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// The case or the revocation.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Sha256Digest>,
}

/// Who is to look after a request; nobody where it is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The member's key id.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    #[serde(default)]
    pub assignee: Option<KeyId>,
}
