//! Extractors of handlers: parsed paths, queries and bodies, and authentication.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Version, header};
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq as _;

use super::App;
use super::limits::{Cost, Origin};
use super::problem::Refusal;
use crate::api::{FOUNDING_CODE, MAX_STATEMENT_BYTES, WORK, WorkProof, WorkProofError};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::statement::Envelope;
use crate::time::Timestamp;

/// Maximum time to receive a statement: its bytes are held for that long, and anyone may send one.
const STATEMENT_TIME: Duration = Duration::from_secs(20);

/// Path parameters.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Refusal))]
pub(super) struct Path<T>(pub(super) T);

/// Query parameters.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Refusal))]
pub(super) struct Query<T>(pub(super) T);

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

/// An optional JSON body.
pub(super) struct OptionalJson<T>(pub(super) Option<T>);

/// Body bytes, up to the route's limit.
pub(super) struct Body(pub(super) Bytes);

/// A statement in its DSSE envelope.
pub(super) struct SignedEnvelope(pub(super) Envelope);

/// The origin of a request, charged for the length of the body. Handlers take it before the body, so that an unpaid body is not read.
pub(super) struct ChargedOrigin(pub(super) Origin);

/// An authenticated board member. Handlers take it before the body, so that other people's bodies are not read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member(pub(super) KeyId);

/// The sender of a proposal, if authenticated. Handlers take it before the body: long bodies are read only from keepers of the catalogue,
/// or with the founding code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proposer {
    pub(super) key: Option<KeyId>,
    pub(super) knows_code: bool,
}

/// The proof of work in the request, if any.
pub(super) struct ProofOfWork(pub(super) Option<WorkProof>);

/// An authenticated client, by a bearer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader(pub(super) KeyId);

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::malformed(format!("the path: {}", rejection.body_text()))
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::malformed(format!("the query: {}", rejection.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        json_object(&json_bytes(request, state).await?).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJson<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let says_json = has_json_content_type(&request);
        let Body(bytes) = Body::from_request(request, state).await?;
        match bytes.is_empty() {
            true => Ok(Self(None)),
            false if says_json => json_object(&bytes).map(|body| Self(Some(body))),
            false => Err(unsupported_media_type()),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        Bytes::from_request(request, state)
            .await
            .map(Self)
            .map_err(|rejection| from_bytes_rejection(&rejection))
    }
}

impl<S: Send + Sync> FromRequest<S> for SignedEnvelope {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let read = tokio::time::timeout(STATEMENT_TIME, json_bytes(request, state)).await;
        let bytes = read.unwrap_or_else(|_| Err(Refusal::too_slow()))?;
        Envelope::parse(&bytes).map(Self).map_err(|error| Refusal::malformed(error.to_string()))
    }
}

/// The body of a request with a JSON content type.
async fn json_bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Refusal> {
    if !has_json_content_type(&request) {
        return Err(unsupported_media_type());
    }
    let Body(bytes) = Body::from_request(request, state).await?;
    Ok(bytes)
}

fn has_json_content_type(request: &Request) -> bool {
    let content = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = content.and_then(|content| content.split(';').next());
    kind.is_some_and(|kind| kind.trim() == "application/json")
}

fn json_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    crate::json::from_slice(bytes).map_err(|error| Refusal::malformed(format!("the body: {error}")))
}

impl FromRequestParts<App> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let reader = <Self as OptionalFromRequestParts<App>>::from_request_parts(parts, app).await?;
        reader.ok_or_else(|| Refusal::unauthenticated("this resource requires a bearer"))
    }
}

impl OptionalFromRequestParts<App> for Reader {
    type Rejection = Refusal;

    /// `None` without a bearer; an invalid bearer is refused.
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, Refusal> {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            return Ok(None);
        };
        let bearer = value.to_str().ok().and_then(|value| value.split_once(' '));
        let Some((_, bearer)) = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
            return Err(Refusal::unauthenticated("the Authorization header has no bearer"));
        };
        let holder = app.registry.holder_of(bearer.trim(), Timestamp::now()).await?;
        let holder = holder.ok_or_else(|| Refusal::unauthenticated("the bearer is unknown or expired"))?;
        app.limits.charge_identity(holder, Cost::REQUEST)?;
        Ok(Some(Self(holder)))
    }
}

impl FromRequestParts<App> for ChargedOrigin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let origin = parts.extensions.get::<Origin>().copied();
        // The middleware that charges addresses runs before every handler.
        let origin = origin.ok_or_else(|| Refusal::malformed("the request has no source address"))?;
        let length = body_length(parts).min(MAX_STATEMENT_BYTES as u64);
        app.limits.charge_address(origin, Cost::for_bytes(length))?;
        Ok(Self(origin))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ProofOfWork {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let Some(value) = parts.headers.get(WORK) else { return Ok(Self(None)) };
        let proof = value.to_str().map_err(|_| WorkProofError).and_then(str::parse);
        proof.map(|proof| Self(Some(proof))).map_err(|error| Refusal::malformed(error.to_string()))
    }
}

impl FromRequestParts<App> for Member {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let Reader(key) = <Reader as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        app.registry.require_member(key).await?;
        Ok(Self(key))
    }
}

impl FromRequestParts<App> for Proposer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let reader = <Reader as OptionalFromRequestParts<App>>::from_request_parts(parts, app).await?;
        let key = reader.map(|Reader(key)| key);
        let knows_code = has_founding_code(app, &parts.headers);
        let is_founded = app.registry.is_founded().await?;
        let is_known = if is_founded { app.registry.require_keeper(key).await.is_ok() } else { knows_code };
        if is_known {
            return Ok(Self { key, knows_code });
        }
        if let Some(origin) = parts.extensions.get::<Origin>() {
            app.limits.charge_address(*origin, Cost::for_proposal())?;
        }
        if body_length(parts) <= MAX_STATEMENT_BYTES as u64 {
            return Ok(Self { key, knows_code });
        }
        Err(payload_too_large("a proposal of this length requires a keeper's bearer or the founding code"))
    }
}

/// The declared length of the body; the route's maximum if it is not declared.
fn body_length(parts: &Parts) -> u64 {
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let has_none = parts.version < Version::HTTP_2 && !parts.headers.contains_key(header::TRANSFER_ENCODING);
    match length {
        None if has_none => 0,
        length => length.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX),
    }
}

/// Whether the request has the founding code, which admits the first proposals of a catalogue.
fn has_founding_code(app: &App, headers: &HeaderMap) -> bool {
    let sent = headers.get(FOUNDING_CODE).map(|value| Sha256Digest::of(value.as_bytes()));
    app.founding_code.zip(sent).is_some_and(|(code, sent)| code.as_bytes().ct_eq(sent.as_bytes()).into())
}

fn payload_too_large(detail: &str) -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", "the body is too long", detail)
        .next("send less at once")
}

fn from_bytes_rejection(rejection: &BytesRejection) -> Refusal {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => payload_too_large("the body exceeds the limit of this route"),
        _ => Refusal::too_slow(),
    }
}

fn unsupported_media_type() -> Refusal {
    Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not-json",
        "the body is not JSON",
        "the Content-Type is not application/json",
    )
    .next("send JSON with Content-Type application/json")
}
