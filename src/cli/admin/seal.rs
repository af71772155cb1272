//! `portcullis seal`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::checkpoint::Checkpoint;
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::cli::progress::Bar;
use crate::cli::{files, interrupt, registry, units};
use crate::client::{self, Catalogue, UploadReport};
use crate::name::CheckpointId;
use crate::seal::{ChunkSize, Recipient, Recipients, SealRequest, seal_checkpoint};
use crate::statement::verify_card;

/// Seal an imported checkpoint under two locks: the board's, of which each member gets a share, and the registry's
///
/// The board and the registry are those of the catalogue, unless cards are given. The result is uploaded if the registry is a server.
/// After an interruption, run the same command again to continue.
#[derive(Debug, Args)]
pub(in crate::cli) struct Seal {
    /// The imported checkpoint's folder
    folder: PathBuf,

    /// The folder to create [default: the registry's sealed/<checkpoint>; sealed/<checkpoint> in your home if the registry is a server]
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,

    /// A board member's card, in place of the catalogue's board; repeat for each member
    #[arg(long, value_name = "CARD", requires_all = ["threshold", "registry_card"])]
    board: Vec<PathBuf>,

    /// How many members open it together, if cards are given
    #[arg(long, requires = "board")]
    threshold: Option<u8>,

    /// The registry's card, if cards are given
    #[arg(long, value_name = "CARD", requires = "board")]
    registry_card: Option<PathBuf>,

    /// Bytes of plaintext in a chunk: a power of two from 65536 to 67108864
    #[arg(long, value_name = "BYTES", hide_short_help = true)]
    chunk_size: Option<u64>,
}

impl Seal {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        interrupt::exit_on_interrupt(output, "run the same command again to continue");
        let id = Checkpoint::open(&self.folder)?.manifest().checkpoint.clone();
        let recipients = match &self.registry_card {
            Some(registry) => self.recipients_of_cards(registry)?,
            None => recipients_of_board(&registry::catalogue(home, output)?, &id)?,
        };
        let address = if self.registry_card.is_none() { home.address()? } else { None };
        let destination = self.destination(home, &id, address.is_some())?;
        if let Some(parent) = destination.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        let identity = home.identity(output)?;
        let request = SealRequest {
            source: &self.folder,
            destination: &destination,
            recipients: &recipients,
            chunk_size: self.chunk_size()?,
            sealer: identity.opening_key(),
        };
        let bar = Bar::new(output);
        let sealed = seal_checkpoint(&request, &mut rand::rng(), &bar)?;
        let handed_in = match &address {
            Some(address) => {
                let registry = registry::remote(home, address, output)?;
                Some(client::upload(&destination, sealed.digest, &registry, &bar)?)
            }
            None => None,
        };
        drop(bar);
        let chunks = sealed.manifest.chunks().count();
        let mut text = format!(
            "{}sealed {id}: {}, {chunks} chunks, in {}\n  any {} of {} members, together with the registry, can open it\n  \
             manifest {}\n",
            if sealed.already_there { "already " } else { "" },
            units::bytes(sealed.manifest.sealed_size()),
            destination.display(),
            recipients.threshold(),
            recipients.board().len(),
            sealed.digest,
        );
        if let (Some(address), Some(UploadReport { chunks, already_there })) = (&address, handed_in) {
            text +=
                &format!("  uploaded to {address}: {chunks} chunks, {already_there} of them already there\n");
        }
        let value = json!({
            "handed_in": handed_in,
            "checkpoint": id, "folder": shown(&destination), "manifest": sealed.digest, "chunks": chunks,
            "bytes": sealed.manifest.sealed_size(), "already_there": sealed.already_there,
            "resumed_bytes": sealed.resumed_bytes, "threshold": recipients.threshold(),
        });
        output.result(&value, text)
    }

    fn destination(&self, home: &Home, id: &CheckpointId, is_server: bool) -> anyhow::Result<PathBuf> {
        match &self.to {
            Some(folder) => Ok(folder.clone()),
            // Until it is handed in, there is no other copy of the shares.
            None if is_server => {
                home.folder()?;
                Ok(home.local_sealed().join(id.as_str()))
            }
            None => Ok(home.sealed()?.join(id.as_str())),
        }
    }

    fn chunk_size(&self) -> anyhow::Result<ChunkSize> {
        let Some(bytes) = self.chunk_size else { return Ok(ChunkSize::DEFAULT) };
        ChunkSize::try_from(bytes)
            .map_err(|error| Refusal::usage(error.to_string(), "leave --chunk-size out").into())
    }

    fn recipients_of_cards(&self, registry: &Path) -> anyhow::Result<Recipients> {
        let board = self.board.iter().map(|path| recipient(path)).collect::<Result<_, _>>()?;
        let threshold = self.threshold.unwrap_or_default();
        Ok(Recipients::new(threshold, board, recipient(registry)?).map_err(crate::seal::Error::from)?)
    }
}

fn recipient(path: &Path) -> anyhow::Result<Recipient> {
    let card = verify_card(&files::envelope(path)?)
        .with_context(|| format!("cannot use the card {}", path.display()))?;
    Ok(Recipient::from(&*card))
}

/// The board of the catalogue, and its registry, by the cards that the owners signed.
fn recipients_of_board(catalogue: &Catalogue, id: &CheckpointId) -> anyhow::Result<Recipients> {
    let board = catalogue.board_of(id)?;
    let of = |key| Ok::<_, crate::client::Error>(Recipient::from(&*catalogue.card(key)?));
    let members = board.keys().iter().map(of).collect::<Result<_, _>>()?;
    let registry = catalogue.registry().keys().first().context("the catalogue names no registry")?;
    let threshold = u8::try_from(board.threshold()).unwrap_or(u8::MAX);
    Ok(Recipients::new(threshold, members, of(registry)?).map_err(crate::seal::Error::from)?)
}
