//! Private answers: handlers can make one only from an answer of the registry's gate, and they are not cached.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::registry::PrivateAnswer;

/// A private answer as JSON.
pub(super) struct Private<T>(pub(super) PrivateAnswer<T>);

/// A private answer whose text is JSON already.
pub(super) struct PrivateText<T>(pub(super) PrivateAnswer<T>);

impl<T: Serialize> IntoResponse for Private<T> {
    fn into_response(self) -> Response {
        (NO_STORE, Json(self.0.into_inner())).into_response()
    }
}

impl<T: Into<Vec<u8>>> IntoResponse for PrivateText<T> {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json")];
        (NO_STORE, json, self.0.into_inner().into()).into_response()
    }
}

const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];
