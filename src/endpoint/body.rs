//! Bodies of requests: bounded in bytes, in time, and in how many are read at once.

use axum::body::Body;
use axum::extract::Request;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::problem::Problem;
use super::{MAX_REQUEST_BYTES, PATIENCE, Parts, request};

/// Bytes after which nobody listens any more. Up to there a body that is too large is read and thrown away: its client would find
/// the connection cut, and not the answer.
const MAX_HEARD: usize = 8 * MAX_REQUEST_BYTES;

/// Reads a request for completions.
pub(super) async fn read(app: &Parts, request: Request) -> Result<request::Request, Problem> {
    // Who waits here holds no more than a connection.
    let reader = timeout(PATIENCE, app.readers.acquire()).await.map_err(|_| Problem::busy())?;
    let _reader = reader.map_err(|_| Problem::stopping())?;
    // One deadline for all of it: a byte now and then does not hold the others up.
    let body = timeout(PATIENCE, collect(request.into_body())).await.map_err(|_| Problem::too_slow())?;
    request::Request::parse(&body?, &app.served)
}

async fn collect(body: Body) -> Result<Vec<u8>, Problem> {
    let mut pieces = body.into_data_stream();
    let (mut kept, mut heard) = (Vec::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece =
            piece.map_err(|_| Problem::malformed("the request broke off before its end: send it again"))?;
        heard += piece.len();
        if heard <= MAX_REQUEST_BYTES {
            kept.extend_from_slice(&piece);
        } else if heard <= MAX_HEARD {
            kept = Vec::new();
        } else {
            break;
        }
    }
    if heard > MAX_REQUEST_BYTES { Err(Problem::too_large()) } else { Ok(kept) }
}
