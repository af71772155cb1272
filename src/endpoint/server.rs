//! The server of the endpoint: listens, serves, and shuts down after every record is written.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use axum_server::Handle;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use super::recorder::{self, Ledger, RecorderCommand};
use super::writer::{self, BatchLimits};
use super::{App, AppState, CLIENT_TIMEOUT, Key, MAX_READERS, Served, router};
use crate::inference::{self, KeyValueCache};
use crate::time::Timestamp;
use crate::web::Acceptor;

/// Time for clients to receive their last events during shutdown.
const GRACE: Duration = Duration::from_secs(3);
/// Timeout for the head of the first request on a connection.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum concurrent connections.
const MAX_CONNECTIONS: usize = 2048;
/// Interval at which metrics that were not scraped are aggregated.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Memory for key-value caches: half for running sequences, half for the prefix cache.
const CACHE_BYTES: u64 = 2 << 30;
/// Buckets of the histograms of times, in seconds.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];

/// The configuration of an endpoint.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Address to listen on.
    pub(crate) listen: SocketAddr,
    /// The API key that clients must send; required unless `listen` is a loopback address.
    pub(crate) key: Option<Key>,
    /// Maximum completions running or queued.
    pub(crate) max_texts: usize,
    /// Maximum completions in a batch.
    pub(crate) max_batch: usize,
}

/// An error of starting or running an endpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error("an API key is required to listen on {listen}, which other machines can reach")]
    NoKey { listen: SocketAddr },
    #[error("cannot listen on {listen}")]
    Listen { listen: SocketAddr, source: io::Error },
    #[error(transparent)]
    Model(inference::Error),
    #[error("cannot start the endpoint's threads")]
    Threads(#[source] io::Error),
    #[error("cannot set up metrics: {0}")]
    Metrics(String),
    #[error("serving failed")]
    Io(#[source] io::Error),
}

impl Settings {
    /// Requires a key unless the address is a loopback address.
    ///
    /// # Errors
    /// [`EndpointError::NoKey`].
    pub(crate) fn require_private_or_key(&self) -> Result<(), EndpointError> {
        if self.key.is_some() || self.listen.ip().is_loopback() {
            return Ok(());
        }
        Err(EndpointError::NoKey { listen: self.listen })
    }
}

/// A bound address. Bind it before loading a model, which may take minutes; clients that connect meanwhile wait.
pub(crate) struct EndpointListener {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
}

impl EndpointListener {
    /// Binds the address of the settings.
    ///
    /// # Errors
    /// [`EndpointError::NoKey`], [`EndpointError::Listen`].
    pub(crate) fn new(settings: Settings) -> Result<Self, EndpointError> {
        settings.require_private_or_key()?;
        let refused = |source| EndpointError::Listen { listen: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address, settings })
    }
}

/// An endpoint that is ready to serve.
pub(crate) struct Endpoint {
    app: App,
    listener: TcpListener,
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    shutdown: Arc<Shutdown>,
    threads: [thread::JoinHandle<()>; 2],
}

/// The request to shut down.
#[derive(Default)]
struct Shutdown {
    requested: Arc<AtomicBool>,
    wake: Notify,
}

impl Endpoint {
    /// Starts the recorder and the writer thread.
    ///
    /// # Errors
    /// [`EndpointError::Model`] if the draft does not fit, [`EndpointError::Metrics`], [`EndpointError::Threads`].
    pub(crate) fn new(
        served: Served,
        ledger: Box<dyn Ledger>,
        listener: EndpointListener,
    ) -> Result<Self, EndpointError> {
        let EndpointListener { listener, address, settings } = listener;
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
            .map_err(|error| EndpointError::Metrics(error.to_string()))?
            .build_recorder();
        let metrics = recorder.handle();
        // A process has one metrics recorder; a second endpoint uses the one of the first.
        drop(metrics::set_global_recorder(recorder));
        let served = Arc::new(served);
        let shutdown = Arc::<Shutdown>::default();
        let (recorder, threads) = start_threads(&served, ledger, &shutdown, settings.max_batch)?;
        let max_texts = settings.max_texts.clamp(1, Semaphore::MAX_PERMITS);
        let app = Arc::new(AppState {
            served,
            since: Timestamp::now(),
            key: settings.key,
            loopback: settings.listen.ip().is_loopback(),
            places: Arc::new(Semaphore::new(max_texts)),
            max_texts,
            readers: Semaphore::new(MAX_READERS),
            recorder,
            metrics,
        });
        Ok(Self { app, listener, address, handle: Handle::new(), shutdown, threads })
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a function that shuts the endpoint down.
    pub(crate) fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let (handle, shutdown) = (self.handle.clone(), Arc::clone(&self.shutdown));
        move || {
            shutdown.requested.store(true, Ordering::Relaxed);
            shutdown.wake.notify_one();
            handle.graceful_shutdown(Some(GRACE));
        }
    }

    /// Serves until it is stopped, then waits until every record is written.
    ///
    /// # Errors
    /// [`EndpointError::Io`].
    pub(crate) async fn run(self) -> Result<(), EndpointError> {
        let Self { app, listener, handle, shutdown, threads, .. } = self;
        let tasks =
            [close_on_shutdown(Arc::clone(&app), Arc::clone(&shutdown)), run_upkeep(Arc::clone(&app))];
        let service = router(Arc::clone(&app)).into_make_service();
        let server = axum_server::from_tcp(listener).map_err(EndpointError::Io)?;
        let server = server
            .acceptor(Acceptor::new(MAX_CONNECTIONS, CLIENT_TIMEOUT))
            .handle(handle)
            .first_request_timeout(FIRST_REQUEST_TIMEOUT);
        let served = server.serve(service).await.map_err(EndpointError::Io);
        for task in tasks {
            task.abort();
            drop(task.await);
        }
        // If serving failed, no shutdown was requested.
        shutdown.requested.store(true, Ordering::Relaxed);
        drop(app.recorder.send(RecorderCommand::Close));
        drop(app);
        for thread in threads {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
        served
    }
}

/// Starts the writer and the recorder, and waits until the writer is ready.
fn start_threads(
    served: &Arc<Served>,
    mut ledger: Box<dyn Ledger>,
    shutdown: &Shutdown,
    max_batch: usize,
) -> Result<(mpsc::Sender<RecorderCommand>, [thread::JoinHandle<()>; 2]), EndpointError> {
    let limits = batch_limits(served, max_batch);
    let (to_recorder, commands) = mpsc::channel();
    let (to_writer, jobs) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        let spawned = thread::Builder::new().name(format!("portcullis-{name}")).spawn(work);
        spawned.map_err(EndpointError::Threads)
    };
    let (served_by_writer, recorder) = (Arc::clone(served), to_recorder.clone());
    let writer = move || writer::run(&jobs, &recorder, &served_by_writer, limits, ready);
    let writer = spawn("writer", Box::new(writer))?;
    let crashed = || EndpointError::Threads(io::Error::other("the generation thread crashed"));
    is_ready.recv().map_err(|_| crashed())?.map_err(EndpointError::Model)?;
    let (served_by_recorder, requested) = (Arc::clone(served), Arc::clone(&shutdown.requested));
    let recorder = move || recorder::run(&commands, to_writer, &served_by_recorder, &requested, &mut *ledger);
    Ok((to_recorder, [spawn("recorder", Box::new(recorder))?, writer]))
}

/// On shutdown, closes the recorder to new texts; running texts are cancelled, recorded, and their clients notified.
fn close_on_shutdown(app: App, shutdown: Arc<Shutdown>) -> JoinHandle<()> {
    tokio::spawn(async move {
        shutdown.wake.notified().await;
        drop(app.recorder.send(RecorderCommand::Close));
    })
}

/// Aggregates metrics regularly; without scrapes, single measurements would accumulate.
fn run_upkeep(app: App) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            clock.tick().await;
            app.metrics.run_upkeep();
        }
    })
}

/// The size of a batch: at most `max_batch`, and at most what half of the cache memory holds.
fn batch_limits(served: &Served, max_batch: usize) -> BatchLimits {
    let each = KeyValueCache::max_bytes(&served.model, served.model.config().context).max(1);
    let fit = usize::try_from(CACHE_BYTES / 2 / each).unwrap_or(usize::MAX).max(1);
    BatchLimits { texts: max_batch.clamp(1, fit), prefix_cache_bytes: CACHE_BYTES / 2 }
}
