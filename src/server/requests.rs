//! The queue of requests.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::extract::{Json as Sent, Path, Query, Reader};
use super::problem::{Refusal, Refusals};
use super::statements::page;
use crate::api::{Assignment, RequestEvent, RequestItem, RequestPage, RequestStanding};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::store::{RequestRow, RequestState};
use crate::time::Timestamp;

/// Which requests, and which part of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Those for this checkpoint, for members of its board; without it, one's own.
    #[param(value_type = Option<String>)]
    checkpoint: Option<CheckpointId>,
    /// Only those that stand so: `pending`, `granted`, `denied`, `withdrawn` or `ended`; needs `checkpoint`.
    state: Option<String>,
    /// What the page before gave as `next`.
    after: Option<String>,
    /// At most so many; 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Requests, in the order in which they came in.
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
) -> Result<Json<RequestPage>, Refusal> {
    let state: Option<RequestState> = match &query.state {
        None => None,
        Some(text) => Some(text.parse().map_err(|error| Refusal::malformed(format!("the query: {error}")))?),
    };
    if state.is_some() && query.checkpoint.is_none() {
        return Err(Refusal::malformed("the query: state needs checkpoint"));
    }
    let page = page(query.after.as_deref(), query.limit)?;
    let part = app.registry.request_rows((query.checkpoint, state), page, reader).await?;
    let requests = part.items.into_iter().map(item).collect();
    Ok(Json(RequestPage { requests, next: part.next.map(|next| next.to_string()) }))
}

/// How a request stands, what happened to it, and how long it may wait yet.
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
) -> Result<Json<RequestStanding>, Refusal> {
    let row = app.registry.request_row(digest, reader).await?;
    let (history, waiting) = app.registry.standing(&row).await?;
    let sanctions = app.registry.sanctions_of_request(digest, Timestamp::now()).await?;
    let event = |event: crate::store::Event| RequestEvent {
        at: event.at,
        state: event.state,
        actor: event.actor,
        note: event.note,
    };
    Ok(Json(RequestStanding {
        request: item(row),
        history: history.into_iter().map(event).collect(),
        place: waiting.place,
        median_seconds: waiting.median,
        p90_seconds: waiting.p90,
        sanctions,
    }))
}

/// Puts a member in charge of a request, or nobody.
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
) -> Result<Json<RequestItem>, Refusal> {
    app.registry.assign(digest, assignment.assignee, (reader, Timestamp::now())).await?;
    Ok(Json(item(app.registry.request_row(digest, reader).await?)))
}

fn item(row: RequestRow) -> RequestItem {
    RequestItem {
        digest: row.digest,
        checkpoint: row.checkpoint,
        holder: row.holder,
        stage: row.stage,
        state: row.state.to_string(),
        assignee: row.assignee,
        renews: row.renews,
        created: row.created,
        decided: row.decided,
    }
}
