//! An endpoint that runs: it listens, and ends when asked, every record written.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use axum_server::Handle;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::sync::Semaphore;

use super::clerk::{self, Ledger, ToClerk};
use super::writer::{self, Room};
use super::{App, Key, Parts, Served, router};
use crate::inference::KeyValueCache;
use crate::time::Timestamp;

/// How long answers under way may take once the endpoint was asked to end.
const GRACE: Duration = Duration::from_secs(3);
/// How long a client may take over the head of its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// Memory for what texts have read, those under way and those that are kept for others that begin alike.
const CACHED_BYTES: u64 = 2 << 30;
/// Bounds of the histograms of times, in seconds.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];

/// How an endpoint is to run.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What clients must prove to have.
    pub key: Option<Key>,
    /// Most texts under way and waiting.
    pub most_texts: usize,
    /// Most texts that are written at a time.
    pub at_a_time: usize,
}

/// Why an endpoint cannot run.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Others than this machine could ask, and none of them would have to prove anything.
    #[error("it would listen on {listen}, where others can reach it, without a key")]
    NoKey {
        /// Where.
        listen: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The system gives no threads.
    #[error("cannot start the endpoint's threads")]
    Threads(#[source] io::Error),
    /// Measurements cannot be taken.
    #[error("cannot measure: {0}")]
    Metrics(String),
    /// Serving failed.
    #[error("serving failed")]
    Io(#[source] io::Error),
}

impl Settings {
    /// Refuses to answer others than this machine without a key.
    ///
    /// # Errors
    /// [`EndpointError::NoKey`].
    pub fn require_private_or_key(&self) -> Result<(), EndpointError> {
        if self.key.is_some() || self.listen.ip().is_loopback() {
            return Ok(());
        }
        Err(EndpointError::NoKey { listen: self.listen })
    }
}

/// An endpoint that listens already.
pub struct Endpoint {
    app: App,
    listener: TcpListener,
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    threads: [thread::JoinHandle<()>; 2],
}

impl Endpoint {
    /// Listens where the settings say.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn bind(
        served: Served,
        mut ledger: Box<dyn Ledger>,
        settings: Settings,
    ) -> Result<Self, EndpointError> {
        settings.require_private_or_key()?;
        let refused = |source| EndpointError::Listen { listen: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .map_err(|error| EndpointError::Metrics(error.to_string()))?
            .build_recorder();
        let metrics = recorder.handle();
        // A process has one recorder; a second endpoint in it measures into the first's.
        drop(metrics::set_global_recorder(recorder));
        let served = Arc::new(served);
        let room = room(&served, settings.at_a_time);
        let (to_clerk, at_clerk) = mpsc::channel();
        let (to_writer, at_writer) = mpsc::channel();
        let (of_clerk, of_writer) = (Arc::clone(&served), Arc::clone(&served));
        let ended = to_clerk.clone();
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let spawned = thread::Builder::new().name(format!("portcullis-{name}")).spawn(work);
            spawned.map_err(EndpointError::Threads)
        };
        let clerk = move || clerk::keep(&at_clerk, to_writer, &of_clerk, &mut *ledger);
        let writer = move || writer::write(&at_writer, &ended, &of_writer, room);
        let threads = [spawn("clerk", Box::new(clerk))?, spawn("writer", Box::new(writer))?];
        let most_texts = settings.most_texts.clamp(1, Semaphore::MAX_PERMITS);
        let app = Arc::new(Parts {
            served,
            since: Timestamp::now(),
            key: settings.key,
            loopback: settings.listen.ip().is_loopback(),
            places: Arc::new(Semaphore::new(most_texts)),
            most_texts,
            clerk: to_clerk,
            metrics,
        });
        Ok(Self { app, listener, address, handle: Handle::new(), threads })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What ends it.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let handle = self.handle.clone();
        move || handle.graceful_shutdown(Some(GRACE))
    }

    /// Serves until it is stopped, and until every record is written.
    ///
    /// # Errors
    /// [`EndpointError::Io`].
    pub async fn run(self) -> Result<(), EndpointError> {
        let Self { app, listener, handle, threads, .. } = self;
        let service = router(Arc::clone(&app)).into_make_service();
        let server = axum_server::from_tcp(listener).map_err(EndpointError::Io)?;
        let server = server.handle(handle).first_request_timeout(FIRST_REQUEST);
        let served = server.serve(service).await.map_err(EndpointError::Io);
        // Texts under way are cancelled, and recorded so.
        drop(app.clerk.send(ToClerk::Close));
        drop(app);
        for thread in threads {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
        served
    }
}

/// As many texts at a time as were asked for and as half of the memory has place for; the other half keeps beginnings.
fn room(served: &Served, at_a_time: usize) -> Room {
    let each = KeyValueCache::bytes_of(&served.model, served.model.config().context).max(1);
    let fit = usize::try_from(CACHED_BYTES / 2 / each).unwrap_or(usize::MAX).max(1);
    Room { texts: at_a_time.clamp(1, fit), kept_bytes: CACHED_BYTES / 2 }
}
