//! Connections: limited in number, and closed if a client does not read what it is sent.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use super::pace::{Line, Lines};

/// Checks per patience whether a client reads its responses.
const LOOKS: u32 = 4;

/// The address of a host, or of a household's network: one household has a whole /64 of IPv6 addresses.
pub(crate) fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A stream that knows its peer.
pub(crate) trait Peer {
    /// The peer's address.
    fn peer(&self) -> io::Result<SocketAddr>;
}

impl Peer for TcpStream {
    fn peer(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }
}

/// Accepts connections up to the limits.
#[derive(Clone)]
pub(crate) struct Acceptor {
    room: Arc<Semaphore>,
    /// Maximum connections per household, if limited.
    share: Option<usize>,
    households: Arc<Mutex<HashMap<IpAddr, usize>>>,
    lines: Lines,
    patience: Duration,
}

impl Acceptor {
    /// Accepts at most `max` connections, and closes those whose client has read nothing for `patience`.
    pub(crate) fn new(max: usize, patience: Duration) -> Self {
        let (room, lines) = (Arc::new(Semaphore::new(max)), Lines::default());
        Self { room, share: None, households: Arc::default(), lines, patience }
    }

    /// Limits the connections per household.
    pub(crate) fn sharing(mut self, share: usize) -> Self {
        self.share = Some(share);
        self
    }

    /// The connections, for pacing responses.
    pub(crate) fn lines(&self) -> Lines {
        self.lines.clone()
    }

    fn place(&self, peer: SocketAddr) -> io::Result<Place> {
        let full = |_| io::Error::other("too many connections are open");
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(full)?;
        let household = household(peer.ip());
        let mut households = self.households.lock().unwrap_or_else(PoisonError::into_inner);
        let count = households.entry(household).or_default();
        if self.share.is_some_and(|share| *count >= share) {
            return Err(io::Error::other("too many connections of one address are open"));
        }
        *count += 1;
        drop(households);
        let (households, lines) = (Arc::clone(&self.households), self.lines.clone());
        Ok(Place { peer, households, line: lines.open(peer), lines, _room: room })
    }
}

/// A connection's place within the limits, released on drop.
struct Place {
    peer: SocketAddr,
    households: Arc<Mutex<HashMap<IpAddr, usize>>>,
    lines: Lines,
    line: Line,
    _room: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lines.close(self.peer, &self.line);
        let household = household(self.peer.ip());
        let mut households = self.households.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = households.get_mut(&household) {
            *count -= 1;
            if *count == 0 {
                households.remove(&household);
            }
        }
    }
}

impl<I: Peer, S> Accept<I, S> for Acceptor {
    type Stream = Connection<I>;
    type Service = S;
    type Future = Ready<io::Result<(Connection<I>, S)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let place = stream.peer().and_then(|peer| self.place(peer));
        ready(place.map(|place| {
            let patience = self.patience;
            (Connection { stream, patience, stalled: None, look: None, place }, service)
        }))
    }
}

/// A connection whose writes and responses do not wait forever.
pub(crate) struct Connection<I> {
    stream: I,
    patience: Duration,
    /// Fires if a client has read nothing for too long.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Fires when the responses are to be checked.
    look: Option<Pin<Box<Sleep>>>,
    place: Place,
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

    /// Fails if a response was not read for too long.
    fn watched(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pause = self.patience / LOOKS;
        let look = self.look.get_or_insert_with(|| Box::pin(sleep(pause)));
        while look.as_mut().poll(cx).is_ready() {
            if self.place.line.is_stalled(self.patience) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            look.as_mut().reset(Instant::now() + pause);
        }
        Poll::Pending
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Connection<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Pending => self.watched(cx),
            read => read,
        }
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

    /// Takes nothing, sends nothing, and calls nobody back.
    struct Full(u8);

    impl Peer for Full {
        fn peer(&self) -> io::Result<SocketAddr> {
            Ok(([192, 0, 2, self.0], 443).into())
        }
    }

    impl AsyncRead for Full {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

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
        let accepted = || acceptor.accept(Full(1), ()).into_inner();
        let (mut one, ()) = accepted().unwrap();
        assert!(accepted().is_err(), "there is room for one");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let written = runtime.block_on(std::future::poll_fn(|cx| Pin::new(&mut one).poll_write(cx, b"text")));
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(one);
        assert!(accepted().is_ok());
    }

    #[test]
    fn one_household_leaves_room_for_others() {
        let acceptor = Acceptor::new(3, Duration::from_secs(1)).sharing(2);
        let accepted = |host| acceptor.accept(Full(host), ()).into_inner();
        let held = [accepted(1).unwrap(), accepted(1).unwrap()];
        assert!(accepted(1).is_err());
        assert!(accepted(2).is_ok());
        drop(held);
        assert!(accepted(1).is_ok());
        assert!(acceptor.households.lock().unwrap().is_empty(), "nobody is remembered who left");
    }

    #[test]
    fn a_household_is_one_and_a_mapped_address_is_its_host() {
        let of = |text: &str| household(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[tokio::test]
    async fn a_connection_whose_answer_is_not_taken_is_cut() {
        let acceptor = Acceptor::new(1, Duration::from_millis(200));
        let (mut connection, ()) = acceptor.accept(Full(1), ()).await.unwrap();
        let response = axum::http::Response::new(axum::body::Body::from("text"));
        let answer = acceptor.lines().pace(Full(1).peer().unwrap(), response);
        let mut bytes = [0; 8];
        let mut buffer = ReadBuf::new(&mut bytes);
        let begun = Instant::now();
        let read = std::future::poll_fn(|cx| Pin::new(&mut connection).poll_read(cx, &mut buffer)).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= Duration::from_millis(200));
        drop(answer);
    }
}
