//! `portcullis run`.

use std::io::{self, IsTerminal as _};

use clap::Args;
use serde_json::json;

use super::model::{Loaded, ModelArguments, utf8};
use super::recording::Records;
use super::sample::{SampleOptions, Samples, Writer};
use super::speculation::SpeculationArguments;
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::interrupt;
use crate::cli::output::Output;
use crate::cli::progress::{Bar, read_stdin};
use crate::client::Recorders;
use crate::inference::{GenerationOptions, Sampling};
use crate::name::Prose;

/// Maximum bytes of a prompt.
const MAX_PROMPT_BYTES: u64 = 16 << 20;

/// Run a checkpoint: continue a prompt and stream the text
///
/// Without a prompt, the model starts a new text. Ctrl-C ends the text and keeps what was generated.
#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    #[command(flatten)]
    model: ModelArguments,

    /// The text to continue, or - to read it from standard input
    prompt: Option<String>,

    /// Maximum tokens to generate, limited by the room in the context
    #[arg(long, short = 'n', value_name = "N", default_value_t = 128)]
    max_tokens: usize,

    /// 0 always takes the likeliest token; 1 samples the model's own distribution
    #[arg(long, short, value_name = "T", default_value_t = 1.0, allow_negative_numbers = true)]
    temperature: f32,

    /// Sample from the K likeliest tokens only; 0 for all. OpenAI published its samples with 40
    #[arg(long, value_name = "K", default_value_t = 40)]
    top_k: usize,

    /// Sample from the likeliest tokens that together have probability P
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    top_p: f32,

    /// Seed of the random draws, for reproducible text; random by default
    #[arg(long)]
    seed: Option<u64>,

    /// End before this string; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,

    #[command(flatten)]
    speculation: SpeculationArguments,

    /// Generate N texts in one batch, with consecutive seeds
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,

    /// Show the log probability of each token and of the N likeliest
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "0")]
    logprobs: Option<usize>,

    /// If the prompt is too long, keep its end, with room for --max-tokens up to half of the context
    #[arg(long)]
    truncate: bool,

    /// Justification for a prompt that a misuse rule questions; the auditors read it
    #[arg(long, value_name = "REASON")]
    justify: Option<Prose>,

    /// Continue after an end-of-text token
    #[arg(long)]
    ignore_eos: bool,
}

impl Run {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let text = self.prompt_text()?;
        interrupt::remember_when_asked();
        let bar = Bar::before(output);
        let mut loaded = self.model.load(home, output, &bar)?;
        let mut draft = self.speculation.load(&self.model.load, home, output, &loaded, &bar)?;
        drop(bar);
        let recorders = [loaded.recorder.take(), draft.as_mut().and_then(|draft| draft.recorder.take())];
        let prompt = self.fit(self.prompt_tokens(&loaded, text.as_deref())?, &loaded)?;
        let (model, tokenizer) = (&loaded.model, &loaded.tokenizer);
        let speculation = self.speculation.speculation(draft.as_ref());
        let writer = Writer { model, tokenizer, speculation, prompt: &prompt, output };
        let recorders = Recorders::new(recorders.into_iter().flatten());
        let mut records = Records::new(recorders, tokenizer.decode(&prompt), self.justify.clone());
        let room = model.config().context + 1 - prompt.len();
        if self.max_tokens > room {
            output.note(format_args!(
                "note: each text ends after {room} tokens: the context has no room for more after the prompt"
            ));
        }
        let options = self.options(self.seed.unwrap_or_else(rand::random), room);
        let sample_options = SampleOptions { texts: self.samples, options, stop: &self.stop };
        let Samples { samples, failure } = writer.generate(&sample_options, &mut records)?;
        let generated = samples.len();
        if output.is_json() {
            let result = json!({
                "checkpoint": loaded.checkpoint,
                "dtype": loaded.model.precision().to_string().to_lowercase(),
                "load_seconds": loaded.seconds,
                "prompt": text,
                "max_tokens": self.max_tokens.min(room),
                "samples": samples,
                "rules_met": records.rules_met(),
            });
            if generated > 0 || failure.is_none() {
                output.result(&result, "")?;
            }
        }
        // The texts before the failure are recorded, and shown above.
        failure.map_or(Ok(()), |error| Err(with_progress(error, generated, self.samples)))
    }

    /// The text of the prompt; `None` if tokens are given, or no prompt at all.
    fn prompt_text(&self) -> anyhow::Result<Option<String>> {
        let read = || utf8(read_stdin(MAX_PROMPT_BYTES)?, "standard input").map(Some);
        match (self.prompt.as_deref(), &self.model.tokens) {
            (Some(_), Some(_)) => {
                Err(Refusal::usage("both a prompt and --tokens are given", "give one of them").into())
            }
            (Some("-"), None) => read(),
            (Some(text), None) => Ok(Some(text.to_owned())),
            (None, Some(_)) => Ok(None),
            // Piped text is the prompt; on a terminal, the command does not wait for input.
            (None, None) if !io::stdin().is_terminal() => Ok(read()?.filter(|text| !text.is_empty())),
            (None, None) => Ok(None),
        }
    }

    fn prompt_tokens(&self, loaded: &Loaded, text: Option<&str>) -> anyhow::Result<Vec<u32>> {
        if let Some(tokens) = &self.model.tokens {
            return Ok(tokens.clone());
        }
        let tokens = text.map(|text| self.model.encode(&loaded.tokenizer, text)).unwrap_or_default();
        if !tokens.is_empty() {
            return Ok(tokens);
        }
        let begin_token = loaded.model.config().begin_token.or(loaded.tokenizer.end_of_text());
        begin_token.map(|token| vec![token]).ok_or_else(|| {
            Refusal::usage("a prompt is required: this checkpoint has no begin token", "give a prompt").into()
        })
    }

    fn fit(&self, mut prompt: Vec<u32>, loaded: &Loaded) -> anyhow::Result<Vec<u32>> {
        let context = loaded.model.config().context;
        if prompt.len() <= context {
            return Ok(prompt);
        }
        if !self.truncate {
            let message = format!(
                "the prompt has {} tokens, {} more than the context of {context}",
                prompt.len(),
                prompt.len() - context,
            );
            return Err(Refusal::usage(message, "shorten it, or keep its end with --truncate").into());
        }
        let kept = context - self.max_tokens.min(context / 2);
        Ok(prompt.split_off(prompt.len() - kept))
    }

    fn options(&self, seed: u64, room: usize) -> GenerationOptions {
        GenerationOptions {
            sampling: Sampling {
                temperature: self.temperature,
                top_k: (self.top_k > 0).then_some(self.top_k),
                top_p: self.top_p,
                seed,
            },
            max_tokens: self.max_tokens.min(room),
            stop_at_end_of_text: !self.ignore_eos,
            log_probabilities: self.logprobs,
            prompt_log_probabilities: false,
        }
    }
}

/// Adds the number of texts that were generated before the failure.
fn with_progress(error: anyhow::Error, generated: usize, texts: u32) -> anyhow::Error {
    match generated {
        0 => error,
        _ => error.context(format!("only {generated} of {texts} texts were generated")),
    }
}
