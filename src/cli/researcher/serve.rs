//! `portcullis serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;

use super::ledger::Records;
use super::model::{LoadArguments, Loaded, Texts};
use super::speculation::SpeculationArguments;
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::interrupt::stop_when_asked;
use crate::cli::operator::registry::serve::begin_log;
use crate::cli::output::Output;
use crate::cli::progress::Bar;
use crate::client::Recorders;
use crate::endpoint::{Endpoint, EndpointListener, Key, Served, Settings};
use crate::name::Prose;

/// Environment variable of the API key. An argument would be visible to every user of the machine.
const KEY_VARIABLE: &str = "PORTCULLIS_API_KEY";

/// Serve a checkpoint on this machine with OpenAI's completions API
///
/// Completions of several requests are generated in one batch. Every completion of a sealed checkpoint is recorded before its first token.
/// If PORTCULLIS_API_KEY is set, clients must send that key; otherwise only loopback requests are accepted.
#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    /// A checkpoint of your vault, or the folder of an imported one
    checkpoint: PathBuf,

    /// Address to listen on; port 0 takes a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    #[command(flatten)]
    load: LoadArguments,

    #[command(flatten)]
    speculation: SpeculationArguments,

    /// Maximum completions in a batch, limited by memory
    #[arg(long, value_name = "N", default_value_t = 16)]
    at_a_time: usize,

    /// Maximum completions running or queued; further requests get 429
    #[arg(long, value_name = "N", default_value_t = 256)]
    queue: usize,

    /// Justification for prompts that a misuse rule questions; the auditors read it
    #[arg(long, value_name = "REASON")]
    justify: Option<Prose>,
}

impl Serve {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let settings = Settings {
            listen: self.listen,
            key: key()?,
            max_texts: self.queue.max(1),
            max_batch: self.at_a_time.max(1),
        };
        // Bind before loading, which may take minutes.
        let listener = EndpointListener::new(settings)?;
        begin_log(output.is_json(), output)?;
        let bar = Bar::before(output);
        let mut loaded = self.load.load(&self.checkpoint, Texts::Encoded, home, output, &bar)?;
        let mut draft = self.speculation.load(&self.load, home, output, &loaded, &bar)?;
        drop(bar);
        let ledger = self.ledger(&mut loaded, draft.as_mut(), home, output)?;
        let recorded = ledger.is_kept();
        let served = Served {
            checkpoint: loaded.checkpoint,
            model: loaded.model,
            tokenizer: loaded.tokenizer,
            draft: draft.map(|draft| draft.model),
            lookup: self.speculation.lookup(),
        };
        let (name, seconds) = (served.checkpoint.clone(), loaded.seconds);
        let runtime = Runtime::new().context("cannot start the server's threads")?;
        runtime.block_on(async {
            let endpoint = Endpoint::new(served, Box::new(ledger), listener)?;
            stop_when_asked(endpoint.stopper());
            let url = format!("http://{}/v1", endpoint.address());
            let result = json!({ "listening": url, "checkpoint": name, "recorded": recorded, "load_seconds": seconds });
            output.result(&result, format_args!("serving {name} at {url}\n"))?;
            endpoint.run().await?;
            Ok(())
        })
    }

    fn ledger(
        &self,
        loaded: &mut Loaded,
        draft: Option<&mut Loaded>,
        home: &Home,
        output: Output,
    ) -> anyhow::Result<Records> {
        let mut sealed = Vec::new();
        let mut recorders = Vec::new();
        for loaded in [Some(loaded), draft].into_iter().flatten() {
            if let Some(recorder) = loaded.recorder.take() {
                sealed.push(loaded.checkpoint.clone());
                recorders.push(recorder);
            }
        }
        Records::new(Recorders::new(recorders), sealed, self.justify.clone(), home, output)
    }
}

fn key() -> anyhow::Result<Option<Key>> {
    match std::env::var(KEY_VARIABLE) {
        Err(std::env::VarError::NotPresent) => Ok(None),
        text => {
            let key = text.ok().and_then(|text| Key::new(text).ok());
            let invalid = || {
                Refusal::usage(
                    format!("{KEY_VARIABLE} is not a valid API key"),
                    "set it to at least 16 visible ASCII characters, for example with `openssl rand -hex 16`",
                )
            };
            Ok(Some(key.ok_or_else(invalid)?))
        }
    }
}
