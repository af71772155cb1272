//! Reads request bodies, with limits on bytes, time, and concurrent reads.

use axum::body::Body;
use axum::extract::Request;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::problem::Problem;
use super::request::CompletionRequest;
use super::{AppState, CLIENT_TIMEOUT, MAX_REQUEST_BYTES};

/// Bytes after which the connection is closed. Up to here a body that is too large is read and dropped, so that the client receives the
/// response instead of a reset connection.
const MAX_DRAINED: usize = 8 * MAX_REQUEST_BYTES;

/// Reads and parses a request for completions.
pub(super) async fn read(app: &AppState, request: Request) -> Result<CompletionRequest, Problem> {
    // A request that waits here holds no memory but its connection.
    let reader = timeout(CLIENT_TIMEOUT, app.readers.acquire()).await.map_err(|_| Problem::busy())?;
    let _reader = reader.map_err(|_| Problem::stopping())?;
    // One deadline for the whole body, so a slow client cannot block the others.
    let body =
        timeout(CLIENT_TIMEOUT, collect(request.into_body())).await.map_err(|_| Problem::too_slow())?;
    CompletionRequest::parse(&body?, &app.served)
}

async fn collect(body: Body) -> Result<Vec<u8>, Problem> {
    let mut pieces = body.into_data_stream();
    let (mut body, mut received) = (Vec::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Problem::malformed("the request body is incomplete: send it again"))?;
        received += piece.len();
        if received <= MAX_REQUEST_BYTES {
            body.extend_from_slice(&piece);
        } else if received <= MAX_DRAINED {
            body = Vec::new();
        } else {
            break;
        }
    }
    if received > MAX_REQUEST_BYTES { Err(Problem::too_large()) } else { Ok(body) }
}
