//! Health checks and information about the registry.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::App;
use super::problem::{Refusal, Refusals};
use crate::api::RegistryInfo;
use crate::registry::Error;

/// Information about this registry.
#[utoipa::path(get, path = "/v1/registry", operation_id = "registry", tag = "registry", responses((status = 200, body = RegistryInfo), Refusals))]
pub(super) async fn registry(State(app): State<App>) -> Result<Json<RegistryInfo>, Refusal> {
    let founded = app.registry.is_founded().await?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Json(RegistryInfo { version, key_id: app.registry.key_id(), founded }))
}

/// Whether the process runs.
#[utoipa::path(get, path = "/healthz", operation_id = "alive", tag = "operation", responses((status = 200, body = String, content_type = "text/plain"), Refusals))]
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether the registry can work: the database answers.
#[utoipa::path(get, path = "/readyz", operation_id = "ready", tag = "operation", responses((status = 200, body = String, content_type = "text/plain"), Refusals))]
pub(super) async fn ready(State(app): State<App>) -> Result<&'static str, Refusal> {
    app.registry.store().ping().await.map_err(Error::from)?;
    Ok("ready\n")
}

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operation", responses((status = 200, body = String, content_type = "text/plain"), Refusals))]
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let content = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content, app.metrics.render()).into_response()
}
