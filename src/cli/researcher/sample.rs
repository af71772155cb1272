//! Writes texts one after another from one prompt, and describes them.

use std::ops::ControlFlow;

use serde::Serialize;

use super::model::Loaded;
use crate::cli::interrupt;
use crate::cli::output::Output;
use crate::inference::tokenizer::Tokenizer;
use crate::inference::{
    Completion, CompletionOptions, Finish, KeyValueCache, LogProbability, Piece, complete,
};

/// One text, as `--json` shows it.
#[derive(Serialize)]
pub(super) struct Sample {
    seed: u64,
    prompt_tokens: usize,
    pub(super) tokens: Vec<u32>,
    pub(super) text: String,
    pub(super) finish_reason: &'static str,
    prefill_seconds: f64,
    decode_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Vec<TokenReport>>,
}

#[derive(Serialize)]
struct TokenReport {
    token: u32,
    text: String,
    logprob: f64,
    likeliest: Vec<Likely>,
}

#[derive(Serialize)]
struct Likely {
    token: u32,
    text: String,
    logprob: f64,
}

/// A model with a prompt that it reads once for all its texts.
pub(super) struct Writer<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) cache: KeyValueCache,
    pub(super) prompt: &'a [u32],
    pub(super) output: Output,
}

impl Writer<'_> {
    /// Writes one text, streaming it; Ctrl-C ends it.
    pub(super) fn write(&mut self, options: &CompletionOptions) -> anyhow::Result<Sample> {
        // Every text after the first finds the prompt read, but for the token whose logits it needs.
        let read = self.cache.length().min(self.prompt.len() - 1);
        self.cache.truncate(read);
        let Loaded { model, tokenizer, .. } = self.loaded;
        let output = self.output;
        let (mut reports, mut closed, mut shown) = (Vec::new(), None, 0);
        let mut each = |piece: &Piece<'_>| {
            if let Some(log_probability) = &piece.step.log_probability {
                reports.push(report(tokenizer, piece.step.token, log_probability));
            }
            shown += piece.text.len();
            closed = output.piece(piece.text).err();
            if closed.is_some() || interrupt::asked_to_stop() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let rest = &self.prompt[read..];
        let completion = complete((model, tokenizer), &mut self.cache, rest, options, &mut each)?;
        if let Some(error) = closed {
            return Err(error.into());
        }
        output.piece(format_args!("{}\n", &completion.text[shown..]))?;
        let logprobs = options.generation.log_probabilities.map(|_| reports);
        let sample = describe(completion, self.prompt.len(), options.generation.sampling.seed, logprobs);
        show_ending(&sample, output)?;
        Ok(sample)
    }
}

fn describe(
    completion: Completion,
    prompt_tokens: usize,
    seed: u64,
    logprobs: Option<Vec<TokenReport>>,
) -> Sample {
    let Completion { text, generation } = completion;
    Sample {
        seed,
        prompt_tokens,
        tokens: generation.tokens,
        text,
        finish_reason: match generation.finish {
            Finish::Length => "length",
            Finish::EndOfText => "end_of_text",
            Finish::Stop => "stop",
            Finish::Cancelled => "cancelled",
        },
        prefill_seconds: generation.timings.prefill.as_secs_f64(),
        decode_seconds: generation.timings.decode.as_secs_f64(),
        logprobs,
    }
}

/// For people: the log probabilities, and how it ended.
fn show_ending(sample: &Sample, output: Output) -> anyhow::Result<()> {
    for report in sample.logprobs.iter().flatten() {
        let likeliest: Vec<_> = report
            .likeliest
            .iter()
            .map(|likely| format!("{:?} {:.2}", likely.text, likely.logprob))
            .collect();
        output.piece(format_args!(
            "{:8.3}  {:?}  {}\n",
            report.logprob,
            report.text,
            likeliest.join(", ")
        ))?;
    }
    let written = sample.tokens.len();
    let rate = written.saturating_sub(1) as f64 / sample.decode_seconds.max(1e-9);
    if output.draws_progress() {
        output.note(format_args!(
            "[{written} tokens after {}, {rate:.0} a second, seed {}, ended by {}]",
            sample.prompt_tokens, sample.seed, sample.finish_reason,
        ));
    }
    Ok(())
}

fn report(tokenizer: &Tokenizer, token: u32, log_probability: &LogProbability) -> TokenReport {
    let text = |token| tokenizer.token_text(token).unwrap_or_default();
    let likeliest = log_probability.likeliest.iter();
    TokenReport {
        token,
        text: text(token),
        logprob: log_probability.chosen,
        likeliest: likeliest
            .map(|likely| Likely {
                token: likely.token,
                text: text(likely.token),
                logprob: likely.log_probability,
            })
            .collect(),
    }
}
