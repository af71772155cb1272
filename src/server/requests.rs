//! The queue of requests.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::extract::{Json as Sent, Path, Query, Reader};
use super::private::Private;
use super::problem::{Refusal, Refusals};
use super::statements::slice;
use crate::api::{Assignment, RequestEvent, RequestItem, RequestPage, RequestStanding};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::registry::{RequestHistory, RequestQuery};
use crate::store::{RequestRow, RequestState};
use crate::time::Timestamp;

/// Which requests, and which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// A checkpoint's requests, for members of its board; without it, your own.
    #[param(value_type = Option<String>)]
    checkpoint: Option<CheckpointId>,
    /// Only requests in this state: `pending`, `granted`, `denied`, `withdrawn` or `ended`; needs `checkpoint`.
    state: Option<String>,
    /// The `next` of the previous page.
    after: Option<String>,
    /// Maximum number of requests, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Requests in the order of receipt.
#[utoipa::path(
    get,
    path = "/v1/requests",
    operation_id = "requests",
    tag = "requests",
    params(ListQuery),
    security(("bearer" = [])),
    responses((status = 200, body = RequestPage), Refusals)
)]
pub(super) async fn list(
    State(app): State<App>,
    Reader(reader): Reader,
    Query(query): Query<ListQuery>,
) -> Result<Private<RequestPage>, Refusal> {
    let state: Option<RequestState> = match &query.state {
        None => None,
        Some(text) => Some(text.parse().map_err(|error| Refusal::malformed(format!("the query: {error}")))?),
    };
    if state.is_some() && query.checkpoint.is_none() {
        return Err(Refusal::malformed("the query: state needs checkpoint"));
    }
    let slice = slice(query.after.as_deref(), query.limit)?;
    let query = RequestQuery { checkpoint: query.checkpoint, state };
    let part = app.registry.request_rows(&query, slice, reader).await?;
    Ok(Private(part.map(|part| RequestPage {
        requests: part.items.into_iter().map(item).collect(),
        next: part.next.map(|next| next.to_string()),
    })))
}

/// The state of a request, its history, and its estimated wait.
#[utoipa::path(
    get,
    path = "/v1/requests/{digest}",
    operation_id = "standing",
    tag = "requests",
    params(("digest" = String, Path, pattern = "^[0-9a-f]{64}$")),
    security(("bearer" = [])),
    responses((status = 200, body = RequestStanding), Refusals)
)]
pub(super) async fn standing(
    State(app): State<App>,
    Reader(reader): Reader,
    Path(digest): Path<Sha256Digest>,
) -> Result<Private<RequestStanding>, Refusal> {
    let standing = app.registry.request_history(digest, reader, Timestamp::now()).await?;
    let event = |event: crate::store::Event| RequestEvent {
        at: event.at,
        state: event.state.into(),
        actor: event.actor,
        note: event.note.into(),
    };
    Ok(Private(standing.map(|RequestHistory { row, events, waiting, sanctions, approvals }| {
        RequestStanding {
            request: item(row),
            history: events.into_iter().map(event).collect(),
            place: waiting.place,
            median_seconds: waiting.median,
            p90_seconds: waiting.p90,
            sanctions,
            approvals,
        }
    })))
}

/// Assigns a request to a member, or to no one.
#[utoipa::path(
    put,
    path = "/v1/requests/{digest}/assignee",
    operation_id = "assign",
    tag = "requests",
    params(("digest" = String, Path, pattern = "^[0-9a-f]{64}$")),
    request_body = Assignment,
    security(("bearer" = [])),
    responses((status = 200, body = RequestItem), Refusals)
)]
pub(super) async fn assign(
    State(app): State<App>,
    Reader(reader): Reader,
    Path(digest): Path<Sha256Digest>,
    Sent(assignment): Sent<Assignment>,
) -> Result<Private<RequestItem>, Refusal> {
    app.registry.assign(digest, assignment.assignee, reader, Timestamp::now()).await?;
    Ok(Private(app.registry.queued_request(digest, reader).await?.map(item)))
}

fn item(row: RequestRow) -> RequestItem {
    RequestItem {
        digest: row.digest,
        checkpoint: row.checkpoint,
        holder: row.holder,
        stage: row.stage.into(),
        state: row.state.to_string().into(),
        assignee: row.assignee,
        renews: row.renews,
        created: row.created,
        decided: row.decided,
    }
}
