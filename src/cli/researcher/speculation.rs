//! The options of speculative decoding: `--draft` and `--lookup`.

use std::path::PathBuf;

use clap::Args;

use super::model::{LoadArguments, Loaded, Texts};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::inference::{self, Speculation};
use crate::progress::Progress;

/// The source of guesses. It changes the speed, never the text.
#[derive(Debug, Args)]
pub(in crate::cli) struct SpeculationArguments {
    /// Guess with a smaller checkpoint of the same family: faster if it guesses well, with the same text
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "lookup", help_heading = "Model")]
    draft: Option<PathBuf>,

    /// Guess from earlier occurrences of the last tokens: faster for texts that repeat themselves or their prompt
    #[arg(long, help_heading = "Model")]
    lookup: bool,
}

impl SpeculationArguments {
    /// Loads the draft like the checkpoint itself. It has its own gate and its own record.
    pub(in crate::cli) fn load(
        &self,
        how: &LoadArguments,
        home: &Home,
        output: Output,
        model: &Loaded,
        progress: &dyn Progress,
    ) -> anyhow::Result<Option<Loaded>> {
        let Some(checkpoint) = &self.draft else { return Ok(None) };
        let draft = how.load(checkpoint, Texts::Decoded, home, output, progress)?;
        if !draft.tokenizer.is_same_as(&model.tokenizer) {
            let message = format!("{} and {} have different tokenizers", draft.checkpoint, model.checkpoint);
            let hint = "give --draft a smaller checkpoint of the same family";
            return Err(Refusal::usage(message, hint).into());
        }
        // Equal tokenizers do not imply equal vocabularies: embeddings may be padded.
        let (known, own) = (draft.model.config().vocabulary, model.model.config().vocabulary);
        if known != own {
            return Err(inference::Error::ForeignDraft { draft: known, vocabulary: own }.into());
        }
        Ok(Some(draft))
    }

    /// Whether guesses come from earlier tokens.
    pub(in crate::cli) fn lookup(&self) -> bool {
        self.lookup
    }

    /// The source of guesses.
    pub(in crate::cli) fn speculation<'m>(&self, draft: Option<&'m Loaded>) -> Speculation<'m> {
        match (draft, self.lookup) {
            (Some(draft), _) => Speculation::Draft(&draft.model),
            (None, true) => Speculation::Lookup,
            (None, false) => Speculation::None,
        }
    }
}
