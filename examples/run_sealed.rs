//! Seals a checkpoint under two locks, opens it in memory with both keys, and generates text from it.
//!
//! ```text
//! portcullis demo --dir story
//! cargo run --release --example run_sealed -- story/published/demo-small "In the beginning"
//! ```
//!
//! The folder is one that transformers loads as a GPT-2 or GPT-1. Here one process has both keys. In a release, a threshold of the board's
//! members seals shares of the first key to a researcher (`access::ApprovalShare`), and the registry leases the second (`access::Lease`):
//! `client::find_pass` verifies both, and `client::Recorder` records each text before its first token.
#![expect(clippy::print_stdout, reason = "an example prints what it generates")]

use std::path::Path;

use anyhow::Context as _;
use portcullis::checkpoint::{ImportRequest, ImportSource, import};
use portcullis::identity::Identity;
use portcullis::inference::tokenizer::{SpecialTokens, Tokenizer};
use portcullis::inference::{LoadOptions, Model, Sampler, Sampling};
use portcullis::progress::NoProgress;
use portcullis::seal::{
    ChunkSize, ContentKey, OpenedCheckpoint, Recipient, Recipients, SealRequest, SealedCheckpoint, combine,
    seal_checkpoint,
};
use portcullis::time::Timestamp;

/// Tokens to generate.
const TOKENS: usize = 40;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let published = arguments.next().context("give a published checkpoint's folder")?;
    let prompt = arguments.next().context("give a prompt")?;
    let scratch = tempfile::tempdir()?;
    let plain = scratch.path().join("plain");
    let request = ImportRequest {
        checkpoint: "example".parse()?,
        source: ImportSource::Folder(published.into()),
        destination: plain.clone(),
        unofficial: false,
    };
    import(&request, &NoProgress)?;
    let opened = seal_and_open(&plain, &scratch.path().join("sealed"))?;
    generate(&opened, &prompt)
}

/// Seals the checkpoint in `plain` to a board of one member and to a registry, and opens it with the keys of both.
fn seal_and_open(plain: &Path, sealed: &Path) -> anyhow::Result<OpenedCheckpoint> {
    let (member, registry) = (person("Ada")?, person("Registry")?);
    let recipients = Recipients::new(1, vec![Recipient::from(member.card())], registry.card().into())?;
    let request = SealRequest {
        source: plain,
        destination: sealed,
        recipients: &recipients,
        chunk_size: ChunkSize::DEFAULT,
        sealer: member.opening_key(),
    };
    let digest = seal_checkpoint(&request, &mut rand::rng(), &NoProgress)?.digest;

    // What the board signs is this digest of the manifest: nothing else opens.
    let sealed = SealedCheckpoint::open(sealed, &SealedCheckpoint::manifest_bytes(sealed)?, digest)?;
    let (manifest, shares) = (sealed.manifest(), sealed.shares()?);
    let checkpoint = &manifest.plain.checkpoint;
    let share = shares.open_share(manifest, manifest.seal.board.members[0].key_id, member.opening_key())?;
    let board_key = combine(vec![share], &manifest.seal.board, checkpoint, &mut rand::rng())?;
    let registry_key = shares.open_registry_key(manifest, registry.opening_key())?;
    let key = ContentKey::derive(&board_key, &registry_key, checkpoint);
    Ok(sealed.unlock(&key)?)
}

/// A person with fresh keys.
fn person(name: &str) -> anyhow::Result<Identity> {
    let (signing, opening): ([u8; 32], [u8; 32]) = (rand::random(), rand::random());
    Ok(Identity::new((name.parse()?, None), &signing, &opening, Timestamp::now()))
}

/// Loads the model chunk by chunk, each verified and deciphered in memory, and samples from it.
fn generate(opened: &OpenedCheckpoint, prompt: &str) -> anyhow::Result<()> {
    let config = opened.config()?;
    let tokenizer = Tokenizer::new(config.architecture, opened.tokenizer_files(&config)?)?;
    let model = Model::load(&config, &opened.weights(&config)?, &LoadOptions::default(), &NoProgress)?;
    let mut sampler = Sampler::new(Sampling { seed: 7, ..Sampling::default() })?;
    let mut tokens = tokenizer.encode(prompt, SpecialTokens::Escape);
    let mut cache = model.cache(tokens.len() + TOKENS)?;
    let mut unread = 0;
    for _ in 0..TOKENS {
        let logits = model.forward(&tokens[unread..], &mut cache)?;
        unread = tokens.len();
        tokens.push(sampler.choose(&logits)?);
    }
    println!("{}", tokenizer.decode(&tokens));
    Ok(())
}
