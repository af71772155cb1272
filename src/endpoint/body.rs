//! Bodies of requests: bounded in bytes, in time, and in how many are read at once.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest as _, Request};
use axum::http::StatusCode;
use tokio::time::timeout;

use super::problem::Problem;
use super::{PATIENCE, Parts, request};

/// Reads a request for completions.
pub(super) async fn read(app: &Parts, request: Request) -> Result<request::Request, Problem> {
    // Who waits here holds no more than a connection.
    let reader = timeout(PATIENCE, app.readers.acquire()).await.map_err(|_| Problem::busy())?;
    let _reader = reader.map_err(|_| Problem::stopping())?;
    // One deadline for all of it: a byte now and then does not hold the others up.
    let body = timeout(PATIENCE, Bytes::from_request(request, &())).await.map_err(|_| Problem::too_slow())?;
    request::Request::parse(&body.map_err(refused)?, &app.served)
}

fn refused(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        _ => Problem::malformed("the request broke off before its end: send it again"),
    }
}
