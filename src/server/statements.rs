//! Submitting and reading statements.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::IntoParams;

use super::App;
use super::extract::{ChargedOrigin, ProofOfWork, Query, Reader, SignedEnvelope};
use super::limits::Cost;
use super::private::Private;
use super::problem::{Refusal, Refusals};
use crate::api::{StatementItem, StatementPage, StatementReceipt};
use crate::digest::Sha256Digest;
use crate::registry::{CursorError, Error, KINDS, ListPage, ListRange, StatementQuery};
use crate::store::{MAX_ROWS, StatementRow};
use crate::time::Timestamp;

/// Which statements, and which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// The kind: `request`, `withdrawal`, `denial`, `grant`, `share`, `revocation`, `handover`,
    /// `lease`, `affiliation`, `usage`, `case`, `case-step`, `reading` or `erasure`.
    kind: String,
    /// Only statements about this request or grant.
    #[param(value_type = Option<String>)]
    about: Option<Sha256Digest>,
    /// Only statements whose digest begins with these hexadecimal digits; `about` takes precedence.
    #[param(pattern = "^[0-9a-f]{4,64}$")]
    prefix: Option<String>,
    /// Only the newest `limit` statements about `about`, newest first, without a next page.
    #[serde(default)]
    newest: bool,
    /// The `next` of the previous page.
    after: Option<String>,
    /// Maximum number of statements, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Submits a statement. Submitting it again has no effect.
///
/// The payload must be in canonical form, with exactly the signatures of its kind. A newcomer's request is first answered with 403 and
/// `work`; repeat it with `portcullis-work: <challenge>:<counter>`.
#[utoipa::path(
    post,
    path = "/v1/statements",
    operation_id = "accept",
    tag = "statements",
    params(("portcullis-work" = Option<String>, Header, description = "`<challenge>:<counter>`, where `work` was asked for")),
    request_body(content = Object, description = "a DSSE envelope"),
    responses(
        (status = 201, body = StatementReceipt, description = "created"),
        (status = 200, body = StatementReceipt, description = "already known"),
        Refusals
    )
)]
pub(super) async fn accept(
    State(app): State<App>,
    ChargedOrigin(origin): ChargedOrigin,
    ProofOfWork(proof): ProofOfWork,
    SignedEnvelope(envelope): SignedEnvelope,
) -> Result<(StatusCode, Json<StatementReceipt>), Refusal> {
    let now = Timestamp::now();
    let mut screened = app.registry.screen(&envelope).await?;
    screened.network = Some(origin.network());
    app.limits.charge_address(origin, Cost::for_signatures(screened.signatures))?;
    app.registry.require_work(&envelope, &screened, proof.as_ref(), now).await?;
    if screened.costs_work() {
        app.limits.charge_newcomer(origin)?;
    }
    let receipt = app.registry.accept_screened(&envelope, screened, now).await?;
    metrics::counter!("portcullis_statements_total", "kind" => receipt.kind).increment(1);
    let status = if receipt.new { StatusCode::CREATED } else { StatusCode::OK };
    let state = receipt.state.map(|state| state.to_string());
    let receipt = StatementReceipt {
        digest: receipt.digest,
        kind: receipt.kind.to_owned(),
        new: receipt.new,
        state,
        same_as: receipt.same_as,
    };
    Ok((status, Json(receipt)))
}

/// The statements of a kind that the client may read.
#[utoipa::path(
    get,
    path = "/v1/statements",
    operation_id = "statements",
    tag = "statements",
    params(ListQuery),
    security(("bearer" = [])),
    responses((status = 200, body = StatementPage), Refusals)
)]
pub(super) async fn list(
    State(app): State<App>,
    Reader(reader): Reader,
    Query(query): Query<ListQuery>,
) -> Result<Private<StatementPage>, Refusal> {
    if !KINDS.contains(&query.kind.as_str()) {
        return Err(Refusal::malformed(format!("the query: kind must be one of {}", KINDS.join(", "))));
    }
    let is_prefix = |prefix: &String| {
        (4..=64).contains(&prefix.len()) && prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    if !query.prefix.as_ref().is_none_or(is_prefix) {
        return Err(Refusal::malformed("the query: prefix must be 4 to 64 lower-case hexadecimal digits"));
    }
    if query.newest && query.about.is_none() {
        return Err(Refusal::malformed("the query: newest needs about"));
    }
    let slice = slice(query.after.as_deref(), query.limit)?;
    let query =
        StatementQuery { kind: query.kind, about: query.about, prefix: query.prefix, newest: query.newest };
    let part = app.registry.statements(&query, slice, reader).await?;
    let item = |row: StatementRow| {
        Ok::<_, Refusal>(StatementItem { digest: row.digest, envelope: raw(row.envelope)? })
    };
    let page = part.try_map(|ListPage { items, next }| {
        let statements = items.into_iter().map(item).collect::<Result<_, _>>()?;
        Ok::<_, Refusal>(StatementPage { statements, next: next.map(|next| next.to_string()) })
    });
    page.map(Private)
}

/// The JSON of a stored envelope.
pub(super) fn raw(envelope: String) -> Result<Box<RawValue>, Refusal> {
    RawValue::from_string(envelope).map_err(|error| {
        let reason = error.to_string();
        Error::from(crate::store::Error::Row { table: "statements", reason }).into()
    })
}

/// The requested part of a list.
pub(super) fn slice(after: Option<&str>, limit: Option<i64>) -> Result<ListRange, Refusal> {
    let after = after.map(str::parse).transpose();
    let after =
        after.map_err(|error: CursorError| Refusal::malformed(format!("the query: after: {error}")))?;
    match limit.unwrap_or(100) {
        limit @ 1..=MAX_ROWS => Ok(ListRange { after, limit }),
        _ => Err(Refusal::malformed(format!("the query: limit must be 1 to {MAX_ROWS}"))),
    }
}
