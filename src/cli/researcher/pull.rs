//! `portcullis pull`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::checkpoint::fetch::BaseUrl;
use crate::cli::home::{Home, Place};
use crate::cli::output::Output;
use crate::cli::progress::{Bar, Events};
use crate::cli::{interrupt, registry, units};
use crate::client::remote::RemoteError;
use crate::client::{self, ChunkSource, Mirror, Parallel, PullOptions, PullReport, Vault};
use crate::name::CheckpointId;
use crate::progress::Progress;
use crate::time::Timestamp;

/// Fetch a sealed checkpoint into your vault, with the statements that open it
///
/// Every chunk is verified as it arrives. After an interruption, run the same command again to continue. With --json there is a line of
/// JSON for each event; the last one is the result.
#[derive(Debug, Args)]
pub(in crate::cli) struct Pull {
    /// The checkpoint
    checkpoint: CheckpointId,

    /// Copy the sealed chunks from this folder, such as a USB stick, instead of fetching them
    #[arg(long, value_name = "FOLDER", conflicts_with = "mirror")]
    from: Option<PathBuf>,

    /// Try this mirror or CDN before the registry: it has each chunk at <URL>/<SHA-256>; may be repeated
    #[arg(long, value_name = "URL")]
    mirror: Vec<BaseUrl>,

    /// Maximum chunks in flight; fewer if the server is slow or overloaded
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
}

impl Pull {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        interrupt::exit_on_interrupt(output, "run the same command again to continue");
        let catalogue = registry::catalogue(home, output)?;
        let rules = catalogue.rules_in_force(&self.checkpoint)?;
        let manifest = catalogue.sealed_manifest(&self.checkpoint)?;
        let source = self.source(home)?;
        home.folder()?;
        let vault = registry::vault(home)?;
        let max = usize::from(self.parallel);
        let parallel = Parallel { first: Parallel::default().first.min(max), max };
        let options = PullOptions { parallel, ..PullOptions::default() };
        let pull =
            |progress: &dyn Progress| client::pull(&manifest, &source, &vault, &rules, &options, progress);
        let pulled = if output.is_json() { pull(&Events::new(output)) } else { pull(&Bar::new(output)) };
        let pulled = pulled.map_err(|error| out_of_reach(error, home))?;
        let statements = collect(home, &vault, output)?;
        let mut text = describe(&self.checkpoint, &pulled, statements);
        let grant = match home.own_card()? {
            Some(card) => client::find_grant(&vault, &rules, &card, Timestamp::now()),
            None => {
                Err(client::Error::NoGrant { checkpoint: self.checkpoint.clone(), name: "you".to_owned() })
            }
        };
        let expires = grant.as_ref().ok().map(|grant| grant.predicate.expires);
        let refusal = grant.err().map(GrantRefusal::from_error);
        text += &describe_grant(&self.checkpoint, expires, refusal.as_ref());
        output.result(
            &json!({
                "event": "done", "checkpoint": self.checkpoint, "pulled": pulled, "statements": statements,
                "grant": { "stands": refusal.is_none(), "expires": expires, "refused": refusal.map(|refusal| refusal.reason) },
            }),
            text,
        )
    }

    fn source(&self, home: &Home) -> anyhow::Result<ChunkSource> {
        if let Some(folder) = &self.from {
            return Ok(ChunkSource::Folder(folder.clone()));
        }
        let mut mirrors: Vec<_> = self.mirror.iter().cloned().map(Mirror::Plain).collect();
        Ok(match home.place()? {
            // One that did not answer a moment ago gives no chunks either.
            Place::Address(_) if home.is_offline() => ChunkSource::Mirrors(mirrors),
            Place::Address(address) => {
                mirrors.push(Mirror::Registry(address));
                ChunkSource::Mirrors(mirrors)
            }
            Place::Folder(_) if mirrors.is_empty() => {
                ChunkSource::Folder(home.sealed()?.join(self.checkpoint.as_str()))
            }
            Place::Folder(_) => ChunkSource::Mirrors(mirrors),
        })
    }
}

/// Without mirrors, what is missing is the registry.
fn out_of_reach(error: client::Error, home: &Home) -> anyhow::Error {
    match (&error, home.offline_reason(), home.address()) {
        (client::Error::NoMirror { reason, .. }, Some(why), Ok(Some(address))) if reason.is_empty() => {
            RemoteError::Unreachable { registry: address.to_string(), reason: why }.into()
        }
        _ => error.into(),
    }
}

/// Why no grant of this person's stands.
struct GrantRefusal {
    /// None is made out to them.
    is_none: bool,
    /// The same in words, to its last cause.
    reason: String,
}

impl GrantRefusal {
    fn from_error(error: client::Error) -> Self {
        let is_none = matches!(error, client::Error::NoGrant { .. });
        Self { is_none, reason: format!("{:#}", anyhow::Error::from(error)) }
    }
}

/// How this person's grant stands.
fn describe_grant(
    checkpoint: &CheckpointId,
    expires: Option<Timestamp>,
    refusal: Option<&GrantRefusal>,
) -> String {
    match (expires, refusal) {
        (Some(until), _) => {
            format!("your grant is valid until {until}\n  next: `portcullis run {checkpoint} \"…\"`\n")
        }
        (None, Some(GrantRefusal { is_none: false, reason })) => {
            format!("{reason}\n  next: `portcullis status` shows what to do\n")
        }
        (None, _) => {
            "you have no grant yet: the weights stay sealed until you have one\n  next: `portcullis status` shows the state of your requests\n"
                .to_owned()
        }
    }
}

fn describe(checkpoint: &CheckpointId, pulled: &PullReport, statements: usize) -> String {
    let shared = match pulled.shared {
        0 => String::new(),
        shared => format!(", {shared} shared with another version"),
    };
    let mut text = format!(
        "{checkpoint} is in the vault: {}, {}, {} of them already there{shared}; {}\n",
        units::bytes(pulled.bytes),
        units::counted(pulled.chunks, "chunk"),
        pulled.already_there,
        units::counted(statements, "new statement"),
    );
    for aside in &pulled.set_aside {
        text.push_str(&format!("  excluded mirror: {}: {}\n", aside.mirror, aside.reason));
    }
    text
}

/// Brings the statements of one's own grants from the registry into the vault; the count of new ones. If the registry is out of
/// reach, those of last time must do.
pub(in crate::cli) fn collect(home: &Home, vault: &Vault, output: Output) -> anyhow::Result<usize> {
    if home.is_offline() {
        return Ok(0);
    }
    let card = crate::statement::verify_card(&crate::cli::files::envelope(&home.card_path())?)?;
    match registry::statements(home, output) {
        Ok(exchange) => Ok(vault.collect(&*exchange, card.verifying_key)?),
        Err(error) => {
            output.note(format_args!("note: {error:#}"));
            Ok(0)
        }
    }
}
