//! A small load tool: HTTP/1.1 on connections that stay open, one request in flight on each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep_until;

/// Longest answer that is read.
const MAX: usize = 64 << 20;

/// What was measured.
pub(crate) struct Report {
    /// Seconds that each answer took, ascending. Where a rate was asked for, from the instant at which the request was due.
    pub(crate) seconds: Vec<f64>,
    /// Answers that were not 2xx.
    pub(crate) refused: usize,
    /// How long all of it took.
    pub(crate) lasted: f64,
}

impl Report {
    pub(crate) fn per_second(&self) -> f64 {
        self.seconds.len() as f64 / self.lasted
    }

    /// Milliseconds that so large a part of the answers took at most.
    pub(crate) fn milliseconds(&self, part: f64) -> f64 {
        let place = (self.seconds.len() as f64 * part).ceil() as usize;
        self.seconds.get(place.saturating_sub(1)).copied().unwrap_or_default() * 1000.0
    }

    fn of(parts: Vec<(Vec<f64>, usize)>, begun: Instant) -> Self {
        let lasted = begun.elapsed().as_secs_f64();
        let refused = parts.iter().map(|(_, refused)| refused).sum();
        let mut seconds: Vec<f64> = parts.into_iter().flat_map(|(seconds, _)| seconds).collect();
        seconds.sort_by(f64::total_cmp);
        Self { seconds, refused, lasted }
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, bearer: Option<&str>, body: &str) -> Vec<u8> {
    let bearer = bearer.map(|bearer| format!("Authorization: Bearer {bearer}\r\n")).unwrap_or_default();
    let body_head = if body.is_empty() && method == "GET" {
        String::new()
    } else {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    };
    format!("{method} {path} HTTP/1.1\r\nHost: registry\r\n{bearer}{body_head}\r\n{body}").into_bytes()
}

/// A connection that stays open.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Sends a request and reads the whole answer: its status and body.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> (u16, Vec<u8>) {
        self.stream.write_all(request).await.unwrap();
        self.buffer.clear();
        let end = loop {
            self.more().await;
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        assert!(length <= MAX);
        while self.buffer.len() < end + length {
            self.more().await;
        }
        (status, self.buffer[end..end + length].to_vec())
    }

    async fn more(&mut self) {
        let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
        assert!(read > 0, "the server closed the connection");
    }
}

/// As many requests as so many connections can send, each its next as soon as the last was answered.
pub(crate) async fn as_fast_as_can_be(
    address: SocketAddr,
    connections: usize,
    lasting: Duration,
    requests: Vec<Vec<u8>>,
) -> Report {
    let begun = Instant::now();
    let requests = Arc::new(requests);
    let workers = (0..connections).map(|worker| {
        let requests = requests.clone();
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            let (mut seconds, mut refused) = (Vec::new(), 0);
            while begun.elapsed() < lasting {
                let request = &requests[(worker + seconds.len()) % requests.len()];
                let sent = Instant::now();
                let (status, _) = connection.ask(request).await;
                seconds.push(sent.elapsed().as_secs_f64());
                refused += usize::from(!(200..300).contains(&status));
            }
            (seconds, refused)
        })
    });
    let workers: Vec<_> = workers.collect();
    let mut parts = Vec::new();
    for worker in workers {
        parts.push(worker.await.unwrap());
    }
    Report::of(parts, begun)
}

/// Steps at a fixed rate, whether or not the ones before are done; each is measured from when it was due.
pub(crate) async fn at_a_rate<F>(
    (address, connections): (SocketAddr, usize),
    (per_second, count): (f64, usize),
    step: impl Fn(usize) -> F + Send + Sync + 'static,
) -> Report
where
    F: AsyncStep,
{
    let begun = Instant::now();
    let (next, step) = (Arc::new(AtomicUsize::new(0)), Arc::new(step));
    let workers = (0..connections).map(|_| {
        let (next, step) = (next.clone(), step.clone());
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            let (mut seconds, mut refused) = (Vec::new(), 0);
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return (seconds, refused);
                }
                let due = begun + Duration::from_secs_f64(number as f64 / per_second);
                sleep_until(due.into()).await;
                let done = step(number).take(&mut connection).await;
                seconds.push(due.elapsed().as_secs_f64());
                refused += usize::from(!done);
            }
        })
    });
    let workers: Vec<_> = workers.collect();
    let mut parts = Vec::new();
    for worker in workers {
        parts.push(worker.await.unwrap());
    }
    Report::of(parts, begun)
}

/// What is done on a connection; whether all of it was answered with 2xx.
pub(crate) trait AsyncStep: Send + 'static {
    fn take(self, connection: &mut Connection) -> impl Future<Output = bool> + Send;
}

/// One request.
pub(crate) struct Once(pub(crate) Arc<Vec<u8>>);

impl AsyncStep for Once {
    async fn take(self, connection: &mut Connection) -> bool {
        let (status, _) = connection.ask(&self.0).await;
        (200..300).contains(&status)
    }
}
