//! The catalogue's files, for any TUF client, and proposals, for the catalogue's keepers.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::App;
use super::extract::{Json as Sent, Path, Proposer, Reader};
use super::private::Private;
use super::problem::{Refusal, Refusals};
use crate::api::{CatalogueListing, ProposalReceipt};
use crate::catalogue::{Parcel, Subject};

/// The paths of the catalogue's published files.
#[utoipa::path(get, path = "/v1/catalogue", operation_id = "catalogue", tag = "catalogue", responses((status = 200, body = CatalogueListing), Refusals))]
pub(super) async fn listing(State(app): State<App>) -> Result<Json<CatalogueListing>, Refusal> {
    let (version, files) = app.registry.published_files().await?;
    Ok(Json(CatalogueListing { version, files }))
}

/// A file of TUF metadata.
#[utoipa::path(
    get,
    path = "/v1/catalogue/metadata/{file}",
    operation_id = "metadata",
    tag = "catalogue",
    params(("file" = String, Path, example = "1.root.json")),
    responses((status = 200, body = Object, description = "TUF metadata, as it was signed"), Refusals)
)]
pub(super) async fn metadata(State(app): State<App>, Path(file): Path<String>) -> Result<Response, Refusal> {
    send(&app, &format!("metadata/{file}"), "application/json").await
}

/// A target file, named by its digest.
#[utoipa::path(
    get,
    path = "/v1/catalogue/targets/{folder}/{file}",
    operation_id = "target",
    tag = "catalogue",
    params(("folder" = String, Path, example = "gpt2-124m"), ("file" = String, Path, example = "<sha256>.policy.toml")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), Refusals)
)]
pub(super) async fn target(
    State(app): State<App>,
    Path((folder, file)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    send(&app, &format!("targets/{folder}/{file}"), "application/octet-stream").await
}

async fn send(app: &App, path: &str, content: &'static str) -> Result<Response, Refusal> {
    let bytes = app.registry.catalogue_file(path).await?;
    let bytes = bytes.ok_or_else(|| Refusal::missing("the catalogue has no such file"))?;
    // All names but the timestamp's contain a version or a digest.
    let caching =
        if path == "metadata/timestamp.json" { "no-cache" } else { "public, max-age=31536000, immutable" };
    Ok(([(header::CONTENT_TYPE, content), (header::CACHE_CONTROL, caching)], bytes).into_response())
}

/// The roles with an open proposal. For keepers; before the catalogue is founded, for anyone.
#[utoipa::path(
    get,
    path = "/v1/catalogue/proposals",
    operation_id = "proposals",
    tag = "catalogue",
    security(("bearer" = []), ()),
    responses((status = 200, body = Vec<String>), Refusals)
)]
pub(super) async fn proposals(
    State(app): State<App>,
    reader: Option<Reader>,
) -> Result<Private<Vec<String>>, Refusal> {
    let subjects = app.registry.proposals_for(reader.map(|Reader(key)| key)).await?;
    Ok(Private(subjects.map(|subjects| subjects.iter().map(ToString::to_string).collect())))
}

/// The open proposal of a role: its metadata with all signatures, and its files.
#[utoipa::path(
    get,
    path = "/v1/catalogue/proposals/{role}",
    operation_id = "proposal",
    tag = "catalogue",
    params(("role" = String, Path, description = "`root`, `targets` or a checkpoint")),
    security(("bearer" = []), ()),
    responses((status = 200, body = Parcel), Refusals)
)]
pub(super) async fn proposal(
    State(app): State<App>,
    reader: Option<Reader>,
    Path(role): Path<String>,
) -> Result<Private<Parcel>, Refusal> {
    let reader = reader.map(|Reader(key)| key);
    Ok(Private(app.registry.proposal_for(&subject(&role)?, reader).await?))
}

/// Proposes a change of a role, or adds signatures to the open proposal; a complete proposal is published at once.
///
/// Signatures need no bearer. A new proposal requires a keeper's bearer, or the founding code before the catalogue is founded.
#[utoipa::path(
    post,
    path = "/v1/catalogue/proposals/{role}",
    operation_id = "propose",
    tag = "catalogue",
    params(("role" = String, Path, description = "`root`, `targets` or a checkpoint")),
    request_body = Parcel,
    security(("bearer" = []), ()),
    responses((status = 200, body = ProposalReceipt), Refusals)
)]
pub(super) async fn propose(
    State(app): State<App>,
    Proposer { key, knows_code }: Proposer,
    Path(role): Path<String>,
    Sent(parcel): Sent<Parcel>,
) -> Result<(StatusCode, Json<ProposalReceipt>), Refusal> {
    let (received, published) = app.registry.receive(&subject(&role)?, &parcel, key, knows_code).await?;
    let received = received.as_str().to_owned();
    let published = published.iter().map(ToString::to_string).collect();
    Ok((StatusCode::OK, Json(ProposalReceipt { received, published })))
}

/// Withdraws the open proposal of a role.
#[utoipa::path(
    delete,
    path = "/v1/catalogue/proposals/{role}",
    operation_id = "withdraw",
    tag = "catalogue",
    params(("role" = String, Path, description = "`root`, `targets` or a checkpoint")),
    security(("bearer" = [])),
    responses((status = 204), Refusals)
)]
pub(super) async fn withdraw(
    State(app): State<App>,
    Reader(reader): Reader,
    Path(role): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.registry.withdraw_proposal(&subject(&role)?, reader).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn subject(role: &str) -> Result<Subject, Refusal> {
    role.parse()
        .map_err(|_| Refusal::malformed("the path: the role must be `root`, `targets` or a checkpoint"))
}
