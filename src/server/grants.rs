//! Grants with their decision, and leases.

use axum::extract::State;
use axum::http::StatusCode;

use super::App;
use super::extract::{OptionalJson, Path, Reader};
use super::private::{Private, PrivateText};
use super::problem::{Refusal, Refusals};
use super::statements::raw;
use crate::api::{Decision, JournalState};
use crate::digest::Sha256Digest;
use crate::registry::GrantDecision;
use crate::time::Timestamp;

/// A grant, and whether it is valid now, with the rule that refuses it.
#[utoipa::path(
    get,
    path = "/v1/grants/{digest}",
    operation_id = "decision",
    tag = "grants",
    params(("digest" = String, Path, pattern = "^[0-9a-f]{64}$")),
    security(("bearer" = [])),
    responses((status = 200, body = Decision), Refusals)
)]
pub(super) async fn decide(
    State(app): State<App>,
    Reader(reader): Reader,
    Path(digest): Path<Sha256Digest>,
) -> Result<Private<Decision>, Refusal> {
    let decision = app.registry.grant_decision(digest, reader, Timestamp::now()).await?;
    let decision = decision.try_map(|GrantDecision { envelope, counts }| {
        let refused = counts.err().map(|error| error.to_string().into());
        let envelope = raw(envelope.to_json())?;
        Ok::<_, Refusal>(Decision { digest, counts: refused.is_none(), refused, envelope })
    });
    decision.map(Private)
}

/// Issues a lease to the grant's holder if the grant is valid, not suspended, and the holder's usage is synced.
#[utoipa::path(
    post,
    path = "/v1/grants/{digest}/lease",
    operation_id = "lease",
    tag = "grants",
    params(("digest" = String, Path, pattern = "^[0-9a-f]{64}$")),
    request_body(content = Option<JournalState>, description = "the state of the usage journal; null before the first use"),
    security(("bearer" = [])),
    responses((status = 201, body = Object, description = "a DSSE envelope"), Refusals)
)]
pub(super) async fn lease(
    State(app): State<App>,
    Reader(reader): Reader,
    Path(digest): Path<Sha256Digest>,
    OptionalJson(journal): OptionalJson<JournalState>,
) -> Result<(StatusCode, PrivateText<String>), Refusal> {
    let lease = app.registry.lease_to_holder(digest, reader, journal.as_ref(), Timestamp::now()).await?;
    metrics::counter!("portcullis_leases_total").increment(1);
    Ok((StatusCode::CREATED, PrivateText(lease.map(|lease| lease.to_json()))))
}
