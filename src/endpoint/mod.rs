//! The local completions endpoint: OpenAI's `/v1/completions` and `/v1/models` for one checkpoint on this machine.
//!
//! Clients are not trusted: bodies, queues and times are bounded, and a web page cannot reach a loopback endpoint through a DNS name. A
//! text passes three stages: the handler in `completions` parses the request and waits, the `recorder` thread makes its usage record
//! durable before and after it (P4), and the `writer` thread generates it in a batch, token by token. The place of a text is held until
//! its response is delivered, so the number of places bounds what waits for slow clients.

mod access;
mod body;
mod completions;
mod delivery;
mod models;
mod problem;
mod recorder;
mod request;
mod response;
mod server;
#[cfg(test)]
mod testing;
mod writer;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::inference::tokenizer::Tokenizer;
use crate::inference::{Model, Speculation};
use crate::name::CheckpointId;
use crate::time::Timestamp;
use recorder::RecorderCommand;

pub(crate) use access::Key;
pub(crate) use recorder::{Denial, Ledger};
pub(crate) use server::{Endpoint, EndpointError, EndpointListener, Settings};

/// Maximum bytes of a request: enough for the maximum number of prompts with a full context each.
const MAX_REQUEST_BYTES: usize = 2 << 20;
/// The time in which a whole request must arrive, and in which a client must accept data.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum requests whose bodies are read at once; each holds up to [`MAX_REQUEST_BYTES`].
const MAX_READERS: usize = 32;

/// The checkpoint to serve.
#[derive(Debug)]
pub(crate) struct Served {
    /// The id, which clients send as `model`.
    pub(crate) checkpoint: CheckpointId,
    pub(crate) model: Model,
    pub(crate) tokenizer: Tokenizer,
    /// A draft model for speculative decoding; it changes the speed only.
    pub(crate) draft: Option<Model>,
    /// Whether to guess from repeated tokens if there is no draft.
    pub(crate) lookup: bool,
}

impl Served {
    fn speculation(&self) -> Speculation<'_> {
        match (&self.draft, self.lookup) {
            (Some(draft), _) => Speculation::Draft(draft),
            (None, true) => Speculation::Lookup,
            (None, false) => Speculation::None,
        }
    }
}

/// The state of every handler.
type App = Arc<AppState>;

struct AppState {
    served: Arc<Served>,
    since: Timestamp,
    key: Option<Key>,
    /// Whether the endpoint listens on loopback only.
    loopback: bool,
    /// One permit for each text that may run or wait.
    places: Arc<Semaphore>,
    max_texts: usize,
    /// One permit for each request whose body may be read.
    readers: Semaphore,
    recorder: mpsc::Sender<RecorderCommand>,
    metrics: PrometheusHandle,
}

/// Every route, as a label of metrics.
const ROUTES: [&str; 5] = ["/v1/completions", "/v1/models", "/v1/models/{model}", "/metrics", "/healthz"];

fn router(app: App) -> Router {
    Router::new()
        .route("/v1/completions", post(completions::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{model}", get(models::retrieve))
        .route("/metrics", get(render_metrics))
        .layer(axum::middleware::from_fn_with_state(app.clone(), access::require_access))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .layer(CatchPanicLayer::custom(problem::handle_panic))
        .layer(axum::middleware::from_fn(access::require_host))
        .layer(axum::middleware::from_fn(access::record_request))
        .with_state(app)
}

/// Metrics in Prometheus' text format.
async fn render_metrics(State(app): State<App>) -> Response {
    let running = app.max_texts - app.places.available_permits();
    metrics::gauge!("portcullis_completions_under_way").set(running as f64);
    let content = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content, app.metrics.render()).into_response()
}
