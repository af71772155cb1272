//! Hands answers to clients piece by piece. A text's place is taken until its answer was delivered; who takes nothing for a while is
//! gone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::timeout;

use super::PATIENCE;

/// Most pieces that wait for their client.
const WAITING: usize = 16;
/// Bytes of each piece of a whole answer.
const PIECE: usize = 16 << 10;

/// Places of a request's texts, which are free once nobody holds them any more.
pub(super) type Place = Arc<OwnedSemaphorePermit>;

/// The client went away, or takes nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// An answer on its way. Dropped before it is finished, it breaks off where the client can see it.
pub(super) struct Delivery {
    /// Pieces, and none behind the last.
    to: Sender<Option<Bytes>>,
    place: Place,
    patience: Duration,
}

impl Delivery {
    /// An answer, and its body to give to the connection.
    pub(super) fn begin(place: Place) -> (Self, Body) {
        Self::patient(place, PATIENCE)
    }

    fn patient(place: Place, patience: Duration) -> (Self, Body) {
        let (to, pieces) = channel(WAITING);
        let pieces = futures_util::stream::unfold(Some(pieces), |pieces| async {
            let mut pieces = pieces?;
            match pieces.recv().await {
                Some(Some(piece)) => Some((Ok(piece), Some(pieces))),
                Some(None) => None,
                None => Some((Err(io::Error::from(io::ErrorKind::BrokenPipe)), None)),
            }
        });
        (Self { to, place, patience }, Body::from_stream(pieces))
    }

    /// Waits until there is room for a piece, as long as a client may take nothing.
    pub(super) async fn send(&self, piece: Bytes) -> Result<(), Gone> {
        match timeout(self.patience, self.to.send(Some(piece))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    /// Waits until the client is gone.
    pub(super) async fn gone(&self) {
        self.to.closed().await;
    }

    /// Waits until the connection has taken the last piece. The place is free before the client sees the end, and may ask again.
    pub(super) async fn finish(self) {
        let Self { to, place, patience } = self;
        let is_taken = timeout(patience, to.reserve_many(WAITING)).await.is_ok();
        drop(place);
        if is_taken {
            drop(to.try_send(None));
        }
    }
}

/// A whole answer in JSON. Its length is not told ahead: whoever counted would see the end before the place is free.
pub(super) fn whole(answer: Vec<u8>, place: Place) -> Response {
    let (delivery, body) = Delivery::begin(place);
    tokio::spawn(async move {
        let mut rest = Bytes::from(answer);
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE));
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
    fn a_client_that_takes_nothing_is_gone_and_its_place_free() {
        let places = Arc::new(Semaphore::new(1));
        block_on(async {
            let (delivery, body) = Delivery::patient(place(&places), Duration::from_millis(50));
            for _ in 0..WAITING {
                assert_eq!(delivery.send(Bytes::from_static(b"piece")).await, Ok(()));
            }
            assert_eq!(delivery.send(Bytes::from_static(b"one more")).await, Err(Gone));
            assert_eq!(places.available_permits(), 0);
            delivery.finish().await;
            assert_eq!(places.available_permits(), 1);
            let broken = axum::body::to_bytes(body, usize::MAX).await;
            assert!(broken.is_err(), "what was not taken in time breaks off");
        });
    }

    #[test]
    fn a_place_is_taken_until_the_last_piece_is() {
        let places = Arc::new(Semaphore::new(1));
        block_on(async {
            let answer = vec![7; 40 * PIECE];
            let response = whole(answer.clone(), place(&places));
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(places.available_permits(), 0, "nothing was taken yet");
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            assert!(body == answer);
            assert_eq!(places.available_permits(), 1, "the end was seen");
        });
    }

    #[test]
    fn a_client_that_goes_away_is_noticed() {
        let places = Arc::new(Semaphore::new(1));
        block_on(async {
            let (delivery, body) = Delivery::begin(place(&places));
            drop(body);
            delivery.gone().await;
            assert_eq!(delivery.send(Bytes::new()).await, Err(Gone));
        });
    }
}
