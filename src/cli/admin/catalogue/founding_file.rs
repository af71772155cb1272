//! A founding in a file, which `catalogue init --from` reads: it can be changed and proposed again until it is signed.
//!
//! ```toml
//! schema = 1
//! registry = "registry.card"          # cards lie beside this file
//! auditors = ["august.card"]
//!
//! [owners]
//! threshold = 2
//! cards = ["ada.card", "ben.card", "cy.card"]
//!
//! [board."gpt2-1.5b"]
//! threshold = 2
//! cards = ["ada.card", "ben.card", "cy.card"]
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::failure::Refusal;
use crate::cli::files;
use crate::name::CheckpointId;

/// Longest file that is read.
const MAX_BYTES: u64 = 64 << 10;

/// Who founds a catalogue, by the cards' files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FoundingFile {
    schema: u32,
    /// The registry's card.
    pub(super) registry: PathBuf,
    /// The owners.
    pub(super) owners: Signers,
    /// Auditors' cards.
    #[serde(default)]
    pub(super) auditors: Vec<PathBuf>,
    /// Boards by checkpoint, or by the name that policies call them.
    #[serde(default, rename = "board")]
    pub(super) boards: BTreeMap<CheckpointId, Signers>,
}

/// Some people, and how many of them must sign.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signers {
    /// How many must sign.
    pub(super) threshold: u32,
    /// Their cards.
    pub(super) cards: Vec<PathBuf>,
}

impl FoundingFile {
    /// What options say, as the file would.
    pub(super) fn of_options(
        registry: PathBuf,
        owners: Signers,
        boards: BTreeMap<CheckpointId, Signers>,
        auditors: Vec<PathBuf>,
    ) -> Self {
        Self { schema: 1, registry, owners, auditors, boards }
    }

    /// Reads a file; paths in it are seen from where it lies.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = String::from_utf8(files::read(path, MAX_BYTES)?);
        let text = text.map_err(|_| unusable(path, "it is not UTF-8"))?;
        let mut file: Self = toml::Deserializer::parse(&text)
            .and_then(crate::json::deserialize_strict)
            .map_err(|error| unusable(path, error.to_string().trim_end()))?;
        if file.schema != 1 {
            let reason = format!("its schema is {}, and this program knows schema 1", file.schema);
            return Err(unusable(path, &reason).into());
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let signers = file.boards.values_mut().chain([&mut file.owners]);
        let cards = signers.flat_map(|signers| &mut signers.cards);
        for card in cards.chain(&mut file.auditors).chain([&mut file.registry]) {
            *card = folder.join(&*card);
        }
        Ok(file)
    }
}

fn unusable(path: &Path, reason: &str) -> Refusal {
    Refusal::usage(
        format!("{} cannot be used: {reason}", path.display()),
        "docs/catalogue.md shows one that can",
    )
}
