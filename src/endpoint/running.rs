//! An endpoint that runs: it listens, and ends when asked, every record written.

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

use super::clerk::{self, Ledger, ToClerk};
use super::writer::{self, Room};
use super::{App, Key, MAX_READ, PATIENCE, Parts, Served, router};
use crate::inference::{self, KeyValueCache};
use crate::time::Timestamp;
use crate::web::Acceptor;

/// How long clients may take over what they are told once the endpoint was asked to end.
const GRACE: Duration = Duration::from_secs(3);
/// How long a client may take over the head of its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// Connections at a time.
const MAX_CONNECTIONS: usize = 2048;
/// How often measurements that nobody fetched are summed up.
const UPKEEP: Duration = Duration::from_secs(5);
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
    pub max_texts: usize,
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
    /// The checkpoints cannot write together.
    #[error(transparent)]
    Model(inference::Error),
    /// The system gives no threads.
    #[error("cannot start the endpoint's threads")]
    Threads(#[source] io::Error),
    /// Measurements cannot be taken.
    #[error("cannot set up metrics: {0}")]
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

/// An address that is taken, before minutes are spent on loading a model. Who asks meanwhile waits.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
}

impl Listening {
    /// Listens where the settings say.
    ///
    /// # Errors
    /// [`EndpointError::NoKey`], [`EndpointError::Listen`].
    pub fn new(settings: Settings) -> Result<Self, EndpointError> {
        settings.require_private_or_key()?;
        let refused = |source| EndpointError::Listen { listen: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address, settings })
    }
}

/// An endpoint that can answer.
pub struct Endpoint {
    app: App,
    listener: TcpListener,
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    closing: Arc<Closing>,
    threads: [thread::JoinHandle<()>; 2],
}

/// Whether the endpoint is to end.
#[derive(Default)]
struct Closing {
    asked: Arc<AtomicBool>,
    wake: Notify,
}

impl Endpoint {
    /// What answers at an address.
    ///
    /// # Errors
    /// [`EndpointError::Model`] where the draft does not fit, [`EndpointError::Metrics`], [`EndpointError::Threads`].
    pub fn new(served: Served, ledger: Box<dyn Ledger>, listening: Listening) -> Result<Self, EndpointError> {
        let Listening { listener, address, settings } = listening;
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .map_err(|error| EndpointError::Metrics(error.to_string()))?
            .build_recorder();
        let metrics = recorder.handle();
        // A process has one recorder; a second endpoint in it measures into the first's.
        drop(metrics::set_global_recorder(recorder));
        let served = Arc::new(served);
        let closing = Arc::<Closing>::default();
        let (clerk, threads) = threads(&served, ledger, &closing, settings.at_a_time)?;
        let max_texts = settings.max_texts.clamp(1, Semaphore::MAX_PERMITS);
        let app = Arc::new(Parts {
            served,
            since: Timestamp::now(),
            key: settings.key,
            loopback: settings.listen.ip().is_loopback(),
            places: Arc::new(Semaphore::new(max_texts)),
            max_texts,
            readers: Semaphore::new(MAX_READ),
            clerk,
            metrics,
        });
        Ok(Self { app, listener, address, handle: Handle::new(), closing, threads })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What ends it.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let (handle, closing) = (self.handle.clone(), Arc::clone(&self.closing));
        move || {
            closing.asked.store(true, Ordering::Relaxed);
            closing.wake.notify_one();
            handle.graceful_shutdown(Some(GRACE));
        }
    }

    /// Serves until it is stopped, and until every record is written.
    ///
    /// # Errors
    /// [`EndpointError::Io`].
    pub async fn run(self) -> Result<(), EndpointError> {
        let Self { app, listener, handle, closing, threads, .. } = self;
        let tasks = [close(Arc::clone(&app), Arc::clone(&closing)), keep_up(Arc::clone(&app))];
        let service = router(Arc::clone(&app)).into_make_service();
        let server = axum_server::from_tcp(listener).map_err(EndpointError::Io)?;
        let server = server
            .acceptor(Acceptor::new(MAX_CONNECTIONS, PATIENCE))
            .handle(handle)
            .first_request_timeout(FIRST_REQUEST);
        let served = server.serve(service).await.map_err(EndpointError::Io);
        for task in tasks {
            task.abort();
            drop(task.await);
        }
        // Where serving failed, nobody asked for an end yet.
        closing.asked.store(true, Ordering::Relaxed);
        drop(app.clerk.send(ToClerk::Close));
        drop(app);
        for thread in threads {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
        served
    }
}

/// Starts the clerk and the writer, once it is known that the writer can write.
fn threads(
    served: &Arc<Served>,
    mut ledger: Box<dyn Ledger>,
    closing: &Closing,
    at_a_time: usize,
) -> Result<(mpsc::Sender<ToClerk>, [thread::JoinHandle<()>; 2]), EndpointError> {
    let room = room(served, at_a_time);
    let (to_clerk, at_clerk) = mpsc::channel();
    let (to_writer, at_writer) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    let (of_clerk, of_writer) = (Arc::clone(served), Arc::clone(served));
    let (ended, asked) = (to_clerk.clone(), Arc::clone(&closing.asked));
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        let spawned = thread::Builder::new().name(format!("portcullis-{name}")).spawn(work);
        spawned.map_err(EndpointError::Threads)
    };
    let writer = move || writer::write(&at_writer, &ended, &of_writer, room, ready);
    let writer = spawn("writer", Box::new(writer))?;
    let died = || EndpointError::Threads(io::Error::other("the thread that writes has ended"));
    is_ready.recv().map_err(|_| died())?.map_err(EndpointError::Model)?;
    let clerk = move || clerk::keep(&at_clerk, to_writer, &of_clerk, &asked, &mut *ledger);
    Ok((to_clerk, [spawn("clerk", Box::new(clerk))?, writer]))
}

/// Once the end was asked for, texts under way are cancelled, recorded so, and their clients told.
fn close(app: App, closing: Arc<Closing>) -> JoinHandle<()> {
    tokio::spawn(async move {
        closing.wake.notified().await;
        drop(app.clerk.send(ToClerk::Close));
    })
}

/// Sums up what was measured: nobody may come for `/metrics`, and single times would pile up.
fn keep_up(app: App) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(UPKEEP);
        loop {
            clock.tick().await;
            app.metrics.run_upkeep();
        }
    })
}

/// As many texts at a time as were asked for and as half of the memory has place for; the other half keeps beginnings.
fn room(served: &Served, at_a_time: usize) -> Room {
    let each = KeyValueCache::bytes_of(&served.model, served.model.config().context).max(1);
    let fit = usize::try_from(CACHED_BYTES / 2 / each).unwrap_or(usize::MAX).max(1);
    Room { texts: at_a_time.clamp(1, fit), kept_bytes: CACHED_BYTES / 2 }
}
