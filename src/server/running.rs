//! The running server: it listens, renews the catalogue's timestamp daily, and shuts down gracefully.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::task::JoinHandle;

use super::limits::Limits;
use super::{App, Parts, Settings, SettingsError, router};
use crate::registry::{Error, Registry};
use crate::time::Timestamp;
use crate::web::Acceptor;

/// Maximum concurrent connections.
const MAX_CONNECTIONS: usize = 4096;
/// Maximum concurrent HTTP/2 streams per connection: each may hold two pieces of its response.
const MAX_STREAMS: u32 = 16;
/// Maximum time for running requests at shutdown.
const GRACE: Duration = Duration::from_secs(10);
/// How often the catalogue's timestamp is renewed.
const REPUBLISH: Duration = Duration::from_secs(24 * 3600);
/// How often waiting entries are added to the log.
const SEQUENCE: Duration = Duration::from_millis(500);
/// How often expired rows are deleted and metrics are aggregated.
const UPKEEP: Duration = Duration::from_secs(60);
/// Maximum time for the headers of a connection's first request.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// Bounds of the histogram of response times in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Why a server cannot run.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings forbid it.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The address cannot be bound.
    #[error("cannot listen on {listen}")]
    Listen { listen: SocketAddr, source: io::Error },
    /// The certificate or its key cannot be used.
    #[error("cannot use the certificate {}", path.display())]
    Certificate { path: PathBuf, source: io::Error },
    /// Existing statements cannot be entered into the log.
    #[error("cannot enter existing statements into the log")]
    Log(#[source] Error),
    /// Metrics cannot be set up.
    #[error("cannot set up metrics: {0}")]
    Metrics(String),
    /// Serving failed.
    #[error("serving failed")]
    Io(#[source] io::Error),
}

/// A listening server.
pub struct Server {
    app: App,
    listener: TcpListener,
    address: SocketAddr,
    connections: Acceptor,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
}

impl Server {
    /// Listens on the address in the settings.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(registry: Registry, settings: &Settings) -> Result<Self, ServeError> {
        settings.require_private_or_tls()?;
        let refused = |source| ServeError::Listen { listen: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let tls = match &settings.tls {
            None => None,
            Some(tls) => {
                // Other dependencies may bring another provider into the build; an installed one stays.
                drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
                let path = tls.certificate.clone();
                let config = RustlsConfig::from_pem_file(&tls.certificate, &tls.key).await;
                Some(config.map_err(|source| ServeError::Certificate { path, source })?)
            }
        };
        // Before the first request: new entries must not precede existing statements.
        registry.adopt_sanctions().await.map_err(ServeError::Log)?;
        if registry.begin_log().await.map_err(ServeError::Log)? {
            tracing::info!("entered existing statements into the new log");
        }
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full("portcullis_http_request_seconds".to_owned()), &SECONDS)
            .map_err(|error| ServeError::Metrics(error.to_string()))?
            .build_recorder();
        let metrics = recorder.handle();
        // A process has one metrics recorder; a second server, as in tests, uses the first's.
        drop(metrics::set_global_recorder(recorder));
        if settings.origins.is_empty() && !address.ip().is_loopback() {
            tracing::warn!(%address, "clients can sign in only at the listening address; add other addresses to `origins`");
        }
        let limits = settings.limits;
        let patience = Duration::from_secs(limits.seconds.max(1));
        let mut connections = Acceptor::new(MAX_CONNECTIONS, patience);
        // Behind a proxy, all connections come from the proxy.
        if limits.connections_per_address > 0 && !settings.behind_proxy {
            let share = usize::try_from(limits.connections_per_address).unwrap_or(MAX_CONNECTIONS);
            connections = connections.sharing(share);
        }
        let app = Arc::new(Parts {
            registry,
            limits: Limits::new(&limits),
            metrics,
            founding_code: settings.founding_code_sha256,
            presign: settings.presign,
            behind_proxy: settings.behind_proxy,
            origins: settings.origins_at(address),
            lines: connections.lines(),
            patience,
        });
        Ok(Self { app, listener, address, connections, tls, handle: Handle::new() })
    }

    /// The listening address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A function that stops the server: running requests finish, then [`Self::run`] returns.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let handle = self.handle.clone();
        move || handle.graceful_shutdown(Some(GRACE))
    }

    /// Serves until stopped.
    ///
    /// # Errors
    /// [`ServeError::Io`].
    pub async fn run(self) -> Result<(), ServeError> {
        let service = router(self.app.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let tasks = [republish(self.app.clone()), keep_up(self.app.clone()), sequence(self.app.clone())];
        let connections = self.connections;
        let mut server = axum_server::from_tcp(self.listener).map_err(ServeError::Io)?;
        server.http_builder().http2().max_concurrent_streams(MAX_STREAMS);
        let server = server.handle(self.handle).first_request_timeout(FIRST_REQUEST);
        let served = match self.tls {
            None => server.acceptor(connections).serve(service).await,
            Some(tls) => {
                let tls = RustlsAcceptor::new(tls).acceptor(connections);
                server.acceptor(tls).serve(service).await
            }
        };
        for task in &tasks {
            task.abort();
        }
        self.app.registry.store().close().await;
        served.map_err(ServeError::Io)
    }
}

/// Renews the timestamp daily, and at the start.
fn republish(app: App) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(REPUBLISH);
        loop {
            clock.tick().await;
            match app.registry.renew().await {
                Ok(true) => tracing::info!("renewed the catalogue's timestamp"),
                Ok(false) | Err(Error::Unfounded) => {}
                Err(error) => tracing::error!(%error, "cannot renew the catalogue's timestamp"),
            }
        }
    })
}

/// Adds waiting entries to the log.
fn sequence(app: App) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(SEQUENCE);
        loop {
            clock.tick().await;
            match app.registry.keep_witnessed().await {
                Ok(()) | Err(Error::Unfounded) => {}
                Err(error) => tracing::error!(%error, "log sequencing failed"),
            }
        }
    })
}

fn keep_up(app: App) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(UPKEEP);
        loop {
            clock.tick().await;
            if let Err(error) = app.registry.store().forget(Timestamp::now()).await {
                tracing::error!(%error, "cannot delete expired rows");
            }
            app.metrics.run_upkeep();
        }
    })
}
