//! Options of `run` and `serve` for guesses: `--draft`, `--lookup`.

use std::path::PathBuf;

use clap::Args;

use super::model::{LoadArguments, Loaded, TokenizerUse};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::inference::{self, Speculation};
use crate::progress::Progress;

/// Where guesses of what follows come from. They change how long a text takes, never the text.
#[derive(Debug, Args)]
pub(in crate::cli) struct SpeculationArguments {
    /// Use a smaller checkpoint of the same family as draft model: the text stays the same and comes sooner
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "lookup", help_heading = "Model")]
    draft: Option<PathBuf>,

    /// Guess tokens from earlier repetitions: for texts that repeat themselves or their prompt
    #[arg(long, help_heading = "Model")]
    lookup: bool,
}

impl SpeculationArguments {
    /// Loads the checkpoint that guesses, as the one that writes was loaded. It has a gate and a record of its own.
    pub(in crate::cli) fn load(
        &self,
        how: &LoadArguments,
        home: &Home,
        output: Output,
        writer: &Loaded,
        progress: &dyn Progress,
    ) -> anyhow::Result<Option<Loaded>> {
        let Some(checkpoint) = &self.draft else { return Ok(None) };
        let draft = how.load(checkpoint, TokenizerUse::Decode, home, output, progress)?;
        if !draft.tokenizer.is_same_as(&writer.tokenizer) {
            let message = format!("{} has another tokenizer than {}", draft.checkpoint, writer.checkpoint);
            let hint = "give --draft a smaller checkpoint of the same family";
            return Err(Refusal::usage(message, hint).into());
        }
        // The same texts do not make the same logits: embeddings may be padded beyond what the tokenizer knows.
        let (known, own) = (draft.model.config().vocabulary, writer.model.config().vocabulary);
        if known != own {
            return Err(inference::Error::ForeignDraft { draft: known, vocabulary: own }.into());
        }
        Ok(Some(draft))
    }

    /// Whether guesses come from what was there before.
    pub(in crate::cli) fn lookup(&self) -> bool {
        self.lookup
    }

    /// What guesses.
    pub(in crate::cli) fn select<'m>(&self, draft: Option<&'m Loaded>) -> Speculation<'m> {
        match (draft, self.lookup) {
            (Some(draft), _) => Speculation::Draft(&draft.model),
            (None, true) => Speculation::Lookup,
            (None, false) => Speculation::None,
        }
    }
}
