//! The local completions endpoint: OpenAI's `/v1/completions` and `/v1/models` for one checkpoint on this machine.
//!
//! Whatever comes in is hostile: bodies, queues and times are bounded, and a page in a browser cannot reach a loopback endpoint
//! by a name of its own. Each text passes three threads of hands: the handler (`completions`) reads the request and waits, the
//! `clerk` makes its record durable before and behind it (P4), the `writer` writes it together with others, token by token. A text's
//! place is taken until its answer was delivered, so what waits for slow clients is bounded by the places.

mod answer;
mod body;
mod clerk;
mod completions;
mod delivery;
mod models;
mod problem;
mod request;
mod running;
#[cfg(test)]
mod testing;
mod watch;
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
use clerk::ToClerk;

pub use clerk::{Denied, Ledger};
pub use running::{Endpoint, EndpointError, Listening, Settings};
pub use watch::{Key, KeyError};

/// Most bytes of a request: a full context in every one of as many prompts as are taken.
const MAX_REQUEST_BYTES: usize = 2 << 20;
/// How long a whole request may take to come, and how long a client may leave its answer untouched.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most requests that are read at a time: with each of them up to [`MAX_REQUEST_BYTES`] are held.
const MAX_READ: usize = 32;

/// What is served.
#[derive(Debug)]
pub struct Served {
    /// Its name.
    pub checkpoint: CheckpointId,
    /// The model.
    pub model: Model,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Guesses what follows; the texts are the same without.
    pub draft: Option<Model>,
    /// Guesses from what was there before, where there is no draft.
    pub lookup: bool,
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

/// What every handler has at hand.
type App = Arc<Parts>;

struct Parts {
    served: Arc<Served>,
    since: Timestamp,
    key: Option<Key>,
    /// Whether only this machine may ask, by a name of this machine.
    loopback: bool,
    /// A permit for each text that may be under way or wait.
    places: Arc<Semaphore>,
    max_texts: usize,
    /// A permit for each request that may be read at a time.
    readers: Semaphore,
    clerk: mpsc::Sender<ToClerk>,
    metrics: PrometheusHandle,
}

/// Every route, as measurements name it.
const ROUTES: [&str; 5] = ["/v1/completions", "/v1/models", "/v1/models/{model}", "/metrics", "/healthz"];

fn router(app: App) -> Router {
    Router::new()
        .route("/v1/completions", post(completions::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{model}", get(models::retrieve))
        .route("/metrics", get(measurements))
        .layer(axum::middleware::from_fn_with_state(app.clone(), watch::let_in))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(problem::nothing_here)
        .method_not_allowed_fallback(problem::not_done_here)
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(axum::middleware::from_fn(watch::require_host))
        .layer(axum::middleware::from_fn(watch::observe))
        .with_state(app)
}

/// Measurements in Prometheus' text format.
async fn measurements(State(app): State<App>) -> Response {
    let waiting = app.max_texts - app.places.available_permits();
    metrics::gauge!("portcullis_completions_under_way").set(waiting as f64);
    let content = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content, app.metrics.render()).into_response()
}
