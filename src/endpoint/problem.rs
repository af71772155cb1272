//! Refusals as OpenAI's clients read them: a status, and `{"error": {"message", "type", "param", "code"}}`.

use std::any::Any;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{MAX_REQUEST_BYTES, PATIENCE};

/// What is refused.
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

/// A refusal as it stands on the wire.
#[derive(Debug, Serialize)]
pub(super) struct Wire<'a> {
    error: &'a Problem,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), kind, param: None, code: None }
    }

    /// A field of the request cannot be used.
    pub(super) fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param), ..Self::malformed(message) }
    }

    /// The request cannot be used.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// A prompt and what is to be written do not fit.
    pub(super) fn too_long(message: impl Into<String>) -> Self {
        Self { code: Some("context_length_exceeded"), ..Self::invalid("prompt", message) }
    }

    /// Another model is served.
    pub(super) fn unknown_model(asked: &str, served: &str) -> Self {
        let message = format!("the model `{asked}` is not served here; `{served}` is");
        let this = Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message);
        Self { param: Some("model"), code: Some("model_not_found"), ..this }
    }

    /// Nobody proved that they may ask.
    pub(super) fn unauthenticated(message: impl Into<String>) -> Self {
        let this = Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message);
        Self { code: Some("invalid_api_key"), ..this }
    }

    /// A rule forbids it, or its record.
    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission_error", message)
    }

    /// As many wait as may.
    pub(super) fn busy() -> Self {
        let message = "as many completions wait as may wait here: try again in a moment";
        let this = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message);
        Self { code: Some("queue_full"), ..this }
    }

    /// More was sent than is read.
    pub(super) fn too_large() -> Self {
        let message = format!(
            "the request is larger than {} MiB, the most that is read of one: send fewer or shorter prompts",
            MAX_REQUEST_BYTES >> 20
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", message)
    }

    /// The request did not come to its end.
    pub(super) fn too_slow() -> Self {
        let message =
            format!("the whole request must come within {} seconds: send it again", PATIENCE.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", message)
    }

    /// The endpoint was asked to end.
    pub(super) fn stopping() -> Self {
        Self::unavailable("the endpoint is shutting down: ask again once it has been started anew")
    }

    /// Nobody is there who could write a text.
    pub(super) fn writer_gone() -> Self {
        let message = "nothing can be written here any more: whoever runs the endpoint has to start it anew";
        Self::unavailable(message)
    }

    /// It cannot be done now.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
    }

    /// It failed inside.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    /// As it stands on the wire.
    pub(super) fn wire(&self) -> Wire<'_> {
        Wire { error: self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.wire())).into_response();
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

/// No route has this path.
pub(super) async fn nothing_here() -> Problem {
    let message = "there are /v1/completions, /v1/models, /healthz and /metrics here";
    Problem::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
}

/// A route has this path, and another method.
pub(super) async fn not_done_here() -> Problem {
    let message = "this path does not take this method: completions are POSTed, the rest is GET";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", message)
}

/// A handler has a defect; its neighbours go on.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    Problem::failed("the endpoint has a defect; its log says where").into_response()
}
