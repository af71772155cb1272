//! The Hugging Face download protocol: `HF_ENDPOINT=<registry>`, with a checkpoint's id as the repository.
//!
//! A public checkpoint is served in plaintext, as `hf download` and transformers expect it; any other is reported as gated, with the way to
//! request access. As in `huggingface_hub`, `GET /api/models/<repository>[/revision/<revision>]` and `/tree/<revision>` list files, `HEAD`
//! and `GET /<repository>/resolve/<revision>/<file>` describe and return one.

use std::sync::Arc;

use axum::body::Body as Sent;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::App;
use super::extract::Path;
use super::limits::{Cost, Origin};
use super::problem::Refusal;
use super::range::{self, Part};
use crate::name::CheckpointId;
use crate::registry::{Error, PublicCheckpoint, PublicRange, PublicReader};

/// The default revision.
const MAIN: &str = "main";

/// The contents of a repository.
pub(super) async fn model(State(app): State<App>, Path(repository): Path<String>) -> Response {
    match find(&app, &repository, MAIN).await {
        Ok(checkpoint) => Json(info(&repository, &checkpoint)).into_response(),
        Err(refusal) => *refusal,
    }
}

/// The contents of a repository at a revision.
pub(super) async fn revision(
    State(app): State<App>,
    Path((repository, revision)): Path<(String, String)>,
) -> Response {
    match find(&app, &repository, &revision).await {
        Ok(checkpoint) => Json(info(&repository, &checkpoint)).into_response(),
        Err(refusal) => *refusal,
    }
}

/// The files of a repository at a revision; there are no folders.
pub(super) async fn tree(
    State(app): State<App>,
    Path((repository, revision)): Path<(String, String)>,
) -> Response {
    let checkpoint = match find(&app, &repository, &revision).await {
        Ok(checkpoint) => checkpoint,
        Err(refusal) => return *refusal,
    };
    let files = checkpoint.files().iter().map(|file| {
        // Git's object ids are not known here, and clients use the SHA-256.
        let oid: String = file.sha256.to_string().chars().take(40).collect();
        json!({
            "type": "file", "path": file.name, "size": file.size, "oid": oid,
            "lfs": { "oid": file.sha256, "size": file.size, "pointerSize": 134 },
        })
    });
    Json(files.collect::<Value>()).into_response()
}

/// A file of a repository, or a range of it.
pub(super) async fn resolve(
    State(app): State<App>,
    Path((repository, revision, name)): Path<(String, String, String)>,
    Extension(origin): Extension<Origin>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let checkpoint = match find(&app, &repository, &revision).await {
        Ok(checkpoint) => checkpoint,
        Err(refusal) => return *refusal,
    };
    let files = checkpoint.files();
    let Some((at, file)) = files.iter().enumerate().find(|(_, file)| file.name == name) else {
        let words = format!("{repository} has no file {name}");
        return refuse(StatusCode::NOT_FOUND, "EntryNotFound", &words);
    };
    let tag = format!("\"{}\"", file.sha256);
    let (status, bytes) = match range::select_range(&headers, &tag, file.size) {
        Part::Whole => (StatusCode::OK, None),
        Part::Bytes(bytes) => (StatusCode::PARTIAL_CONTENT, Some(bytes)),
        Part::OutOfRange => {
            let outside = [(header::CONTENT_RANGE, format!("bytes */{}", file.size))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, outside).into_response();
        }
    };
    let (size, sha256) = (file.size, file.sha256);
    let content_range = bytes.as_ref().map(|bytes| format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1));
    let bytes = bytes.unwrap_or(0..size);
    let length = bytes.end - bytes.start;
    let body = match method {
        Method::HEAD => Sent::empty(),
        _ => match stream_plaintext(&app, &checkpoint, PublicRange { file: at, bytes }, origin).await {
            Ok(body) => body,
            Err(refusal) => return refusal.into_response(),
        },
    };
    let mut response = (status, body).into_response();
    let told = [
        ("content-type", Some("application/octet-stream".to_owned())),
        ("content-length", Some(length.to_string())),
        ("content-range", content_range),
        ("accept-ranges", Some("bytes".to_owned())),
        ("etag", Some(tag.clone())),
        ("x-linked-etag", Some(tag)),
        ("x-linked-size", Some(size.to_string())),
        ("x-repo-commit", Some(commit(&checkpoint))),
        ("x-sha256", Some(sha256.to_string())),
    ];
    for (name, value) in told {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A file's bytes in plaintext, as many chunks as the address pays for.
async fn stream_plaintext(
    app: &App,
    checkpoint: &PublicCheckpoint,
    wanted: PublicRange,
    origin: Origin,
) -> Result<Sent, Refusal> {
    app.limits.charge_address(origin, Cost::for_opening(checkpoint.first_chunk_bytes(&wanted)))?;
    let limits = app.clone();
    let pay = move |bytes| limits.limits.try_charge_address(origin, Cost::for_opening(bytes));
    let reader = PublicReader { share: origin.share(PublicReader::SHARES), charge: Arc::new(pay) };
    Ok(Sent::from_stream(checkpoint.read(wanted, reader).await?))
}

fn info(repository: &str, checkpoint: &PublicCheckpoint) -> Value {
    let files = checkpoint.files().iter().map(|file| {
        json!({
            "rfilename": file.name, "size": file.size,
            "lfs": { "sha256": file.sha256, "size": file.size, "pointerSize": 134 },
        })
    });
    let tensors = checkpoint.files().iter().any(|file| file.name.ends_with(".safetensors"));
    json!({
        "_id": commit(checkpoint), "id": repository, "modelId": repository, "sha": commit(checkpoint),
        "private": false, "gated": false, "disabled": false, "downloads": 0, "likes": 0,
        "tags": if tensors { vec!["safetensors"] } else { Vec::new() },
        "library_name": "transformers", "pipeline_tag": "text-generation",
        "siblings": files.collect::<Vec<_>>(),
    })
}

/// A commit id as Git would have one: the first digits of the sealed manifest's digest.
fn commit(checkpoint: &PublicCheckpoint) -> String {
    checkpoint.manifest.to_string().chars().take(40).collect()
}

async fn find(app: &App, repository: &str, revision: &str) -> Result<PublicCheckpoint, Box<Response>> {
    let unknown = || {
        let words = format!("there is no repository {repository}");
        Box::new(refuse(StatusCode::NOT_FOUND, "RepoNotFound", &words))
    };
    let id: CheckpointId = repository.parse().map_err(|_| unknown())?;
    let checkpoint = match app.registry.public(&id).await {
        Ok(checkpoint) => checkpoint,
        Err(Error::Gated { checkpoint, stage }) => {
            let words = format!(
                "{checkpoint} is in stage `{stage}`, which requires its board's approval: ask with `portcullis request new {checkpoint} --terms`"
            );
            return Err(Box::new(refuse(StatusCode::FORBIDDEN, "GatedRepo", &words)));
        }
        Err(Error::TooFewHandovers { .. } | Error::NotSealed { .. }) => {
            let words = format!("{id} is public, but its board has not handed over its shares yet");
            return Err(Box::new(refuse(StatusCode::FORBIDDEN, "GatedRepo", &words)));
        }
        Err(Error::Client(_) | Error::Unfounded) => return Err(unknown()),
        Err(error) => return Err(Box::new(Refusal::from(error).into_response())),
    };
    let known = [MAIN.to_owned(), commit(&checkpoint), checkpoint.manifest.to_string()];
    if known.iter().any(|known| known == revision) {
        return Ok(checkpoint);
    }
    let words = format!("{repository} has no revision {revision}");
    Err(Box::new(refuse(StatusCode::NOT_FOUND, "RevisionNotFound", &words)))
}

/// A refusal in the form that `huggingface_hub` reads.
fn refuse(status: StatusCode, code: &'static str, words: &str) -> Response {
    let mut response = (status, Json(json!({ "error": words }))).into_response();
    response.headers_mut().insert("x-error-code", HeaderValue::from_static(code));
    if let Ok(words) = HeaderValue::try_from(words) {
        response.headers_mut().insert("x-error-message", words);
    }
    response
}
