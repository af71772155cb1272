//! Challenges and bearers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::App;
use super::extract::{ChargedOrigin, SignedEnvelope};
use super::limits::Cost;
use super::problem::{Refusal, Refusals};
use crate::api::{Bearer, Challenge};
use crate::time::Timestamp;

/// Returns a challenge.
#[utoipa::path(post, path = "/v1/challenges", operation_id = "challenge", tag = "sessions", responses((status = 201, body = Challenge), Refusals))]
pub(super) async fn challenge(
    State(app): State<App>,
    ChargedOrigin(origin): ChargedOrigin,
) -> Result<(StatusCode, Json<Challenge>), Refusal> {
    app.limits.charge_address(origin, Cost::for_session())?;
    let (challenge, expires) = app.registry.challenge(Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Json(Challenge { challenge, expires })))
}

/// Returns a bearer for the answer to a challenge: a statement of kind `session` whose subject is the challenge's SHA-256, with the
/// registry's key id and the origin (`https://registry.example`) that the client uses.
#[utoipa::path(
    post,
    path = "/v1/sessions",
    operation_id = "session",
    tag = "sessions",
    request_body(content = Object, description = "a DSSE envelope"),
    responses((status = 201, body = Bearer), Refusals)
)]
pub(super) async fn open(
    State(app): State<App>,
    ChargedOrigin(origin): ChargedOrigin,
    SignedEnvelope(answer): SignedEnvelope,
) -> Result<(StatusCode, Json<Bearer>), Refusal> {
    app.limits.charge_address(origin, Cost::for_session())?;
    let (bearer, expires) = app.registry.open_session(&answer, &app.origins, Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Json(Bearer { bearer, expires })))
}
