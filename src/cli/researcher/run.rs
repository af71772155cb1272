//! `portcullis run`.

use std::io::{self, IsTerminal as _};

use clap::Args;
use serde_json::json;

use super::model::{Loaded, ModelArguments, utf8};
use super::recording::Records;
use super::sample::{SampleRequest, Samples, Writer};
use super::speculation::SpeculationArguments;
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::interrupt;
use crate::cli::output::Output;
use crate::cli::progress::{Bar, read_stdin};
use crate::client::Recorders;
use crate::inference::{GenerationOptions, Sampling};
use crate::name::Prose;

/// Most bytes of a prompt.
const MAX_PROMPT: u64 = 16 << 20;

/// Run a checkpoint: continue a prompt and stream the text
///
/// Without a prompt the model begins a text of its own. Ctrl-C ends the text and keeps what was written.
#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    #[command(flatten)]
    model: ModelArguments,

    /// The text to continue, or - to read it from standard input
    prompt: Option<String>,

    /// Maximum tokens to generate; fewer if the context has less room after the prompt
    #[arg(long, short = 'n', value_name = "N", default_value_t = 128)]
    max_tokens: usize,

    /// 0 always takes the likeliest token; 1 samples the model's own distribution
    #[arg(long, short, value_name = "T", default_value_t = 1.0, allow_negative_numbers = true)]
    temperature: f32,

    /// Consider only this many of the likeliest tokens; 0 considers all. OpenAI published its samples with 40
    #[arg(long, value_name = "K", default_value_t = 40)]
    top_k: usize,

    /// Consider only the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    top_p: f32,

    /// The same seed gives the same text [default: random]
    #[arg(long)]
    seed: Option<u64>,

    /// Stop before this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,

    #[command(flatten)]
    speculation: SpeculationArguments,

    /// Number of texts to generate, with consecutive seeds
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,

    /// Show each token's log probability and those of the N likeliest
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "0")]
    logprobs: Option<usize>,

    /// Keep the end of a prompt that is too long, with room for --max-tokens in up to half of the context
    #[arg(long)]
    truncate: bool,

    /// The reason, if a misuse rule requires one: auditors read it
    #[arg(long, value_name = "REASON")]
    justify: Option<Prose>,

    /// Continue after the end-of-text token
    #[arg(long)]
    ignore_eos: bool,
}

impl Run {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let text = self.prompt_text()?;
        interrupt::remember_interrupt();
        let bar = Bar::transient(output);
        let mut loaded = self.model.load(home, output, &bar)?;
        let mut draft = self.speculation.load(&self.model.load, home, output, &loaded, &bar)?;
        drop(bar);
        let recorders = [loaded.recorder.take(), draft.as_mut().and_then(|draft| draft.recorder.take())];
        let prompt = self.fit(self.prompt_tokens(&loaded, text.as_deref())?, &loaded)?;
        let (model, tokenizer) = (&loaded.model, &loaded.tokenizer);
        let speculation = self.speculation.select(draft.as_ref());
        let writer = Writer { model, tokenizer, speculation, prompt: &prompt, output };
        let recorders = Recorders::new(recorders.into_iter().flatten());
        let mut records = Records::new(recorders, tokenizer.decode(&prompt), self.justify.clone());
        let room = model.config().context + 1 - prompt.len();
        if self.max_tokens > room {
            output.note(format_args!(
                "note: the context has room for {room} tokens after the prompt: no text gets more"
            ));
        }
        let options = self.options(self.seed.unwrap_or_else(rand::random), room);
        let wanted = SampleRequest { texts: self.samples, options, stop: &self.stop };
        let Samples { samples, failure } = writer.write(&wanted, &mut records)?;
        let written = samples.len();
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
            if written > 0 || failure.is_none() {
                output.result(&result, "")?;
            }
        }
        // What was written before is counted, and shown above.
        failure.map_or(Ok(()), |error| Err(not_all(error, written, self.samples)))
    }

    /// The prompt's text; none if tokens are given, or nothing at all.
    fn prompt_text(&self) -> anyhow::Result<Option<String>> {
        let read = || utf8(read_stdin(MAX_PROMPT)?, "standard input").map(Some);
        match (self.prompt.as_deref(), &self.model.tokens) {
            (Some(_), Some(_)) => {
                Err(Refusal::usage("both a prompt and --tokens are given", "give one of them").into())
            }
            (Some("-"), None) => read(),
            (Some(text), None) => Ok(Some(text.to_owned())),
            (None, Some(_)) => Ok(None),
            // A script that pipes text in means it as the prompt; a person at a terminal is not kept waiting.
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
        let beginning = loaded.model.config().begin_token.or(loaded.tokenizer.end_of_text());
        beginning.map(|token| vec![token]).ok_or_else(|| {
            Refusal::usage("this checkpoint has no token that begins a text", "give a prompt").into()
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

/// Says how many texts were written before one could not be.
fn not_all(error: anyhow::Error, written: usize, wanted: u32) -> anyhow::Error {
    match written {
        0 => error,
        _ => error.context(format!("{written} of {wanted} texts were written")),
    }
}
