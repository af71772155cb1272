//! `portcullis import`.

use std::env::VarError;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::show;
use crate::checkpoint::fetch::FetchOptions;
use crate::checkpoint::{self, ImportRequest, ImportSource};
use crate::cli::failure::Refusal;
use crate::cli::output::{Output, shown};
use crate::cli::progress::Bar;
use crate::cli::{interrupt, units};

/// Import a published checkpoint: check it against the public record and put it into one normal form
///
/// A pickle (pytorch_model.bin) is refused: it runs code when it is loaded. For fetching, HTTPS_PROXY, ALL_PROXY and NO_PROXY
/// are honoured, and so are HF_TOKEN and HF_ENDPOINT.
///
/// The folder appears complete or not at all. After an interruption, run the same command again to continue.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// Which checkpoint it is: a known one by any of its names (gpt2, 345M, gpt2-xl …), or an id of your own
    checkpoint: String,

    /// A folder as published (Hugging Face's, or OpenAI's of 2019), or hf:<org>/<name>[@revision], or openai:<size>
    source: String,

    /// The folder to create
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,

    /// Accept files that differ from those on public record: another build of a known checkpoint
    #[arg(long)]
    unofficial: bool,

    /// Fetch from this address instead of the publisher's; HF_TOKEN is not sent there
    #[arg(long, value_name = "URL", help_heading = "Fetching")]
    mirror: Option<String>,

    /// Maximum concurrent requests
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Fetching")]
    parallel: usize,
}

impl Import {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        let request = ImportRequest {
            checkpoint: checkpoint::checkpoint_id(&self.checkpoint)?,
            source: self.source()?,
            destination: self.to,
            unofficial: self.unofficial,
        };
        interrupt::exit_on_interrupt(
            output,
            "nothing was imported yet; run the same command again to continue",
        );
        let bar = Bar::new(output);
        let imported = checkpoint::import(&request, &bar)?;
        drop(bar);
        let to = shown(&request.destination);
        let manifest = imported.checkpoint.manifest();
        let id = &manifest.checkpoint;
        let done = if imported.already_there {
            format!("{id} is already in {to}, and every file is as imported\n")
        } else {
            format!("imported {id} into {to}, {}\n", units::bytes(manifest.size()))
        };
        if imported.resumed_bytes > 0 {
            output.note(format_args!("kept {} of an earlier run", units::bytes(imported.resumed_bytes)));
        }
        for note in &imported.notes {
            output.note(format_args!("{note}"));
        }
        let standing = show::standing_line(manifest);
        let result = json!({
            "checkpoint": id,
            "folder": to,
            "already_there": imported.already_there,
            "resumed_bytes": imported.resumed_bytes,
            "notes": imported.notes,
            "manifest": manifest,
        });
        output.result(&result, format_args!("{done}{standing}\n"))
    }

    fn source(&self) -> anyhow::Result<ImportSource> {
        let folder = PathBuf::from(&self.source);
        let is_remote = ["hf:", "openai:"].iter().any(|scheme| self.source.starts_with(scheme));
        if !is_remote || folder.exists() {
            return Ok(ImportSource::Folder(folder));
        }
        let options = FetchOptions {
            endpoint: variable("HF_ENDPOINT")?.map(|text| text.parse()).transpose()?,
            mirror: self.mirror.as_deref().map(str::parse).transpose()?,
            bearer: variable("HF_TOKEN")?.map(|text| text.parse()).transpose()?,
            parallel: self.parallel,
            ..FetchOptions::default()
        };
        Ok(ImportSource::Remote { source: self.source.parse()?, options: Box::new(options) })
    }
}

/// A variable of the environment; one that is set to nothing counts as not set.
fn variable(name: &str) -> anyhow::Result<Option<String>> {
    match std::env::var(name) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            Err(Refusal::usage(format!("{name} is not UTF-8"), format!("set {name} again, or unset it"))
                .into())
        }
    }
}
