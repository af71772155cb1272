//! Connections: bounded in number, and cut where a client takes nothing of what it is sent.

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Takes connections while there is room.
#[derive(Clone)]
pub(crate) struct Acceptor {
    room: Arc<Semaphore>,
    patience: Duration,
}

impl Acceptor {
    /// Takes `max` connections at a time, one more is closed at once, and cuts one off that has taken nothing for so long.
    pub(crate) fn new(max: usize, patience: Duration) -> Self {
        Self { room: Arc::new(Semaphore::new(max)), patience }
    }
}

impl<I, S> Accept<I, S> for Acceptor {
    type Stream = Connection<I>;
    type Service = S;
    type Future = Ready<io::Result<(Connection<I>, S)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let full = |_| io::Error::other("as many connections are open as may be");
        let place = Arc::clone(&self.room).try_acquire_owned().map_err(full);
        let (patience, stalled) = (self.patience, None);
        ready(place.map(|place| (Connection { stream, patience, stalled, _place: place }, service)))
    }
}

/// A connection whose writes do not wait for ever.
pub(crate) struct Connection<I> {
    stream: I,
    patience: Duration,
    /// Ends when a client has taken nothing for too long.
    stalled: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl<I> Connection<I> {
    fn bounded<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Connection<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Connection<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.bounded(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing, and calls nobody back.
    struct Full;

    impl AsyncWrite for Full {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_connection_that_takes_nothing_is_cut_and_its_room_free() {
        let acceptor = Acceptor::new(1, Duration::from_millis(50));
        let accepted = || acceptor.accept(Full, ()).into_inner();
        let (mut one, ()) = accepted().unwrap();
        assert!(accepted().is_err(), "there is room for one");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let written = runtime.block_on(std::future::poll_fn(|cx| Pin::new(&mut one).poll_write(cx, b"text")));
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(one);
        assert!(accepted().is_ok());
    }
}
