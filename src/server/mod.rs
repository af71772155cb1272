//! The registry over HTTP: router, extractors, problem details, one file of handlers a resource.
//!
//! Whatever comes in is hostile: bodies, headers and times are bounded, and each statement is verified by the registry's use cases
//! before it is kept. Replicas keep no state but what can be thrown away: a verified view of the catalogue, and buckets of limits.

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

use crate::api::{MOST_CHUNK_BYTES, MOST_PROPOSAL_BYTES, MOST_SEAL_BYTES, MOST_STATEMENT_BYTES};
use crate::digest::Sha256Digest;
use crate::registry::Registry;
use limits::Limits;

/// What every handler has at hand.
type App = Arc<Parts>;

/// The parts of [`App`].
struct Parts {
    registry: Registry,
    limits: Limits,
    metrics: PrometheusHandle,
    founding_code: Option<Sha256Digest>,
    presign: bool,
    behind_proxy: bool,
    patience: Duration,
}

/// Every route, with its description.
fn routes() -> OpenApiRouter<App> {
    let statements = OpenApiRouter::new()
        .routes(routes!(statements::list, statements::accept))
        .routes(routes!(sessions::open))
        .routes(routes!(requests::assign))
        .layer(DefaultBodyLimit::max(MOST_STATEMENT_BYTES));
    let proposals = OpenApiRouter::new()
        .routes(routes!(catalogue::proposal, catalogue::propose, catalogue::withdraw))
        .layer(DefaultBodyLimit::max(MOST_PROPOSAL_BYTES));
    let chunks = OpenApiRouter::new()
        .routes(routes!(chunks::get, chunks::put))
        .layer(DefaultBodyLimit::max(MOST_CHUNK_BYTES));
    let seals = OpenApiRouter::new()
        .routes(routes!(checkpoints::put_seal))
        .layer(DefaultBodyLimit::max(MOST_SEAL_BYTES));
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
        // Tiles have names of several segments, which an OpenAPI path cannot say.
        .route("/log/tile/{*part}", axum::routing::get(log::tile))
        .route("/openapi.json", axum::routing::get(openapi::get))
        .route("/api/models/{repository}", axum::routing::get(hugging_face::model))
        .route("/api/models/{repository}/revision/{revision}", axum::routing::get(hugging_face::revision))
        .route("/api/models/{repository}/tree/{revision}", axum::routing::get(hugging_face::tree))
        .route("/{repository}/resolve/{revision}/{file}", axum::routing::get(hugging_face::resolve))
        .fallback(middleware::nothing_here)
        .method_not_allowed_fallback(middleware::not_done_here)
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::limit_address))
        .layer(RequestBodyTimeoutLayer::new(patience))
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::bound_time))
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(axum::middleware::from_fn(middleware::observe))
        .with_state(app)
}
