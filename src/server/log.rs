//! The transparency log: head, tiles, entries (C2SP tlog-tiles), and receipts.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::App;
use super::extract::Path;
use super::problem::{Refusal, Refusals};
use crate::api::LogReceipt;
use crate::digest::Sha256Digest;
use crate::log::{EntryKind, Part};

/// The log's head: a signed note, with witnesses' cosignatures if there are any.
#[utoipa::path(get, path = "/log/checkpoint", operation_id = "log_head", tag = "log", responses((status = 200, body = String, content_type = "text/plain"), Refusals))]
pub(super) async fn head(State(app): State<App>) -> Result<Response, Refusal> {
    let note = app.registry.log_note().await?;
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, note).into_response())
}

/// A tile of hashes or a bundle of entries, of exactly the width in its name: `0/000`, `entries/x001/234`, `0/001.p/17`.
pub(super) async fn tile(State(app): State<App>, Path(part): Path<String>) -> Result<Response, Refusal> {
    let part: Part = format!("tile/{part}")
        .parse()
        .map_err(|error: crate::log::Error| Refusal::missing(error.to_string()))?;
    let bytes = app.registry.log_part(part).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, bytes).into_response())
}

/// The last entry of a kind for an object, with its proof of inclusion.
#[utoipa::path(
    get,
    path = "/v1/log/receipts/{kind}/{digest}",
    operation_id = "log_receipt",
    tag = "log",
    params(
        ("kind" = String, Path, description = "such as `grant`, `lease`, `policy`", example = "policy"),
        ("digest" = String, Path, pattern = "^[0-9a-f]{64}$")
    ),
    responses((status = 200, body = LogReceipt), Refusals)
)]
pub(super) async fn receipt(
    State(app): State<App>,
    Path((kind, digest)): Path<(String, Sha256Digest)>,
) -> Result<Json<LogReceipt>, Refusal> {
    let kind: EntryKind =
        kind.parse().map_err(|error: crate::log::Error| Refusal::malformed(format!("the path: {error}")))?;
    let receipt = app.registry.log_receipt(kind, digest).await?;
    let entry = String::from_utf8_lossy(&receipt.entry).into_owned();
    Ok(Json(LogReceipt { entry, proof: receipt.proof_text() }))
}
