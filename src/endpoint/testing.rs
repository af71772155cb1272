//! A checkpoint for the tests of this module: a small model with random weights, and a real tokenizer.

use std::path::Path;

use super::Served;
use crate::checkpoint::config::{Architecture, ModelConfig};
use crate::checkpoint::tokenizer_files::TokenizerFiles;
use crate::inference::tokenizer::Tokenizer;
use crate::inference::{LoadOptions, Model, RandomWeights};
use crate::progress::NoProgress;

pub(super) fn tokenizer(architecture: Architecture, folder: &str) -> Tokenizer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let files = TokenizerFiles::parse(&read("vocab.json"), &read("merges.txt"), 100_000).unwrap();
    Tokenizer::new(architecture, files).unwrap()
}

/// A checkpoint in the shape of the golden one: a vocabulary of 512, a context of 128.
pub(super) fn served() -> Served {
    let folder = "tests/fixtures/golden/f32";
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("config.json");
    let config = ModelConfig::from_hugging_face(&std::fs::read(config).unwrap()).unwrap();
    Served {
        checkpoint: "tiny".parse().unwrap(),
        model: Model::load(&config, &RandomWeights::new(&config), &LoadOptions::default(), &NoProgress).unwrap(),
        tokenizer: tokenizer(Architecture::Gpt2, folder),
        draft: None,
        lookup: false,
    }
}
