//! Chunks by content address: ciphertext that anybody may have and any cache may hold.

use std::time::Duration;

use axum::body::Body as Sent;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::App;
use super::extract::{Body, Member, Path};
use super::problem::{Refusal, Refusals};
use super::range::{self, Part};
use crate::digest::Sha256Digest;
use crate::registry::Error;

/// For how long a presigned URL is good.
const PRESIGNED: Duration = Duration::from_secs(3600);

/// A chunk, or a range of it.
#[utoipa::path(
    get,
    path = "/v1/chunks/{digest}",
    operation_id = "chunk",
    tag = "chunks",
    params(("digest" = String, Path, pattern = "^[0-9a-f]{64}$")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, body = Vec<u8>, content_type = "application/octet-stream", description = "the range that was asked for"),
        (status = 304, description = "the client has it"),
        (status = 307, description = "it lies in a store of objects; the place is good for an hour"),
        (status = 416, description = "the range lies outside the chunk"),
        Refusals
    )
)]
pub(super) async fn get(
    State(app): State<App>,
    Path(digest): Path<Sha256Digest>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let tag = format!("\"{digest}\"");
    let blobs = app.registry.blobs();
    let size = blobs.size(digest).await.map_err(Error::from)?;
    let size = size.ok_or(Error::Unknown { what: "chunk", digest })?;
    let caching = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    if range::is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    if app.presign
        && let Some(url) = blobs.presign(digest, PRESIGNED).await.map_err(Error::from)?
    {
        let place = HeaderValue::try_from(url).map_err(|_| Refusal::malformed("the store's URL is none"))?;
        return Ok((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, place)]).into_response());
    }
    let (status, bytes) = match range::wanted(&headers, &tag, size) {
        Part::Whole => (StatusCode::OK, None),
        Part::Bytes(bytes) => (StatusCode::PARTIAL_CONTENT, Some(bytes)),
        Part::OutOfRange => {
            let outside = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, outside).into_response());
        }
    };
    let length = bytes.as_ref().map_or(size, |bytes| bytes.end - bytes.start);
    let content_range = bytes.as_ref().map(|bytes| format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1));
    let pieces = blobs.stream(digest, bytes.unwrap_or(0..size)).await.map_err(Error::from)?;
    let mut response = (status, caching, Sent::from_stream(pieces)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(value) = content_range.and_then(|range| HeaderValue::try_from(range).ok()) {
        headers.insert(header::CONTENT_RANGE, value);
    }
    metrics::counter!("portcullis_chunk_bytes_total").increment(length);
    Ok(response)
}

/// Keeps a chunk, handed in by somebody on a board.
#[utoipa::path(
    put,
    path = "/v1/chunks/{digest}",
    operation_id = "put_chunk",
    tag = "chunks",
    params(("digest" = String, Path, pattern = "^[0-9a-f]{64}$")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    security(("bearer" = [])),
    responses((status = 201, description = "it is new"), (status = 204, description = "it was here already"), Refusals)
)]
pub(super) async fn put(
    State(app): State<App>,
    Member(member): Member,
    Path(digest): Path<Sha256Digest>,
    Body(bytes): Body,
) -> Result<StatusCode, Refusal> {
    let new = app.registry.put_chunk(digest, bytes, member).await?;
    Ok(if new { StatusCode::CREATED } else { StatusCode::NO_CONTENT })
}
