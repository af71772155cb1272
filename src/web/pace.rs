//! Paced responses: data that waits for a client is held in small pieces, and for a limited time.
//!
//! A connection that is not read blocks its own writes, and is closed for that. An HTTP/2 client can instead keep the windows of its
//! streams closed, so that responses wait without a stalled write. So every piece of a response is counted until it is written, on any
//! protocol.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Error;
use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::http::{HeaderValue, Response, header};
use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;

/// Maximum piece of a response that waits for its client.
const PIECE: usize = 64 << 10;

/// Connections with their pending responses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<HashMap<SocketAddr, Line>>>);

/// The pending responses of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<Mutex<Vec<Weak<Answer>>>>);

/// A pending response.
#[derive(Debug)]
struct Answer {
    /// Since when the client could have read more; `None` while the server has yet to produce it.
    since: Mutex<Option<Instant>>,
}

/// Bytes that are counted until they are written.
struct Piece {
    bytes: Bytes,
    answer: Arc<Answer>,
}

/// A response body in pieces.
struct Pieces {
    inner: BodyDataStream,
    rest: Bytes,
    answer: Arc<Answer>,
}

impl Lines {
    /// Registers a new connection of this client.
    pub(super) fn open(&self, peer: SocketAddr) -> Line {
        let line = Line::default();
        lock(&self.0).insert(peer, line.clone());
        line
    }

    /// Removes the connection, unless another one has taken its address and port.
    pub(super) fn close(&self, peer: SocketAddr, line: &Line) {
        let mut lines = lock(&self.0);
        if lines.get(&peer).is_some_and(|known| Arc::ptr_eq(&known.0, &line.0)) {
            lines.remove(&peer);
        }
    }

    /// Paces a response to this client.
    pub(crate) fn pace(&self, peer: SocketAddr, response: Response<Body>) -> Response<Body> {
        let line = lock(&self.0).get(&peer).cloned();
        match line {
            Some(line) => line.pace(response),
            None => response,
        }
    }
}

impl Line {
    fn pace(&self, response: Response<Body>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        let length = body.size_hint().exact();
        if length == Some(0) {
            return Response::from_parts(parts, body);
        }
        // A stream body has no length of its own.
        if let Some(length) = length {
            parts.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(length));
        }
        let answer = Arc::new(Answer { since: Mutex::new(Some(Instant::now())) });
        let mut answers = lock(&self.0);
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Arc::downgrade(&answer));
        drop(answers);
        let pieces = Pieces { inner: body.into_data_stream(), rest: Bytes::new(), answer };
        Response::from_parts(parts, Body::from_stream(pieces))
    }

    /// Whether a response has waited for its client for so long.
    pub(super) fn is_stalled(&self, patience: Duration) -> bool {
        let answers = lock(&self.0);
        answers.iter().filter_map(Weak::upgrade).any(|answer| {
            let since = *lock(&answer.since);
            since.is_some_and(|since| since.elapsed() >= patience)
        })
    }
}

impl Answer {
    /// The server must produce data next.
    fn is_ours(&self) {
        *lock(&self.since) = None;
    }

    /// The client must read next.
    fn is_theirs(&self) {
        *lock(&self.since) = Some(Instant::now());
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.answer.is_ours();
        while self.rest.is_empty() {
            match self.inner.poll_next_unpin(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(bytes))) => self.rest = bytes,
                Poll::Ready(end) => {
                    self.answer.is_theirs();
                    return Poll::Ready(end);
                }
            }
        }
        let length = self.rest.len().min(PIECE);
        let bytes = self.rest.split_to(length);
        self.answer.is_theirs();
        let piece = Piece { bytes, answer: Arc::clone(&self.answer) };
        Poll::Ready(Some(Ok(Bytes::from_owner(piece))))
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    /// The piece was written or discarded.
    fn drop(&mut self) {
        let mut since = lock(&self.answer.since);
        if since.is_some() {
            *since = Some(Instant::now());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn paced(line: &Line, body: Body) -> (Response<()>, BodyDataStream) {
        let (parts, body) = line.pace(Response::new(body)).into_parts();
        (Response::from_parts(parts, ()), body.into_data_stream())
    }

    #[tokio::test]
    async fn an_answer_comes_in_small_pieces_each_of_which_counts_until_it_is_written() {
        let line = Line::default();
        let (head, mut pieces) = paced(&line, Body::from(vec![7; 3 * PIECE + 1]));
        assert_eq!(head.headers()["content-length"], (3 * PIECE + 1).to_string());
        let mut came = Vec::new();
        while let Some(piece) = pieces.next().await {
            came.push(piece.unwrap());
        }
        assert_eq!(came.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE, PIECE, PIECE, 1]);
        drop(pieces);
        tokio::time::sleep(PATIENCE).await;
        assert!(line.is_stalled(PATIENCE), "nothing was written, though all was handed over");
        came.pop();
        assert!(!line.is_stalled(PATIENCE), "something was");
        tokio::time::sleep(PATIENCE).await;
        assert!(line.is_stalled(PATIENCE));
        came.clear();
        assert!(!line.is_stalled(PATIENCE), "all was");
    }

    #[tokio::test]
    async fn an_answer_that_this_program_is_slow_with_is_not_its_clients_fault() {
        let line = Line::default();
        let (_, mut pieces) =
            paced(&line, Body::from_stream(futures_util::stream::pending::<Result<Bytes, Error>>()));
        assert!(futures_util::poll!(pieces.next()).is_pending());
        tokio::time::sleep(PATIENCE * 2).await;
        assert!(!line.is_stalled(PATIENCE));
        let (_, unasked) = paced(&line, Body::from("text"));
        tokio::time::sleep(PATIENCE).await;
        assert!(line.is_stalled(PATIENCE), "nobody asked for a first piece");
        drop(unasked);
        assert!(!line.is_stalled(PATIENCE));
    }
}
