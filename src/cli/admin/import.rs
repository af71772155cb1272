//! `portcullis import`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::show;
use crate::checkpoint::{self, ImportRequest};
use crate::cli::output::Output;
use crate::cli::progress::Bar;
use crate::cli::{interrupt, units};

/// Import a published checkpoint: check it against the public record and put it into one normal form
///
/// The folder appears complete or not at all. Cut off at any point, the same command goes on where it stopped.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// Which checkpoint it is: a known one by any of its names (gpt2, 345M, gpt2-xl …), or an id of your own
    checkpoint: String,

    /// A folder as published: Hugging Face's, or OpenAI's of 2019
    source: PathBuf,

    /// The folder to make
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,

    /// Accept files that differ from those on public record: another build of a known checkpoint
    #[arg(long)]
    unofficial: bool,
}

impl Import {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        let request = ImportRequest {
            checkpoint: checkpoint::checkpoint_id(&self.checkpoint)?,
            source: self.source,
            destination: self.to,
            unofficial: self.unofficial,
        };
        interrupt::exit_when_asked(output, "nothing was imported yet; the same command goes on from here");
        let bar = Bar::new(output);
        let imported = checkpoint::import(&request, &bar)?;
        drop(bar);
        let to = request.destination.display().to_string();
        let manifest = imported.checkpoint.manifest();
        let id = &manifest.checkpoint;
        let done = if imported.already_there {
            format!("{id} is in {to} already, and every file is as it was imported\n")
        } else {
            format!("imported {id} into {to}, {}\n", units::bytes(manifest.size()))
        };
        if imported.resumed_bytes > 0 {
            output.note(format_args!("kept {} of an earlier run", units::bytes(imported.resumed_bytes)));
        }
        let standing = show::standing_line(manifest);
        let result = json!({
            "checkpoint": id,
            "folder": to,
            "already_there": imported.already_there,
            "resumed_bytes": imported.resumed_bytes,
            "manifest": manifest,
        });
        output.result(&result, format_args!("{done}{standing}\n"))
    }
}
