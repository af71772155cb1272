//! Middleware: limits, metrics, request logs, and responses without a handler.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::limits::{Cost, Origin};
use super::problem::Refusal;
use super::{App, ROUTES};
use crate::web::{Host, Labels, RouteLabel, method_label, status_label};

/// Charges the request to its address.
pub(super) async fn limit_address(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let forwarded = app.behind_proxy.then(|| forwarded_for(request.headers())).flatten();
    let origin = Origin::new(forwarded.unwrap_or_else(|| peer.ip()));
    match app.limits.charge_address(origin, Cost::REQUEST) {
        Ok(()) => {
            request.extensions_mut().insert(origin);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Maximum number of logged characters of a path.
const MAX_LOGGED_PATH: usize = 256;

/// Maximum time of a whole request, as a multiple of the limit for a stalled body.
const PATIENCE: u32 = 10;

/// Ends a request that takes too long in total.
pub(super) async fn bound_time(State(app): State<App>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(app.patience * PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::too_slow().into_response(),
    }
}

/// The address that the nearest proxy saw: earlier ones are the client's to write.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let value = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next()?.trim().parse().ok()
}

/// Sends the response in pieces that count on its connection until the client takes them.
pub(super) async fn pace(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    app.lines.pace(peer, next.run(request).await)
}

/// Measures and logs the response. Headers are not logged, because some are secrets.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = method_label(request.method());
    let route = RouteLabel::new(request.extensions().get::<MatchedPath>(), &ROUTES);
    let path: String = request.uri().path().chars().take(MAX_LOGGED_PATH).collect();
    let response = next.run(request).await;
    let (took, status) = (begun.elapsed(), response.status());
    measure(Labels { method, route, status: status_label(status) }, took);
    let milliseconds = took.as_secs_f64() * 1e3;
    if status.is_server_error() {
        tracing::warn!(method, path, status = status.as_u16(), milliseconds, "answered");
    } else {
        tracing::info!(method, path, status = status.as_u16(), milliseconds, "answered");
    }
    response
}

fn measure(labels: Labels, took: Duration) {
    let Labels { method, route, status } = labels;
    let route = route.as_str();
    metrics::counter!("portcullis_http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
    metrics::histogram!("portcullis_http_request_seconds", "method" => method, "route" => route)
        .record(took.as_secs_f64());
}

/// Refuses a request that does not name its host exactly once: a proxy might have read another one.
pub(super) async fn require_host(request: Request, next: Next) -> Response {
    match Host::from_request(&request) {
        Ok(_) => next.run(request).await,
        Err(error) => Refusal::malformed(error.to_string()).into_response(),
    }
}

/// No route has this path.
pub(super) async fn not_found() -> Response {
    Refusal::missing("no resource has this path").next("see /openapi.json for the paths").into_response()
}

/// A route has this path, but not this method.
pub(super) async fn method_not_allowed() -> Response {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "method not allowed",
        "this resource does not support this method",
    )
    .next("see /openapi.json for its methods")
    .into_response()
}

/// A handler panicked; other requests go on.
pub(super) fn handle_panic(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(words, "a handler panicked");
    let mut response = Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "defect",
        "internal error",
        "the registry has a defect; see its log",
    )
    .next("report it to the registry's operator")
    .into_response();
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}
