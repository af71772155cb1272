//! Errors in the format of OpenAI's API: a status, and `{"error": {"message", "type", "param", "code"}}`.

use std::any::Any;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{CLIENT_TIMEOUT, MAX_REQUEST_BYTES};

/// An error response.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Problem {
    #[serde(skip)]
    status: StatusCode,
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

/// The JSON body of an error.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody<'a> {
    error: &'a Problem,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), kind, param: None, code: None }
    }

    /// 400: a field of the request is invalid.
    pub(super) fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param), ..Self::malformed(message) }
    }

    /// 400: the request is invalid.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// 400: the prompt and `max_tokens` do not fit the context.
    pub(super) fn too_long(message: impl Into<String>) -> Self {
        Self { code: Some("context_length_exceeded"), ..Self::invalid("prompt", message) }
    }

    /// 404: the request names another model.
    pub(super) fn unknown_model(asked: &str, served: &str) -> Self {
        let message = format!("the model `{asked}` is not served; `{served}` is");
        let this = Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message);
        Self { param: Some("model"), code: Some("model_not_found"), ..this }
    }

    /// 401: the API key is missing or wrong.
    pub(super) fn unauthenticated(message: impl Into<String>) -> Self {
        let this = Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message);
        Self { code: Some("invalid_api_key"), ..this }
    }

    /// 403: a rule or the access check forbids the request.
    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission_error", message)
    }

    /// 429: the queue is full.
    pub(super) fn busy() -> Self {
        let message = "the queue of completions is full: try again later";
        let this = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message);
        Self { code: Some("queue_full"), ..this }
    }

    /// 413: the body is too large.
    pub(super) fn too_large() -> Self {
        let message = format!(
            "the request is larger than the maximum of {} MiB: send fewer or shorter prompts",
            MAX_REQUEST_BYTES >> 20
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", message)
    }

    /// 408: the body did not arrive in time.
    pub(super) fn too_slow() -> Self {
        let message = format!(
            "the whole request must arrive within {} seconds: send it again",
            CLIENT_TIMEOUT.as_secs()
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", message)
    }

    /// 503: the endpoint shuts down.
    pub(super) fn stopping() -> Self {
        Self::unavailable("the endpoint is shutting down: try again after it has restarted")
    }

    /// 503: the generation thread has ended.
    pub(super) fn generation_crashed() -> Self {
        Self::unavailable("the generation thread crashed: the operator must restart the endpoint")
    }

    /// 503: the request cannot be served now.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
    }

    /// 500: an internal error.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    /// The JSON body.
    pub(super) fn body(&self) -> ErrorBody<'_> {
        ErrorBody { error: self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// 404: no route has this path.
pub(super) async fn not_found() -> Problem {
    let message = "no such path: the endpoint serves /v1/completions, /v1/models, /healthz and /metrics";
    Problem::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
}

/// 405: the route has another method.
pub(super) async fn method_not_allowed() -> Problem {
    let message = "method not allowed: use POST for /v1/completions and GET for the other paths";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", message)
}

/// 500: a handler panicked.
pub(super) fn handle_panic(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    Problem::failed("internal error: the log of the endpoint has the reason").into_response()
}
