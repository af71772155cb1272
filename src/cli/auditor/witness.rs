//! `portcullis witness`: watching a registry's log, and vouching for what was seen.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::identity::new;
use crate::cli::interrupt::stop_when_asked;
use crate::cli::operator::registry::serve::begin_log;
use crate::cli::output::{Output, shown};
use crate::cli::signing::{Unattended, unattended};
use crate::log::{LogKey, WitnessKey};
use crate::name::{Label, NameError};
use crate::server::WitnessServer;

/// Watch a registry's log and cosign its heads, so that it cannot show two faces
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum WitnessCommand {
    Init(Init),
    Serve(Serve),
}

/// Make a witness's folder with its key
#[derive(Debug, Args)]
pub(in crate::cli) struct Init {
    /// The folder to make
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// The witness's name, such as witness.example/1: no spaces, no `+`
    #[arg(long)]
    name: String,
}

/// Serve a witness until it is asked to end (SIGTERM or Ctrl-C)
#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    /// The witness's folder
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// The name it was made with
    #[arg(long)]
    name: String,

    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7416")]
    listen: SocketAddr,

    /// A log to watch, by its key, as `portcullis audit key` shows it; may be given several times
    #[arg(long = "log-key", value_name = "KEY", required = true)]
    logs: Vec<LogKey>,
}

impl WitnessCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Init(init) => init.run(home, output),
            Self::Serve(serve) => serve.run(home, output),
        }
    }
}

impl Init {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let own = home.elsewhere(self.folder.clone());
        // The name is refused before a key is made for it.
        let label = label(&self.name)?;
        let identity = new::make(&own, label, None, true, output)?;
        let key = WitnessKey::new(&self.name, identity.card().verifying_key)?;
        let text = format!(
            "made a witness in {}\n  key  {key}\nOperators name it in portcullis.toml, everybody else with `portcullis join <registry>` and --witness {key}.\n",
            self.folder.display()
        );
        output.result(&json!({ "folder": shown(&self.folder), "key": key.to_string() }), text)
    }
}

/// What a witness's identity is called: its name, as far as a label takes it.
fn label(name: &str) -> Result<Label, NameError> {
    name.chars().take(60).collect::<String>().parse()
}

impl Serve {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        begin_log(false, output)?;
        let own = home.elsewhere(self.folder.clone());
        let (identity, signer) = unattended(&own, Unattended::Witness, output)?;
        let made = &identity.card().name;
        if label(&self.name)? != *made {
            let message = format!(
                "the witness in {} was made as {made}, and not as {}",
                self.folder.display(),
                self.name
            );
            let hint = "give the name it was made with: those who watch know its key by it";
            return Err(Refusal::usage(message, hint).into());
        }
        let runtime = Runtime::new().context("cannot start the server's threads")?;
        runtime.block_on(async {
            let heads = self.folder.join("heads");
            let server = WitnessServer::bind(self.listen, (self.name, signer), self.logs, heads)?;
            stop_when_asked(server.stopper());
            let url = format!("http://{}", server.address());
            output.result(&json!({ "listening": url }), format_args!("listening on {url}\n"))?;
            server.run().await?;
            Ok(())
        })
    }
}
