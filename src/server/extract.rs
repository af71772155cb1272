//! What handlers take out of a request: paths, queries and bodies that were parsed, and who is asking.

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

/// How long a statement may take to come, whole: what has come of it is held that long, and anybody may send one.
const STATEMENT_TIME: Duration = Duration::from_secs(20);

/// A path's parameters.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Refusal))]
pub(super) struct Path<T>(pub(super) T);

/// A query's parameters.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Refusal))]
pub(super) struct Query<T>(pub(super) T);

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

/// A JSON body, or none.
pub(super) struct Told<T>(pub(super) Option<T>);

/// A body of bytes, no longer than the route takes.
pub(super) struct Body(pub(super) Bytes);

/// A statement in its DSSE envelope.
pub(super) struct Signed(pub(super) Envelope);

/// Where a request comes from, which was charged for the length of its body. It stands before the body among a handler's arguments, so
/// that what is not paid for is not read.
pub(super) struct Paid(pub(super) Origin);

/// Who proved that they are on a board. It stands before the body among a handler's arguments: what others send is not read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member(pub(super) KeyId);

/// Who hands in a proposal, if they proved it. It stands before the body among a handler's arguments: only of those who keep the catalogue,
/// or who have the founding code, is anything long read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proposer {
    pub(super) key: Option<KeyId>,
    pub(super) knows_code: bool,
}

/// The work that a request brings with it, if it does.
pub(super) struct Work(pub(super) Option<WorkProof>);

/// Who proved that they hold a key, by a bearer.
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

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Told<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let says_json = says_json(&request);
        let Body(bytes) = Body::from_request(request, state).await?;
        match bytes.is_empty() {
            true => Ok(Self(None)),
            false if says_json => json_object(&bytes).map(|body| Self(Some(body))),
            false => Err(not_json()),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| of_bytes(&rejection))
    }
}

impl<S: Send + Sync> FromRequest<S> for Signed {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let read = tokio::time::timeout(STATEMENT_TIME, json_bytes(request, state)).await;
        let bytes = read.unwrap_or_else(|_| Err(Refusal::too_slow()))?;
        Envelope::parse(&bytes).map(Self).map_err(|error| Refusal::malformed(error.to_string()))
    }
}

/// The body of a request that says that it is JSON.
async fn json_bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Refusal> {
    if !says_json(&request) {
        return Err(not_json());
    }
    let Body(bytes) = Body::from_request(request, state).await?;
    Ok(bytes)
}

fn says_json(request: &Request) -> bool {
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
        reader.ok_or_else(|| Refusal::unauthenticated("this may be read only by those whom it concerns"))
    }
}

impl OptionalFromRequestParts<App> for Reader {
    type Rejection = Refusal;

    /// Nobody where there is no bearer; a bearer that is not good is refused.
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, Refusal> {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            return Ok(None);
        };
        let bearer = value.to_str().ok().and_then(|value| value.split_once(' '));
        let Some((_, bearer)) = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
            return Err(Refusal::unauthenticated("the Authorization header holds no bearer"));
        };
        let holder = app.registry.holder_of(bearer.trim(), Timestamp::now()).await?;
        let holder = holder
            .ok_or_else(|| Refusal::unauthenticated("the bearer is not of this registry, or is over"))?;
        app.limits.identity(holder, Cost::REQUEST)?;
        Ok(Some(Self(holder)))
    }
}

impl FromRequestParts<App> for Paid {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let origin = parts.extensions.get::<Origin>().copied();
        // The middleware that measures addresses stands before every handler.
        let origin = origin.ok_or_else(|| Refusal::malformed("the request comes from nowhere"))?;
        let length = body_length(parts).min(MAX_STATEMENT_BYTES as u64);
        app.limits.address(origin, Cost::of_bytes(length))?;
        Ok(Self(origin))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Work {
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
        let knows_code = knows_founding_code(app, &parts.headers);
        let is_founded = app.registry.is_founded().await?;
        let is_known = if is_founded { app.registry.require_keeper(key).await.is_ok() } else { knows_code };
        if is_known {
            return Ok(Self { key, knows_code });
        }
        if let Some(origin) = parts.extensions.get::<Origin>() {
            app.limits.address(*origin, Cost::of_proposal())?;
        }
        if body_length(parts) <= MAX_STATEMENT_BYTES as u64 {
            return Ok(Self { key, knows_code });
        }
        Err(too_long("a proposal of such a length takes a keeper's bearer, or the founding code"))
    }
}

/// How long a body says that it is; if it does not say and there may be one, as long as it may be.
fn body_length(parts: &Parts) -> u64 {
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let has_none = parts.version < Version::HTTP_2 && !parts.headers.contains_key(header::TRANSFER_ENCODING);
    match length {
        None if has_none => 0,
        length => length.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX),
    }
}

/// Whether somebody has the code that lets the first proposals of a catalogue in.
fn knows_founding_code(app: &App, headers: &HeaderMap) -> bool {
    let sent = headers.get(FOUNDING_CODE).map(|value| Sha256Digest::compute(value.as_bytes()));
    app.founding_code.zip(sent).is_some_and(|(code, sent)| code.as_bytes().ct_eq(sent.as_bytes()).into())
}

fn too_long(detail: &str) -> Refusal {
    let kind = ("too-long", "the body is too long");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, kind, detail).next("send less at once")
}

fn of_bytes(rejection: &BytesRejection) -> Refusal {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_long("the body is longer than this route takes"),
        _ => Refusal::too_slow(),
    }
}

fn not_json() -> Refusal {
    Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ("not-json", "the body is not JSON"),
        "the Content-Type is not application/json",
    )
    .next("send JSON, and say so")
}
