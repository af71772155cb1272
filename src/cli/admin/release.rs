//! `portcullis release`.

use std::path::PathBuf;

use clap::Args;

use super::catalogue::propose::Terms;
use super::catalogue::working_copy::WorkingCopy;
use crate::catalogue::CheckpointFile;
use crate::cli::failure::Refusal;
use crate::cli::home::{Home, Place};
use crate::cli::output::Output;
use crate::name::{CheckpointId, Label};

/// Propose that a checkpoint enters a stage, and sign the proposal; its sealed manifest is the one in force, or the one that you sealed
///
/// This is `catalogue propose <checkpoint> --stage <name>`, which finds the manifest by itself. The other members review and sign it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Release {
    /// The checkpoint
    checkpoint: CheckpointId,

    /// The stage to enter
    #[arg(long, value_name = "NAME")]
    stage: Label,

    #[command(flatten)]
    terms: Terms,
}

impl Release {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let Self { checkpoint, stage, terms } = self;
        let working_copy = WorkingCopy::open(home, output)?;
        let known = working_copy.repository().proposed_file(&checkpoint, CheckpointFile::Manifest)?;
        let sealed = sealed_manifest(home, &checkpoint)?;
        let manifest = match (&known, sealed) {
            (None, None) => return Err(not_sealed(&checkpoint).into()),
            (None, Some(sealed)) => {
                output.note(format_args!("note: using the manifest in {}", sealed.display()));
                Some(sealed)
            }
            (Some(known), Some(sealed)) if std::fs::read(&sealed).is_ok_and(|bytes| bytes != *known) => {
                output.note(format_args!(
                    "note: {} was sealed again and differs from the released manifest; `portcullis catalogue propose {checkpoint} --manifest {}` proposes it",
                    checkpoint,
                    sealed.display(),
                ));
                None
            }
            (Some(_), _) => None,
        };
        terms.release(&checkpoint, stage, manifest).run_in(&working_copy, home, output)
    }
}

/// Where `seal` left the manifest of this checkpoint, if it did.
fn sealed_manifest(home: &Home, checkpoint: &CheckpointId) -> anyhow::Result<Option<PathBuf>> {
    let sealed = match home.place()? {
        Place::Folder(_) => home.sealed()?,
        Place::Address(_) => home.local_sealed(),
    };
    let manifest = sealed.join(checkpoint.as_str()).join("manifest.json");
    Ok(manifest.is_file().then_some(manifest))
}

fn not_sealed(checkpoint: &CheckpointId) -> Refusal {
    Refusal::usage(
        format!("no sealed manifest of {checkpoint} is proposed or published, and this home sealed none"),
        format!(
            "seal it with `portcullis seal <folder>`, or give another member's manifest: `portcullis catalogue propose {checkpoint} --stage <name> --manifest <file>`"
        ),
    )
}
