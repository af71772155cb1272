//! Delivers responses to clients piece by piece. The place of a text is held until its response is delivered; a client that accepts
//! nothing for [`CLIENT_TIMEOUT`] counts as disconnected.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::timeout;

use super::CLIENT_TIMEOUT;

/// Maximum pieces that wait for the client.
const MAX_WAITING: usize = 16;
/// Bytes of each piece of a whole response.
const PIECE_BYTES: usize = 16 << 10;

/// The places of the texts of a request; they are free when the last clone is dropped.
pub(super) type Place = Arc<OwnedSemaphorePermit>;

/// The client has disconnected or accepts no data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disconnected;

/// A response in delivery. If it is dropped before [`Self::finish`], the body ends with an error that the client sees.
pub(super) struct Delivery {
    /// Pieces; `None` after the last one.
    to: Sender<Option<Bytes>>,
    place: Place,
    timeout_after: Duration,
}

impl Delivery {
    /// A delivery, and the body of its response.
    pub(super) fn begin(place: Place) -> (Self, Body) {
        Self::with_timeout(place, CLIENT_TIMEOUT)
    }

    fn with_timeout(place: Place, timeout_after: Duration) -> (Self, Body) {
        let (to, pieces) = channel(MAX_WAITING);
        let pieces = futures_util::stream::unfold(Some(pieces), |pieces| async {
            let mut pieces = pieces?;
            match pieces.recv().await {
                Some(Some(piece)) => Some((Ok(piece), Some(pieces))),
                Some(None) => None,
                None => Some((Err(io::Error::from(io::ErrorKind::BrokenPipe)), None)),
            }
        });
        (Self { to, place, timeout_after }, Body::from_stream(pieces))
    }

    /// Sends a piece; waits for capacity up to the timeout.
    pub(super) async fn send(&self, piece: Bytes) -> Result<(), Disconnected> {
        match timeout(self.timeout_after, self.to.send(Some(piece))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Disconnected),
        }
    }

    /// Waits until the client disconnects.
    pub(super) async fn disconnected(&self) {
        self.to.closed().await;
    }

    /// Waits until the connection has accepted the last piece. Releases the place before the client sees the end and may send again.
    pub(super) async fn finish(self) {
        let Self { to, place, timeout_after } = self;
        let is_accepted = timeout(timeout_after, to.reserve_many(MAX_WAITING)).await.is_ok();
        drop(place);
        if is_accepted {
            drop(to.try_send(None));
        }
    }
}

/// Sends a whole response in JSON. It has no Content-Length: a client that counts bytes would see the end before the place is free.
pub(super) fn send_whole(response: Vec<u8>, place: Place) -> Response {
    let (delivery, body) = Delivery::begin(place);
    tokio::spawn(async move {
        let mut rest = Bytes::from(response);
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            if delivery.send(piece).await.is_err() {
                return;
            }
        }
        delivery.finish().await;
    });
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    fn place(places: &Arc<Semaphore>) -> Place {
        Arc::new(Arc::clone(places).try_acquire_owned().unwrap())
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn a_client_that_accepts_nothing_is_disconnected_and_frees_its_place() {
        let places = Arc::new(Semaphore::new(1));
        block_on(async {
            let (delivery, body) = Delivery::with_timeout(place(&places), Duration::from_millis(50));
            for _ in 0..MAX_WAITING {
                assert_eq!(delivery.send(Bytes::from_static(b"piece")).await, Ok(()));
            }
            assert_eq!(delivery.send(Bytes::from_static(b"one more")).await, Err(Disconnected));
            assert_eq!(places.available_permits(), 0);
            delivery.finish().await;
            assert_eq!(places.available_permits(), 1);
            let broken = axum::body::to_bytes(body, usize::MAX).await;
            assert!(broken.is_err(), "the body ends with an error");
        });
    }

    #[test]
    fn a_place_is_held_until_the_last_piece_is_accepted() {
        let places = Arc::new(Semaphore::new(1));
        block_on(async {
            let answer = vec![7; 40 * PIECE_BYTES];
            let response = send_whole(answer.clone(), place(&places));
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(places.available_permits(), 0, "nothing was accepted yet");
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            assert!(body == answer);
            assert_eq!(places.available_permits(), 1, "the body has ended");
        });
    }

    #[test]
    fn a_disconnected_client_is_noticed() {
        let places = Arc::new(Semaphore::new(1));
        block_on(async {
            let (delivery, body) = Delivery::begin(place(&places));
            drop(body);
            delivery.disconnected().await;
            assert_eq!(delivery.send(Bytes::new()).await, Err(Disconnected));
        });
    }
}
