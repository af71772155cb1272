//! `portcullis show`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::config::ModelConfig;
use crate::checkpoint::known::{self, KnownCheckpoint};
use crate::checkpoint::manifest::{FileEntry, Manifest, RecordComparison, TensorComparison};
use crate::cli::output::Output;
use crate::cli::units;

/// Show an imported checkpoint's card: shape, sizes, digests, origin, and its standing beside the public record
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// The checkpoint's folder
    folder: PathBuf,
}

impl Show {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        let checkpoint = Checkpoint::open(&self.folder)?;
        let (manifest, config) = (checkpoint.manifest(), checkpoint.config());
        let known = known::find(manifest.checkpoint.as_str());
        let standing = known.map(|known| manifest.compare_with_record(known));
        let result = json!({
            "checkpoint": manifest.checkpoint,
            "architecture": config.architecture.model_type(),
            "layers": config.layers,
            "width": config.width,
            "heads": config.heads,
            "context": config.context,
            "vocabulary": config.vocabulary,
            "released": known.map(|known| known.released),
            "standing": standing,
            "manifest": manifest,
        });
        output.result(&result, card(manifest, config, known)?)
    }
}

fn card(
    manifest: &Manifest,
    config: &ModelConfig,
    known: Option<&KnownCheckpoint>,
) -> Result<String, std::fmt::Error> {
    let mut card = format!("{}\n", manifest.checkpoint);
    if let Some(known) = known {
        writeln!(card, "  released    {} as {}", known.released, known.paper_label)?;
    }
    writeln!(
        card,
        "  model       {}: {} layers, width {}, {} heads, context {}, vocabulary {}",
        config.architecture.model_type(),
        config.layers,
        config.width,
        config.heads,
        units::count(config.context as u64),
        units::count(config.vocabulary as u64),
    )?;
    writeln!(
        card,
        "  parameters  {} in {} tensors of {}",
        units::count(manifest.parameter_count),
        manifest.tensor_count,
        manifest.dtype,
    )?;
    writeln!(card, "  origin      {}", manifest.origin.source)?;
    writeln!(card, "  standing    {}", standing_line(manifest))?;
    writeln!(card, "  files       {} in all", units::bytes(manifest.size()))?;
    let width = manifest.files.iter().chain(&manifest.origin.files).map(|file| file.name.len()).max();
    let width = width.unwrap_or_default();
    let line = |file: &FileEntry| {
        format!("    {:width$}  {:>9}  sha256:{}", file.name, units::bytes(file.size), file.sha256)
    };
    for file in &manifest.files {
        writeln!(card, "{}", line(file))?;
    }
    writeln!(card, "  made from")?;
    for file in &manifest.origin.files {
        let record = known.and_then(|known| known.file(manifest.origin.publication, &file.name));
        let verdict = match record {
            None => "",
            Some(record) if record.sha256 == file.sha256.to_string() => "  official",
            Some(_) => "  differs",
        };
        writeln!(card, "{}{verdict}", line(file))?;
    }
    Ok(card)
}

/// One sentence on how a checkpoint stands beside the public record.
pub(super) fn standing_line(manifest: &Manifest) -> String {
    let Some(known) = known::find(manifest.checkpoint.as_str()) else {
        return "not in the known catalogue: nothing on record to compare with".to_owned();
    };
    let RecordComparison { files_equal, files_different, tensors } = manifest.compare_with_record(known);
    let weights_on_record = files_equal.iter().any(|name| is_weights(name));
    let files = if !files_different.is_empty() {
        format!("another build: not the published {}", files_different.join(", "))
    } else if weights_on_record {
        "official: the weights are the published file".to_owned()
    } else {
        "the weights' digest is not on public record, so it was taken as found".to_owned()
    };
    let tensors = match tensors {
        Some(TensorComparison { equal, compared }) if equal == compared => {
            "every tensor equals OpenAI's original".to_owned()
        }
        Some(TensorComparison { equal, compared }) => {
            format!("{equal} of {compared} tensors equal OpenAI's original")
        }
        None => "OpenAI's tensor checksums are not on record, or not of this dtype".to_owned(),
    };
    format!("{files}; {tensors}")
}

fn is_weights(name: &str) -> bool {
    name == "model.safetensors" || name.starts_with("model.ckpt.data")
}
