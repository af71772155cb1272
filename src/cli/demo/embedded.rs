//! The demo's four checkpoints, part of the program so that an installed binary has them.

use std::fs;
use std::io;
use std::path::Path;

/// A small GPT-2 in Hugging Face's layout; its tokenizer is [`VOCABULARY`] and [`MERGES`].
pub(super) struct EmbeddedCheckpoint {
    pub(super) id: &'static str,
    config: &'static [u8],
    weights: &'static [u8],
}

const VOCABULARY: &[u8] = include_bytes!("../../../demo/vocab.json");
const MERGES: &[u8] = include_bytes!("../../../demo/merges.txt");

macro_rules! embedded {
    ($id:literal) => {
        EmbeddedCheckpoint {
            id: $id,
            config: include_bytes!(concat!("../../../demo/", $id, "/config.json")),
            weights: include_bytes!(concat!("../../../demo/", $id, "/model.safetensors")),
        }
    };
}

/// From the smallest to the largest, as GPT-2's sizes were released.
pub(super) static CHECKPOINTS: [EmbeddedCheckpoint; 4] =
    [embedded!("demo-small"), embedded!("demo-medium"), embedded!("demo-large"), embedded!("demo-xl")];

impl EmbeddedCheckpoint {
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
