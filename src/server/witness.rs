//! A witness over HTTP: `POST /add-checkpoint` (C2SP tlog-witness). What it saw is on its disk before it says so.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum_server::Handle;
use tokio::sync::Mutex;

use super::ServeError;
use super::middleware::require_host;
use crate::digest::Sha256Digest;
use crate::identity::Signer;
use crate::log::{CosignRequest, HeadNote, LogKey, TreeHead, WitnessRefusal, cosign};
use crate::time::Timestamp;
use crate::web::Acceptor;

/// Longest request: a head with the cosignatures of others, and a proof.
const MAX_BODY: usize = 128 << 10;

/// Connections at a time.
const MAX_CONNECTIONS: usize = 256;
/// How long a client may take nothing of its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A log that a witness watches, by its key.
pub type KnownLog = LogKey;

struct Witness {
    name: String,
    signer: Box<dyn Signer>,
    logs: Vec<KnownLog>,
    /// Where the last head of each log is kept.
    folder: PathBuf,
    /// One request at a time: two that continue the same head must not both be cosigned.
    turn: Mutex<()>,
}

/// A witness that listens already.
pub struct WitnessServer {
    witness: Arc<Witness>,
    listener: TcpListener,
    address: SocketAddr,
    handle: Handle<SocketAddr>,
}

impl WitnessServer {
    /// Listens; the last heads are kept in `folder`.
    ///
    /// # Errors
    /// [`ServeError::Listen`].
    pub fn bind(
        listen: SocketAddr,
        (name, signer): (String, Box<dyn Signer>),
        logs: Vec<KnownLog>,
        folder: PathBuf,
    ) -> Result<Self, ServeError> {
        let refused = |source| ServeError::Listen { listen, source };
        let listener = TcpListener::bind(listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let witness = Arc::new(Witness { name, signer, logs, folder, turn: Mutex::default() });
        Ok(Self { witness, listener, address, handle: Handle::new() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What ends it.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let handle = self.handle.clone();
        move || handle.graceful_shutdown(Some(std::time::Duration::from_secs(5)))
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// [`ServeError::Io`].
    pub async fn run(self) -> Result<(), ServeError> {
        let router = Router::new()
            .route("/add-checkpoint", axum::routing::post(add_checkpoint))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(axum::middleware::from_fn(require_host))
            .with_state(self.witness);
        let server = axum_server::from_tcp(self.listener).map_err(ServeError::Io)?.handle(self.handle);
        let server = server.acceptor(Acceptor::new(MAX_CONNECTIONS, PATIENCE));
        server.serve(router.into_make_service()).await.map_err(ServeError::Io)
    }
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    let _turn = witness.turn.lock().await;
    let added = tokio::task::block_in_place(|| witness.add(&body, Timestamp::now()));
    let refusal = match added {
        Ok(Ok(lines)) => {
            return ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], lines).into_response();
        }
        Ok(Err(refusal)) => refusal,
        Err(error) => {
            tracing::error!(%error, "the witness's disk fails");
            return (StatusCode::SERVICE_UNAVAILABLE, "the witness cannot do its work now\n").into_response();
        }
    };
    tracing::warn!(%refusal, "a head is not cosigned");
    let text = format!("{refusal}\n");
    match refusal {
        WitnessRefusal::Malformed { .. } => (StatusCode::BAD_REQUEST, text).into_response(),
        WitnessRefusal::UnknownLog { .. } => (StatusCode::NOT_FOUND, text).into_response(),
        WitnessRefusal::Unsigned => (StatusCode::FORBIDDEN, text).into_response(),
        WitnessRefusal::Conflict { seen } => {
            let size = [(header::CONTENT_TYPE, "text/x.tlog.size")];
            (StatusCode::CONFLICT, size, format!("{seen}\n")).into_response()
        }
        WitnessRefusal::NotConsistent => (StatusCode::UNPROCESSABLE_ENTITY, text).into_response(),
    }
}

impl Witness {
    /// The lines of the cosignature, once the head is on the disk.
    fn add(&self, body: &[u8], now: Timestamp) -> io::Result<Result<Vec<u8>, WitnessRefusal>> {
        let checked = CosignRequest::parse(body).and_then(|offered| {
            let last = self.last(offered.note.log());
            match last {
                Ok(last) => offered.check(&self.logs, last.as_ref()).map(|_| Ok(offered.note)),
                Err(error) => Ok(Err(error)),
            }
        });
        let mut note = match checked {
            Ok(note) => note?,
            Err(refusal) => return Ok(Err(refusal)),
        };
        write_whole(&self.folder, &self.path(note.log()), &note.to_bytes())?;
        // Whatever others signed is left out: the answer holds this witness's line only.
        note.clear_signatures();
        cosign(&mut note, &self.name, &*self.signer, now).map_err(io::Error::other)?;
        Ok(Ok(note.signature_lines()))
    }

    /// The head of a log that was seen last.
    fn last(&self, log: &str) -> io::Result<Option<TreeHead>> {
        match fs::read(self.path(log)) {
            Ok(bytes) => HeadNote::parse(&bytes).map(|note| Some(note.claim())).map_err(io::Error::other),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, log: &str) -> PathBuf {
        self.folder.join(format!("{}.head", Sha256Digest::compute(log.as_bytes())))
    }
}

fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}
