//! Answers whose clients take them: what waits for a client is held in small pieces, and not for ever.
//!
//! A connection that takes nothing blocks its own writes, and is cut for that. One of HTTP/2 need not: its streams have windows of their own,
//! and a client that opens none keeps each answer waiting without a single write that stalls. So every piece of an answer is counted until it is
//! written, whatever carries it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Error;
use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::http::{HeaderValue, Response, header};
use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;

/// Longest piece of an answer that waits for its client.
const PIECE: usize = 64 << 10;

/// Connections and what waits for their clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<HashMap<SocketAddr, Line>>>);

/// The answers under way on a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<Mutex<Vec<Weak<Answer>>>>);

/// An answer, for as long as any of it waits.
#[derive(Debug)]
struct Answer {
    /// Since when its client could take something of it; nothing while this program has yet to say it.
    since: Mutex<Option<Instant>>,
}

/// Bytes that are counted until they are written.
struct Piece {
    bytes: Bytes,
    answer: Arc<Answer>,
}

/// An answer's body in pieces.
struct Pieces {
    inner: BodyDataStream,
    rest: Bytes,
    answer: Arc<Answer>,
}

impl Lines {
    /// A new connection of this client.
    pub(super) fn open(&self, peer: SocketAddr) -> Line {
        let line = Line::default();
        lock(&self.0).insert(peer, line.clone());
        line
    }

    /// That connection is over; another of the same address and port may have begun.
    pub(super) fn close(&self, peer: SocketAddr, line: &Line) {
        let mut lines = lock(&self.0);
        if lines.get(&peer).is_some_and(|known| Arc::ptr_eq(&known.0, &line.0)) {
            lines.remove(&peer);
        }
    }

    /// An answer to this client, in pieces that count on its connection.
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
        // A body in pieces does not say how long it is.
        if let Some(length) = length {
            parts.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(length));
        }
        let answer = Arc::new(Answer { since: Mutex::new(Some(Instant::now())) });
        let mut answers = lock(&self.0);
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Arc::downgrade(&answer));
        drop(answers);
        Response::from_parts(parts, in_pieces(body, length, answer))
    }

    /// Whether an answer has waited so long for its client to take something of it.
    pub(super) fn is_stalled(&self, patience: Duration) -> bool {
        let answers = lock(&self.0);
        answers.iter().filter_map(Weak::upgrade).any(|answer| {
            let since = *lock(&answer.since);
            since.is_some_and(|since| since.elapsed() >= patience)
        })
    }
}

/// A body whose bytes count for `answer` until they are written. One that is here and no longer than a piece stays whole, which costs the
/// least: most answers are short.
fn in_pieces(mut body: Body, length: Option<u64>, answer: Arc<Answer>) -> Body {
    let mut rest = Bytes::new();
    if length.is_some_and(|length| length <= PIECE as u64) {
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx)
            && let Ok(bytes) = frame.into_data()
        {
            if body.is_end_stream() {
                return Body::from(Bytes::from_owner(Piece { bytes, answer }));
            }
            rest = bytes;
        }
    }
    Body::from_stream(Pieces { inner: body.into_data_stream(), rest, answer })
}

impl Answer {
    /// It is this program's turn.
    fn is_ours(&self) {
        *lock(&self.since) = None;
    }

    /// It is the client's turn, from now on.
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
    /// It was written, or nobody will.
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
