//! `/v1/models`: the served checkpoint.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::App;
use super::problem::Problem;

pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    Json(json!({ "object": "list", "data": [model(&app)] }))
}

pub(super) async fn retrieve(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let unreadable = |_| {
        Problem::malformed(
            "the name of the model is not UTF-8: GET /v1/models returns the name of the served model",
        )
    };
    let Path(name) = name.map_err(unreadable)?;
    let served = app.served.checkpoint.to_string();
    if name == served { Ok(Json(model(&app))) } else { Err(Problem::unknown_model(&name, &served)) }
}

fn model(app: &App) -> Value {
    json!({
        "id": app.served.checkpoint.to_string(),
        "object": "model",
        "created": app.since.unix_seconds(),
        "owned_by": "portcullis",
    })
}
