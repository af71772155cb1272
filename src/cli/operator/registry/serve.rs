//! `portcullis registry serve`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

use super::settings;
use crate::blob::Blobs;
use crate::cli::home::Home;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::output::Output;
use crate::cli::signing::{Unattended, unattended};
use crate::registry::{Registry, WitnessAddress};
use crate::server::{Server, Settings};
use crate::store::Store;
use crate::visible::{one_line, visible_json};

/// Serve a registry until SIGTERM or Ctrl-C
#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    /// The registry's folder
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// Address to listen on [default: from the settings]; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// The settings [default: the folder's portcullis.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Log format on standard error; RUST_LOG sets the filter
    #[arg(long, value_enum, default_value = "text")]
    log: Log,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Log {
    Text,
    Json,
}

impl Serve {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let mut settings = settings(&self.folder, self.config)?;
        settings.listen = self.listen.unwrap_or(settings.listen);
        settings.require_private_or_tls()?;
        begin_log(matches!(self.log, Log::Json), output)?;
        let own = home.with_folder(self.folder);
        let (identity, signer) = unattended(&own, Unattended::Registry, output)?;
        let runtime = Runtime::new().context("cannot start the server's threads")?;
        runtime.block_on(async {
            let store = Store::open(&settings.database).await.map_err(crate::registry::Error::from)?;
            let blobs = Blobs::open(&settings.blobs).map_err(crate::registry::Error::from)?;
            let state = tempfile::tempdir().context("cannot make a temporary folder")?;
            let registry = Registry::new(store, blobs, identity, signer, state.path().to_owned());
            let registry =
                registry.with_intake(settings.limits.intake()).with_witnesses(witnesses(&settings)?)?;
            let server = Server::bind(registry, &settings).await?;
            stop_on_interrupt(server.stopper());
            announce(&server, &settings, output)?;
            server.run().await?;
            Ok(())
        })
    }
}

/// The witnesses that the settings name.
fn witnesses(settings: &Settings) -> anyhow::Result<Vec<WitnessAddress>> {
    let named = settings.witnesses.iter();
    named.map(|witness| Ok(WitnessAddress { key: witness.key.parse()?, url: witness.url.parse()? })).collect()
}

/// The first line shows the address: with port 0 it is not known before.
fn announce(server: &Server, settings: &Settings, output: Output) -> anyhow::Result<()> {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", server.address());
    output.result(&json!({ "listening": url }), format_args!("listening on {url}\n"))
}

/// Where lines of the log go, each whole: what others wrote may be in any of them, so nothing hidden goes out as it is, and no text begins a
/// line of its own.
struct LogLines {
    json: bool,
}

impl io::Write for LogLines {
    /// Takes one event, which its formatter hands over whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.trim_end_matches('\n');
        let line = if self.json { visible_json(line).into_owned() } else { one_line(line) };
        io::stderr().write_all(format!("{line}\n").as_bytes()).map(|()| event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Writes what happens to standard error, as text or as JSON.
pub(in crate::cli) fn begin_log(json: bool, output: Output) -> anyhow::Result<()> {
    let usual = if output.writes_notes() { "info,sqlx=warn" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt().with_writer(move || LogLines { json }).with_env_filter(filter);
    let begun = match json {
        false => builder.with_ansi(false).try_init(),
        true => builder.json().try_init(),
    };
    begun.map_err(|error| anyhow::anyhow!("cannot write a log: {error}"))
}
