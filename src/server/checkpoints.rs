//! Sealed checkpoints: manifests and shares.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::App;
use super::extract::{Json as Sent, Member, Path, Reader};
use super::private::PrivateText;
use super::problem::{Refusal, Refusals};
use crate::api::{SealParcel, SealReceipt};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;

/// A sealed manifest, by its SHA-256.
#[utoipa::path(
    get,
    path = "/v1/checkpoints/{checkpoint}/manifests/{digest}",
    operation_id = "manifest",
    tag = "checkpoints",
    params(("checkpoint" = String, Path), ("digest" = String, Path, pattern = "^[0-9a-f]{64}$")),
    responses((status = 200, body = Object, description = "the manifest's text"), Refusals)
)]
pub(super) async fn manifest(
    State(app): State<App>,
    Path((checkpoint, digest)): Path<(CheckpointId, Sha256Digest)>,
) -> Result<Response, Refusal> {
    let row = app.registry.seal(&checkpoint, digest).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], row.manifest).into_response())
}

/// The shares of a sealed checkpoint, each sealed to one member, and the registry's key, sealed to the registry.
#[utoipa::path(
    get,
    path = "/v1/checkpoints/{checkpoint}/manifests/{digest}/shares",
    operation_id = "shares",
    tag = "checkpoints",
    params(("checkpoint" = String, Path), ("digest" = String, Path, pattern = "^[0-9a-f]{64}$")),
    security(("bearer" = [])),
    responses((status = 200, body = Object, description = "the text of the file of shares"), Refusals)
)]
pub(super) async fn shares(
    State(app): State<App>,
    Reader(reader): Reader,
    Path((checkpoint, digest)): Path<(CheckpointId, Sha256Digest)>,
) -> Result<PrivateText<Vec<u8>>, Refusal> {
    let row = app.registry.shares(&checkpoint, digest, reader).await?;
    Ok(PrivateText(row.map(|row| row.shares)))
}

/// Stores a sealed checkpoint whose chunks are all stored.
#[utoipa::path(
    put,
    path = "/v1/checkpoints/{checkpoint}/seal",
    operation_id = "seal",
    tag = "checkpoints",
    params(("checkpoint" = String, Path)),
    request_body = SealParcel,
    security(("bearer" = [])),
    responses((status = 200, body = SealReceipt), Refusals)
)]
pub(super) async fn put_seal(
    State(app): State<App>,
    Member(member): Member,
    Path(checkpoint): Path<CheckpointId>,
    Sent(parcel): Sent<SealParcel>,
) -> Result<(StatusCode, Json<SealReceipt>), Refusal> {
    let manifest = app
        .registry
        .put_seal(&checkpoint, parcel.manifest.into_bytes(), parcel.shares.into_bytes(), member)
        .await?;
    Ok((StatusCode::OK, Json(SealReceipt { manifest })))
}
