//! Shared options of `run`, `score`, `serve` and `bench`: the model, how to load it, and input tokens.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};

use super::gate::{self, Passed};
use super::recording;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::config::ModelConfig;
use crate::checkpoint::tokenizer_files::TokenizerFiles;
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::client::{self, Recorder};
use crate::inference::tokenizer::{SpecialTokens, Tokenizer};
use crate::inference::{Device, LoadOptions, Model, Precision};
use crate::name::CheckpointId;
use crate::progress::Progress;

/// Which model to load and how, and how to encode text.
#[derive(Debug, Args)]
pub(in crate::cli) struct ModelArguments {
    /// A checkpoint of your vault, or the folder of an imported one
    pub(in crate::cli) checkpoint: PathBuf,

    #[command(flatten)]
    pub(in crate::cli) load: LoadArguments,

    /// Encode `<|endoftext|>` in the text as the special token, not as thirteen characters
    #[arg(long, help_heading = "Model")]
    allow_special: bool,

    /// Token ids instead of text, for example 10,20,30
    #[arg(long, value_delimiter = ',', value_name = "IDS", help_heading = "Model")]
    pub(in crate::cli) tokens: Option<Vec<u32>>,
}

/// How to load a model.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct LoadArguments {
    /// Type of the weights in memory; by default the stored type
    #[arg(long, value_enum, help_heading = "Model")]
    dtype: Option<Dtype>,

    /// Round the weights to 8 or 4 bits when loading; `score` shows the cost
    #[arg(long, value_enum, conflicts_with = "dtype", help_heading = "Model")]
    quantize: Option<Quantize>,

    /// Number of threads; by default one per core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Model")]
    threads: Option<u16>,

    /// Device to compute on
    #[arg(long, value_enum, default_value = "cpu", help_heading = "Model")]
    device: DeviceName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dtype {
    F32,
    Bf16,
    F16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Quantize {
    None,
    Q8,
    Q4,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DeviceName {
    Cpu,
    Cuda,
}

/// The use of the tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Texts {
    /// Texts are encoded: prepare the tables while weights are loaded.
    Encoded,
    /// Tokens are decoded; texts may be encoded later.
    Decoded,
}

/// A model ready to run, and its tokenizer.
pub(in crate::cli) struct Loaded {
    pub(in crate::cli) checkpoint: CheckpointId,
    pub(in crate::cli) model: Model,
    pub(in crate::cli) tokenizer: Tokenizer,
    pub(in crate::cli) seconds: f64,
    /// Records the use of a sealed checkpoint; `None` for a folder.
    pub(in crate::cli) recorder: Option<Recorder>,
}

/// Loads a model while another thread hashes its files; returns after both are done (P6).
pub(in crate::cli) fn load(
    folder: &Path,
    options: &LoadOptions,
    texts: Texts,
    progress: &dyn Progress,
) -> anyhow::Result<Loaded> {
    let started = Instant::now();
    let checkpoint = Checkpoint::open(folder)?;
    let weights = checkpoint.weights()?;
    progress.begin("loading", Some(checkpoint.manifest().size()));
    let (checked, model, tokenizer) = std::thread::scope(|scope| {
        let checked = scope.spawn(|| checkpoint.check_files(progress));
        let tokenizer = scope.spawn(|| tokenizer(checkpoint.config(), checkpoint.tokenizer_files(), texts));
        let model = Model::load(checkpoint.config(), &weights, options, &crate::progress::NoProgress);
        (joined(checked), model, joined(tokenizer))
    });
    // Altered weights explain any other error.
    checked?;
    let (model, tokenizer) = (model?, tokenizer?);
    let checkpoint = checkpoint.manifest().checkpoint.clone();
    Ok(Loaded { checkpoint, model, tokenizer, seconds: started.elapsed().as_secs_f64(), recorder: None })
}

/// Passes the gate, opens a checkpoint of the vault in memory, and loads its model.
pub(in crate::cli) fn load_sealed(
    checkpoint: &CheckpointId,
    options: &LoadOptions,
    texts: Texts,
    home: &Home,
    output: Output,
    progress: &dyn Progress,
) -> anyhow::Result<Loaded> {
    let Passed { rules, vault, identity, pass } = gate::pass(home, checkpoint, output)?;
    let started = Instant::now();
    let recorder = recording::recorder(home, &pass, &rules, output)?;
    let opened = pass.open(&vault, &rules, identity.opening_key())?.checkpoint;
    // The tag of every chunk is checked before its bytes are used, and its digest unless the file is unchanged since the last check.
    let config = opened.config()?;
    let (model, tokenizer) = std::thread::scope(|scope| {
        let tokenizer = scope.spawn(|| tokenizer(&config, opened.tokenizer_files(&config), texts));
        let model = opened.weights(&config).map(|weights| {
            progress.begin("opening", Some(weights.entries().values().map(|entry| entry.length).sum()));
            Model::load(&config, &weights, options, progress)
        });
        (model, joined(tokenizer))
    });
    let (model, tokenizer) = (model??, tokenizer?);
    opened.save_checked_chunks();
    let (checkpoint, seconds) = (checkpoint.clone(), started.elapsed().as_secs_f64());
    Ok(Loaded { checkpoint, model, tokenizer, seconds, recorder: Some(recorder) })
}

fn tokenizer<E>(
    config: &ModelConfig,
    files: Result<TokenizerFiles, E>,
    texts: Texts,
) -> anyhow::Result<Tokenizer>
where
    anyhow::Error: From<E>,
{
    let tokenizer = Tokenizer::new(config.architecture, files?)?;
    if texts == Texts::Encoded {
        tokenizer.prepare_to_encode();
    }
    Ok(tokenizer)
}

/// A name refers to a checkpoint of the registry. If there is none, suggests the folder of that name.
fn or_the_folder(error: anyhow::Error, id: &CheckpointId) -> anyhow::Error {
    let not_there = matches!(
        error.downcast_ref(),
        Some(client::Error::UnknownCheckpoint { .. } | client::Error::NotPublished { .. })
    );
    if !not_there {
        return error;
    }
    let message = format!("the registry has no checkpoint `{id}`, but there is a folder of that name");
    Refusal::usage(message, format!("to use the folder, write it as a path: ./{id}")).into()
}

/// The result of a thread; a panic continues in the caller.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl LoadArguments {
    /// Loads a checkpoint of the vault or of a folder.
    pub(in crate::cli) fn load(
        &self,
        checkpoint: &Path,
        texts: Texts,
        home: &Home,
        output: Output,
        progress: &dyn Progress,
    ) -> anyhow::Result<Loaded> {
        let options = self.options();
        let id: Option<CheckpointId> = checkpoint.to_str().and_then(|text| text.parse().ok());
        let shadowed = checkpoint.exists();
        match id {
            // A folder of that name must not bypass the gate.
            Some(id) if !shadowed || home.has_joined()? => {
                let loaded = load_sealed(&id, &options, texts, home, output, progress);
                loaded.map_err(|error| if shadowed { or_the_folder(error, &id) } else { error })
            }
            _ => load(checkpoint, &options, texts, progress),
        }
    }

    /// The options for [`Model::load`].
    pub(in crate::cli) fn options(&self) -> LoadOptions {
        let device = match self.device {
            DeviceName::Cpu => Device::Cpu,
            DeviceName::Cuda => Device::Cuda,
        };
        let threads = self.threads.map(usize::from);
        LoadOptions { precision: self.precision(), device, threads, ..LoadOptions::default() }
    }

    /// The same arguments without rounding; `None` if they do not round.
    pub(in crate::cli) fn unrounded(&self) -> Option<Self> {
        let rounds = matches!(self.quantize, Some(Quantize::Q8 | Quantize::Q4));
        rounds.then(|| Self { quantize: None, ..self.clone() })
    }

    fn precision(&self) -> Option<Precision> {
        let quantized = self.quantize.and_then(|quantize| match quantize {
            Quantize::None => None,
            Quantize::Q8 => Some(Precision::Q8),
            Quantize::Q4 => Some(Precision::Q4),
        });
        let dtype = self.dtype.map(|dtype| match dtype {
            Dtype::F32 => Precision::F32,
            Dtype::Bf16 => Precision::BF16,
            Dtype::F16 => Precision::F16,
        });
        quantized.or(dtype)
    }
}

impl ModelArguments {
    /// Loads the model.
    pub(in crate::cli) fn load(
        &self,
        home: &Home,
        output: Output,
        progress: &dyn Progress,
    ) -> anyhow::Result<Loaded> {
        let texts = if self.tokens.is_some() { Texts::Decoded } else { Texts::Encoded };
        self.load.load(&self.checkpoint, texts, home, output, progress)
    }

    /// Encodes a text; special tokens as the arguments say.
    pub(in crate::cli) fn encode(&self, tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        let special = if self.allow_special { SpecialTokens::Parse } else { SpecialTokens::Escape };
        tokenizer.encode(text, special)
    }
}

/// Reads bytes as text.
pub(in crate::cli) fn utf8(bytes: Vec<u8>, source: &str) -> anyhow::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Refusal::usage(format!("{source} is not UTF-8 at byte {at}"), "convert it to UTF-8 first").into()
    })
}
