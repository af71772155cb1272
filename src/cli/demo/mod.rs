//! `portcullis demo`: the main job on four small checkpoints that the program carries.

mod embedded;
mod gate;
mod people;
mod replay;
mod server;
pub(super) mod trial;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::failure::Refusal;
use super::output::Output;
use super::{interrupt, units};
use crate::checkpoint::{self, ImportRequest, ImportSource};
use crate::progress::NoProgress;
use embedded::{CHECKPOINTS, EmbeddedCheckpoint};
use people::HOMES;
use server::REGISTRY;

/// The report that the story ends on, in its folder.
const REPORT: &str = "report.html";

/// Show the main job on four small GPT-2 checkpoints: import, seal, release in stages, request, approve, run
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Work in this folder and keep it; otherwise only the report is kept, as a temporary file
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,

    /// Instead: the nine months of GPT-2's release in 2019, day by day, with hundreds of made-up people; takes a minute
    #[arg(long)]
    replay_2019: bool,

    /// From what the people of the replay are made up
    #[arg(long, value_name = "NUMBER", default_value_t = 2019, requires = "replay_2019")]
    seed: u64,
}

impl Demo {
    pub(super) fn run(self, output: Output) -> anyhow::Result<()> {
        interrupt::exit_when_asked(output, "the demo ends here");
        let Some(folder) = &self.dir else {
            let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
            let mut result = self.tell(folder.path(), output)?;
            let report = keep_report(folder.path())?;
            result["report"] = json!(report);
            let shown = report.display();
            return output.result(
                &result,
                format_args!(
                    "\nThe board's report is {shown}\nNothing else is kept; `portcullis demo --dir <folder>` keeps all of it.\n"
                ),
            );
        };
        require_new(folder)?;
        let result = self.tell(folder, output)?;
        let shown = folder.display();
        if self.replay_2019 {
            return output.result(&result, format_args!("\nThe report is {shown}/{REPORT}\n"));
        }
        let address = result["gate"]["registry"].as_str().unwrap_or_default();
        let listen = address.trim_start_matches("http://");
        let more = format!(
            "\nIt is all in {shown}. Go on with, for instance:\n  \
             portcullis registry serve {shown}/{REGISTRY} --listen {listen} &\n  \
             portcullis --home {shown}/{HOMES}/rosa request list\n  \
             portcullis --home {shown}/{HOMES}/ada catalogue status\n  \
             portcullis --home {shown}/{HOMES}/august audit report\n  \
             portcullis --home {shown}/{HOMES}/rosa run demo-small \"In the beginning\"\nThe board's report is {shown}/{REPORT}\n"
        );
        output.result(&result, more)
    }

    fn tell(&self, folder: &Path, output: Output) -> anyhow::Result<Value> {
        if self.replay_2019 { replay::tell(folder, self.seed, output) } else { tell(folder, output) }
    }
}

/// Copies the report out of a folder that is about to be removed.
fn keep_report(folder: &Path) -> anyhow::Result<PathBuf> {
    let keep = || -> io::Result<PathBuf> {
        let mut kept = tempfile::Builder::new().prefix("portcullis-demo-").suffix(".html").tempfile()?;
        io::copy(&mut File::open(folder.join(REPORT))?, kept.as_file_mut())?;
        let (_, path) = kept.keep().map_err(|error| error.error)?;
        Ok(path)
    };
    keep().context("cannot keep the report")
}

/// Refuses a folder in which people of an earlier demo live.
fn require_new(folder: &Path) -> Result<(), Refusal> {
    if folder.join(HOMES).exists() {
        let message = format!("{} holds a demo already", folder.display());
        return Err(Refusal::usage(message, "name another folder, or remove this one"));
    }
    Ok(())
}

/// Tells the story and returns it as data.
fn tell(folder: &Path, output: Output) -> anyhow::Result<Value> {
    output.piece(
        "Four GPT-2 checkpoints, small enough to carry along, trained on the King James text.\n\
         \nImport: from Hugging Face's layout into one normal form, every byte and tensor checked\n",
    )?;
    let mut story = Vec::new();
    for embedded in &CHECKPOINTS {
        story.push(import(embedded, folder, output)?);
    }
    output.piece("\nVerify: every file's digest, every tensor's shape and numbers\n")?;
    for embedded in &CHECKPOINTS {
        verify(&checkpoint_folder(folder, embedded), output)?;
    }
    let gate = gate::tell(folder, output)?;
    Ok(json!({ "checkpoints": story, "gate": gate, "report": folder.join(REPORT) }))
}

fn checkpoint_folder(folder: &Path, embedded: &EmbeddedCheckpoint) -> PathBuf {
    folder.join("checkpoints").join(embedded.id)
}

fn import(embedded: &EmbeddedCheckpoint, folder: &Path, output: Output) -> anyhow::Result<Value> {
    let source = folder.join("published").join(embedded.id);
    embedded.publish(&source).with_context(|| format!("cannot write {}", source.display()))?;
    let request = ImportRequest {
        checkpoint: checkpoint::checkpoint_id(embedded.id)?,
        source: ImportSource::Folder(source),
        destination: checkpoint_folder(folder, embedded),
        unofficial: false,
    };
    let imported = checkpoint::import(&request, &NoProgress)?;
    let (manifest, config) = (imported.checkpoint.manifest(), imported.checkpoint.config());
    output.piece(format_args!(
        "  {:12} {:>9} parameters, {} layers of width {:3}, {}\n",
        embedded.id,
        units::count(manifest.parameter_count),
        config.layers,
        config.width,
        units::bytes(manifest.size()),
    ))?;
    Ok(json!({ "manifest": manifest }))
}

fn verify(folder: &Path, output: Output) -> anyhow::Result<()> {
    // `Checkpoint::check_files` stops at the first problem; the full report is what this step is to show.
    let report = checkpoint::verify(folder, &NoProgress)?;
    let manifest = &report.manifest;
    anyhow::ensure!(report.is_sound(), "{} is not as it was imported a moment ago", folder.display());
    output.piece(format_args!(
        "  {:12} sound: {} files, {} tensors\n",
        manifest.checkpoint,
        manifest.files.len(),
        manifest.tensor_count,
    ))?;
    Ok(())
}
