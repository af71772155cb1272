//! `portcullis verify`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::checkpoint;
use crate::cli::failure::Refusal;
use crate::cli::output::Output;
use crate::cli::progress::Bar;
use crate::cli::units;
use crate::visible::one_line;

/// Check an imported checkpoint: every file's digest, every tensor's shape, type and numbers
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// The checkpoint's folder
    folder: PathBuf,
}

impl Verify {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        let bar = Bar::new(output);
        let started = Instant::now();
        let report = checkpoint::verify(&self.folder, &bar)?;
        let seconds = started.elapsed().as_secs_f64();
        drop(bar);
        let manifest = &report.manifest;
        let id = &manifest.checkpoint;
        let mut text = String::new();
        for name in report.strangers.iter().map(|name| one_line(name)) {
            output.note(format_args!("note: {name} is in the folder but not part of the checkpoint"));
        }
        for file in &report.files {
            writeln!(text, "failed  {file}")?;
        }
        for tensor in &report.tensors {
            writeln!(text, "failed  tensor {tensor}")?;
        }
        if report.is_sound() {
            writeln!(
                text,
                "{id} is sound: {} files and {} tensors are as imported, {} in {seconds:.1} s",
                manifest.files.len(),
                manifest.tensor_count,
                units::bytes(report.bytes),
            )?;
        }
        let result = json!({
            "checkpoint": id,
            "sound": report.is_sound(),
            "seconds": seconds,
            "report": report,
        });
        output.result(&result, text)?;
        if report.is_sound() {
            return Ok(());
        }
        let count = report.files.len() + report.tensors.len();
        let message = format!("{id} is not as imported: {count} checks failed");
        Err(Refusal::unverified(message, "do not use it; import it again from its source").into())
    }
}
