//! The demo's four checkpoints, part of the program so that an installed binary has them.

use std::fs;
use std::io;
use std::path::Path;

/// A small GPT-2 in Hugging Face's layout; its tokenizer is [`VOCABULARY`] and [`MERGES`].
pub(super) struct EmbeddedCheckpoint {
    pub(super) id: &'static str,
    /// The stage that the demo's board releases it in.
    pub(super) stage: &'static str,
    config: &'static [u8],
    weights: &'static [u8],
}

const VOCABULARY: &[u8] = include_bytes!("../../../demo/vocab.json");
const MERGES: &[u8] = include_bytes!("../../../demo/merges.txt");

const POLICY: &str = include_str!("../../../demo/policy.toml");

/// The rules by which misuse is found.
pub(super) const MISUSE_RULES: &str = include_str!("../../../policies/misuse.toml");

/// The agreement of every gated stage.
pub(super) const AGREEMENT: &str = include_str!("../../../demo/agreement.md");

macro_rules! embedded {
    ($id:literal in $stage:literal) => {
        EmbeddedCheckpoint {
            id: $id,
            stage: $stage,
            config: include_bytes!(concat!("../../../demo/", $id, "/config.json")),
            weights: include_bytes!(concat!("../../../demo/", $id, "/model.safetensors")),
        }
    };
}

/// From the smallest to the largest, as GPT-2's sizes were released.
pub(super) static CHECKPOINTS: [EmbeddedCheckpoint; 4] = [
    embedded!("demo-small" in "public"),
    embedded!("demo-medium" in "researchers"),
    embedded!("demo-large" in "partners"),
    embedded!("demo-xl" in "internal"),
];

impl EmbeddedCheckpoint {
    /// The text of its policy.
    pub(super) fn policy(&self) -> String {
        POLICY.replace("CHECKPOINT", self.id)
    }

    /// Writes the folder as a publisher would have it.
    pub(super) fn publish(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (name, bytes) in [
            ("config.json", self.config),
            ("model.safetensors", self.weights),
            ("vocab.json", VOCABULARY),
            ("merges.txt", MERGES),
        ] {
            fs::write(folder.join(name), bytes)?;
        }
        Ok(())
    }
}
