//! What `run` and `score` share: which model to load and how, and the tokens that they are given.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::checkpoint::Checkpoint;
use crate::checkpoint::tensor_file::ElementType;
use crate::cli::failure::Refusal;
use crate::inference::tokenizer::{SpecialTokens, Tokenizer};
use crate::inference::{Device, LoadOptions, Model};
use crate::progress::Progress;

/// Which model to load and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct ModelArguments {
    /// The checkpoint's folder, as `portcullis import` made it
    pub(in crate::cli) folder: PathBuf,

    /// Hold the weights as this type instead of the checkpoint's own
    #[arg(long, value_enum, help_heading = "Model")]
    dtype: Option<Dtype>,

    /// Where to compute
    #[arg(long, value_enum, default_value = "cpu", help_heading = "Model")]
    device: DeviceName,

    /// Read `<|endoftext|>` in the text as the special token, not as these thirteen characters
    #[arg(long, help_heading = "Model")]
    allow_special: bool,

    /// Token ids in place of text, such as 10,20,30
    #[arg(long, value_delimiter = ',', value_name = "IDS", help_heading = "Model")]
    pub(in crate::cli) tokens: Option<Vec<u32>>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dtype {
    F32,
    Bf16,
    F16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DeviceName {
    Cpu,
    Cuda,
}

/// A model ready to run, and its tokenizer.
pub(in crate::cli) struct Loaded {
    pub(in crate::cli) checkpoint: Checkpoint,
    pub(in crate::cli) model: Model,
    pub(in crate::cli) tokenizer: Tokenizer,
    pub(in crate::cli) seconds: f64,
}

/// Loads a checkpoint's model while another thread hashes its files; neither is handed out before both are done (P6).
pub(in crate::cli) fn load(
    folder: &Path,
    options: &LoadOptions,
    progress: &dyn Progress,
) -> anyhow::Result<Loaded> {
    let started = Instant::now();
    let checkpoint = Checkpoint::open(folder)?;
    let weights = checkpoint.weights()?;
    progress.begin("loading", Some(checkpoint.manifest().size()));
    let (checked, model) = std::thread::scope(|scope| {
        let checked = scope.spawn(|| checkpoint.check_files(progress));
        let model = Model::load(checkpoint.config(), &weights, options, &crate::progress::Silent);
        (checked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), model)
    });
    // Altered weights explain whatever else went wrong with them.
    checked?;
    let model = model?;
    let tokenizer = Tokenizer::new(checkpoint.config().architecture, &checkpoint.tokenizer_files()?)?;
    Ok(Loaded { checkpoint, model, tokenizer, seconds: started.elapsed().as_secs_f64() })
}

impl ModelArguments {
    pub(in crate::cli) fn load(&self, progress: &dyn Progress) -> anyhow::Result<Loaded> {
        let dtype = self.dtype.map(|dtype| match dtype {
            Dtype::F32 => ElementType::F32,
            Dtype::Bf16 => ElementType::BF16,
            Dtype::F16 => ElementType::F16,
        });
        let device = match self.device {
            DeviceName::Cpu => Device::Cpu,
            DeviceName::Cuda => Device::Cuda,
        };
        load(&self.folder, &LoadOptions { dtype, device, ..LoadOptions::default() }, progress)
    }

    /// The tokens of a text, by the caller's word on special ones.
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
