//! `/openapi.json`: the API's description, generated from the handlers.

use std::sync::OnceLock;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use utoipa::OpenApi as _;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use crate::api::{Problem, WorkDemand};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Portcullis registry",
        description = "Staged release for model weights: statements in, statements out. Every statement is a DSSE envelope that proves \
                       itself; private reads take a bearer that POST /v1/sessions hands out for a signed challenge.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(Problem, WorkDemand))
)]
struct Description;

/// The description without its routes.
pub(super) fn base() -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    let components = description.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    description
}

/// The description of the API (OpenAPI 3.1).
pub fn document() -> utoipa::openapi::OpenApi {
    super::routes().into_openapi()
}

pub(super) async fn get() -> Response {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    // utoipa's types serialize, so the body is never empty.
    let text = DOCUMENT.get_or_init(|| document().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], Body::from(text.as_str())).into_response()
}
