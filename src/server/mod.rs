//! The registry over HTTP: router, extractors, problem details, and one file of handlers per resource.
//!
//! Requests are untrusted: bodies, headers and times are bounded, and statements are verified before they are stored. A replica's own state
//! can be rebuilt: a verified view of the catalogue, and rate limits.

mod audit;
mod catalogue;
mod checkpoints;
mod chunks;
mod extract;
mod grants;
mod health;
mod hugging_face;
mod limits;
mod log;
mod middleware;
mod openapi;
mod private;
mod problem;
mod range;
mod requests;
mod running;
mod sessions;
mod settings;
mod statements;
mod witness;

pub use openapi::document as openapi_document;
pub use running::{ServeError, Server};
pub use settings::{LimitSettings, Settings, SettingsError, Tls, WitnessSettings};
pub use witness::{KnownLog, WitnessServer};

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use metrics_exporter_prometheus::PrometheusHandle;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Origin;
use crate::api::{MAX_CHUNK_BYTES, MAX_PROPOSAL_BYTES, MAX_SEAL_BYTES, MAX_STATEMENT_BYTES};
use crate::digest::Sha256Digest;
use crate::registry::Registry;
use crate::web::Lines;
use limits::Limits;

/// The state that every handler has.
type App = Arc<Parts>;

/// The parts of [`App`].
struct Parts {
    registry: Registry,
    limits: Limits,
    metrics: PrometheusHandle,
    founding_code: Option<Sha256Digest>,
    presign: bool,
    behind_proxy: bool,
    /// The addresses that clients use.
    origins: Vec<Origin>,
    /// Connections, for paced responses.
    lines: Lines,
    patience: Duration,
}

/// Every route, as metric labels name it.
const ROUTES: [&str; 30] = [
    "/v1/statements",
    "/v1/challenges",
    "/v1/sessions",
    "/v1/requests",
    "/v1/requests/{digest}",
    "/v1/requests/{digest}/assignee",
    "/v1/grants/{digest}",
    "/v1/grants/{digest}/lease",
    "/v1/audit/records",
    "/v1/catalogue",
    "/v1/catalogue/proposals",
    "/v1/catalogue/proposals/{role}",
    "/v1/catalogue/metadata/{file}",
    "/v1/catalogue/targets/{folder}/{file}",
    "/v1/checkpoints/{checkpoint}/seal",
    "/v1/checkpoints/{checkpoint}/manifests/{digest}",
    "/v1/checkpoints/{checkpoint}/manifests/{digest}/shares",
    "/v1/chunks/{digest}",
    "/v1/log/receipts/{kind}/{digest}",
    "/v1/registry",
    "/log/checkpoint",
    LOG_TILES,
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
    HF_MODEL,
    HF_REVISION,
    HF_TREE,
    HF_RESOLVE,
];
// Tile names have several segments, which an OpenAPI path cannot express.
const LOG_TILES: &str = "/log/tile/{*part}";
const HF_MODEL: &str = "/api/models/{repository}";
const HF_REVISION: &str = "/api/models/{repository}/revision/{revision}";
const HF_TREE: &str = "/api/models/{repository}/tree/{revision}";
const HF_RESOLVE: &str = "/{repository}/resolve/{revision}/{file}";

/// Every route with its description.
fn routes() -> OpenApiRouter<App> {
    let statements = OpenApiRouter::new()
        .routes(routes!(statements::list, statements::accept))
        .routes(routes!(sessions::open))
        .routes(routes!(requests::assign))
        .layer(DefaultBodyLimit::max(MAX_STATEMENT_BYTES));
    let proposals = OpenApiRouter::new()
        .routes(routes!(catalogue::proposal, catalogue::propose, catalogue::withdraw))
        .layer(DefaultBodyLimit::max(MAX_PROPOSAL_BYTES));
    let chunks = OpenApiRouter::new()
        .routes(routes!(chunks::get, chunks::put))
        .layer(DefaultBodyLimit::max(MAX_CHUNK_BYTES));
    let seals = OpenApiRouter::new()
        .routes(routes!(checkpoints::put_seal))
        .layer(DefaultBodyLimit::max(MAX_SEAL_BYTES));
    let small = OpenApiRouter::new()
        .routes(routes!(health::registry))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .routes(routes!(sessions::challenge))
        .routes(routes!(requests::list))
        .routes(routes!(requests::standing))
        .routes(routes!(grants::decide))
        .routes(routes!(grants::lease))
        .routes(routes!(audit::records))
        .routes(routes!(log::head))
        .routes(routes!(log::receipt))
        .routes(routes!(catalogue::listing))
        .routes(routes!(catalogue::proposals))
        .routes(routes!(catalogue::metadata))
        .routes(routes!(catalogue::target))
        .routes(routes!(checkpoints::manifest))
        .routes(routes!(checkpoints::shares))
        .layer(DefaultBodyLimit::max(1024));
    OpenApiRouter::with_openapi(openapi::base())
        .merge(statements)
        .merge(proposals)
        .merge(chunks)
        .merge(seals)
        .merge(small)
}

fn router(app: App) -> Router {
    let patience = app.patience;
    let (router, _) = routes().split_for_parts();
    router
        .route(LOG_TILES, axum::routing::get(log::tile))
        .route("/openapi.json", axum::routing::get(openapi::get))
        .route(HF_MODEL, axum::routing::get(hugging_face::model))
        .route(HF_REVISION, axum::routing::get(hugging_face::revision))
        .route(HF_TREE, axum::routing::get(hugging_face::tree))
        .route(HF_RESOLVE, axum::routing::get(hugging_face::resolve))
        .fallback(middleware::not_found)
        .method_not_allowed_fallback(middleware::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::limit_address))
        .layer(axum::middleware::from_fn(middleware::require_host))
        .layer(RequestBodyTimeoutLayer::new(patience))
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::bound_time))
        .layer(CatchPanicLayer::custom(middleware::handle_panic))
        .layer(axum::middleware::from_fn(middleware::observe))
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::pace))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_route_has_a_label_of_its_own() {
        let (_, document) = routes().split_for_parts();
        for path in document.paths.paths.keys() {
            assert!(ROUTES.contains(&path.as_str()), "{path} is measured as `other`");
        }
    }
}
