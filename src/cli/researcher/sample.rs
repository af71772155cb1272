//! Writes texts from one prompt, several at a time, shows them in their order, and describes them.

use std::ops::ControlFlow;

use serde::Serialize;

use super::recording::Records;
use crate::cli::interrupt;
use crate::cli::output::{CannotPrint, Output};
use crate::client::{self, Begun};
use crate::inference::tokenizer::Tokenizer;
use crate::inference::{
    Batch, Completing, Completion, Event, Finish, Generation, GenerationOptions, KeyValueCache,
    LogProbability, Model, Sampling, Speculation, Step, TextId,
};
use crate::usage;

/// Most texts that are written at a time, and memory that what they have read may take together.
const AT_A_TIME: usize = 16;
const MAX_CACHED_BYTES: u64 = 1 << 30;

/// One text, as `--json` shows it.
#[derive(Serialize)]
pub(super) struct Sample {
    seed: u64,
    prompt_tokens: usize,
    pub(super) tokens: Vec<u32>,
    pub(super) text: String,
    #[serde(rename = "finish_reason")]
    pub(super) finish: usage::Finish,
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
    likeliest: Vec<Candidate>,
}

#[derive(Serialize)]
struct Candidate {
    token: u32,
    text: String,
    logprob: f64,
}

/// A model with a prompt, and what guesses for it.
pub(super) struct Writer<'a> {
    pub(super) model: &'a Model,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) speculation: Speculation<'a>,
    pub(super) prompt: &'a [u32],
    pub(super) output: Output,
}

/// What to write: so many texts, the first with this seed, each with the next.
pub(super) struct SampleRequest<'a> {
    pub(super) texts: u32,
    pub(super) options: GenerationOptions,
    pub(super) stop: &'a [String],
}

/// The texts that were written, and why there are no more.
pub(super) struct Samples {
    pub(super) samples: Vec<Sample>,
    pub(super) failure: Option<anyhow::Error>,
}

/// A text under way.
struct OpenText<'a> {
    id: TextId,
    turn: usize,
    seed: u64,
    begun: Begun,
    completing: Completing<'a>,
    tokens: usize,
    reports: Vec<TokenReport>,
}

impl Writer<'_> {
    /// Writes the texts, streaming the first that has not ended; Ctrl-C ends them all. If one cannot be written, those before it are still
    /// ended and shown.
    pub(super) fn write(&self, wanted: &SampleRequest<'_>, records: &mut Records) -> anyhow::Result<Samples> {
        let at_a_time = self.at_a_time(&wanted.options);
        let mut batch = Batch::new(self.model, at_a_time).speculating(self.speculation)?;
        let mut turns = Turns::new(self.output, wanted);
        let (mut open, mut started, mut failure) = (Vec::<OpenText<'_>>::new(), 0, None);
        loop {
            while failure.is_none()
                && open.len() < at_a_time
                && started < wanted.texts
                && !interrupt::is_interrupted()
            {
                match self.begin(wanted, started, &mut batch, records) {
                    Ok(text) => open.push(text),
                    Err(error) => failure = Some(error),
                }
                started += 1;
            }
            if open.is_empty() {
                break;
            }
            let mut ended = Vec::new();
            batch.pass(&mut |id, event| {
                let Some(at) = open.iter().position(|text| text.id == id) else {
                    return ControlFlow::Break(Finish::Cancelled);
                };
                match event {
                    Event::Prompt(_) => ControlFlow::Continue(()),
                    Event::Token(step) => match self.on_token(&mut open[at], step, &mut turns, records) {
                        Ok(next) => next,
                        Err(error) => {
                            failure = failure.take().or(Some(error.into()));
                            ControlFlow::Break(Finish::Cancelled)
                        }
                    },
                    Event::End(generation) => {
                        ended.push((open.swap_remove(at), Ok(generation)));
                        ControlFlow::Continue(())
                    }
                    Event::Failed(error) => {
                        ended.push((open.swap_remove(at), Err(error)));
                        ControlFlow::Continue(())
                    }
                }
            });
            for (text, ending) in ended {
                let ending = self.end(text, ending, wanted, &mut turns, records);
                failure = failure.or(ending.err());
            }
        }
        Ok(Samples { samples: turns.finish()?, failure })
    }

    fn at_a_time(&self, options: &GenerationOptions) -> usize {
        // A device reads one text after another.
        let max = if self.model.processor().is_some() { AT_A_TIME } else { 1 };
        let positions = self.prompt.len().saturating_add(options.max_tokens).min(self.model.config().context);
        let fit = MAX_CACHED_BYTES / KeyValueCache::bytes_of(self.model, positions).max(1);
        max.min(usize::try_from(fit).unwrap_or(max)).max(1)
    }

    /// Begins one text: nothing is written before its record is durable.
    fn begin(
        &self,
        wanted: &SampleRequest<'_>,
        turn: u32,
        batch: &mut Batch<'_>,
        records: &mut Records,
    ) -> anyhow::Result<OpenText<'_>> {
        let seed = wanted.options.sampling.seed.wrapping_add(turn.into());
        let sampling = Sampling { seed, ..wanted.options.sampling };
        let options = GenerationOptions { sampling, ..wanted.options };
        let id = batch.begin(self.prompt.to_vec(), &options)?;
        let begun = match records.begin(self, &options) {
            Ok(begun) => begun,
            Err(error) => {
                batch.cancel(id);
                return Err(error);
            }
        };
        let completing = Completing::new(self.tokenizer, wanted.stop.to_vec());
        Ok(OpenText { id, turn: turn as usize, seed, begun, completing, tokens: 0, reports: Vec::new() })
    }

    /// Takes a token: what it adds is stored before it is shown.
    fn on_token(
        &self,
        text: &mut OpenText<'_>,
        step: &Step,
        turns: &mut Turns,
        records: &mut Records,
    ) -> Result<ControlFlow<Finish>, client::Error> {
        let (certain, stopped) = text.completing.push(step);
        text.tokens += 1;
        records.wrote(&text.begun, &certain, text.tokens)?;
        if let Some(log_probability) = &step.log_probability {
            text.reports.push(report(self.tokenizer, step.token, log_probability));
        }
        turns.piece(text.turn, &certain);
        Ok(if stopped {
            ControlFlow::Break(Finish::Stop)
        } else if turns.closed.is_some() || interrupt::is_interrupted() {
            ControlFlow::Break(Finish::Cancelled)
        } else {
            ControlFlow::Continue(())
        })
    }

    fn end(
        &self,
        text: OpenText<'_>,
        ending: Result<Generation, crate::inference::Error>,
        wanted: &SampleRequest<'_>,
        turns: &mut Turns,
        records: &mut Records,
    ) -> anyhow::Result<()> {
        let OpenText { turn, seed, begun, completing, reports, .. } = text;
        let generation = match ending {
            Ok(generation) => generation,
            Err(error) => {
                records.fail(begun, wanted.options.max_tokens)?;
                return Err(error.into());
            }
        };
        let (completion, held) = completing.finish(generation);
        turns.piece(turn, &completion.text[completion.text.len() - held..]);
        let logprobs = wanted.options.log_probabilities.map(|_| reports);
        let sample = describe(completion, seed, logprobs);
        records.end(begun, &sample, self.output)?;
        turns.end(turn, sample);
        Ok(())
    }
}

/// Shows texts that are written at the same time one after another.
struct Turns {
    output: Output,
    texts: u32,
    seed: u64,
    /// The text that is shown as it comes.
    current: usize,
    /// What came of those behind it.
    pending: Vec<String>,
    ended: Vec<Option<Sample>>,
    shown: Vec<Sample>,
    /// Why nothing can be shown any more.
    closed: Option<CannotPrint>,
}

impl Turns {
    fn new(output: Output, wanted: &SampleRequest<'_>) -> Self {
        let mut this = Self {
            output,
            texts: wanted.texts,
            seed: wanted.options.sampling.seed,
            current: 0,
            pending: Vec::new(),
            ended: Vec::new(),
            shown: Vec::new(),
            closed: None,
        };
        this.head();
        this
    }

    fn show(&mut self, text: impl std::fmt::Display) {
        if self.closed.is_none() {
            self.closed = self.output.piece(text).err();
        }
    }

    fn head(&mut self) {
        if self.texts > 1 && self.current < self.texts as usize {
            let (turn, seed) = (self.current + 1, self.seed.wrapping_add(self.current as u64));
            let texts = self.texts;
            self.show(format_args!("--- {turn} of {texts}, seed {seed}\n"));
        }
    }

    fn piece(&mut self, turn: usize, text: &str) {
        if turn == self.current {
            return self.show(text);
        }
        let behind = turn - self.current;
        if self.pending.len() < behind {
            self.pending.resize_with(behind, String::new);
        }
        self.pending[behind - 1].push_str(text);
    }

    fn end(&mut self, turn: usize, sample: Sample) {
        let at = turn - self.current;
        if self.ended.len() <= at {
            self.ended.resize_with(at + 1, || None);
        }
        self.ended[at] = Some(sample);
        while let Some(Some(_)) = self.ended.first() {
            if let Some(sample) = self.ended.remove(0) {
                self.show("\n");
                self.ending(&sample);
                self.shown.push(sample);
            }
            self.current += 1;
            let stopped = interrupt::is_interrupted() && self.ended.is_empty() && self.pending.is_empty();
            let pending = if self.pending.is_empty() { String::new() } else { self.pending.remove(0) };
            if !stopped {
                self.head();
            }
            self.show(pending);
        }
    }

    /// For people: the log probabilities, and how it ended.
    fn ending(&mut self, sample: &Sample) {
        for report in sample.logprobs.iter().flatten() {
            let likeliest = report.likeliest.iter();
            let likeliest: Vec<_> =
                likeliest.map(|likely| format!("{:?} {:.2}", likely.text, likely.logprob)).collect();
            let likeliest = likeliest.join(", ");
            self.show(format_args!("{:8.3}  {:?}  {likeliest}\n", report.logprob, report.text));
        }
        let written = sample.tokens.len();
        let rate = written.saturating_sub(1) as f64 / sample.decode_seconds.max(1e-9);
        if self.output.draws_progress() {
            self.output.note(format_args!(
                "[{written} tokens after {}, {rate:.0} a second, seed {}, ended by {}]",
                sample.prompt_tokens, sample.seed, sample.finish,
            ));
        }
    }

    fn finish(self) -> anyhow::Result<Vec<Sample>> {
        let rest = self.ended.into_iter().flatten();
        let samples = self.shown.into_iter().chain(rest).collect();
        self.closed.map_or(Ok(samples), |error| Err(error.into()))
    }
}

fn describe(completion: Completion, seed: u64, logprobs: Option<Vec<TokenReport>>) -> Sample {
    let Completion { text, generation } = completion;
    Sample {
        seed,
        prompt_tokens: generation.prompt_tokens,
        tokens: generation.tokens,
        text,
        finish: generation.finish.into(),
        prefill_seconds: generation.timings.prefill.as_secs_f64(),
        decode_seconds: generation.timings.decode.as_secs_f64(),
        logprobs,
    }
}

fn report(tokenizer: &Tokenizer, token: u32, log_probability: &LogProbability) -> TokenReport {
    let text = |token| tokenizer.token_text(token).unwrap_or_default();
    let likeliest = log_probability.likeliest.iter();
    TokenReport {
        token,
        text: text(token),
        logprob: log_probability.chosen,
        likeliest: likeliest
            .map(|likely| Candidate {
                token: likely.token,
                text: text(likely.token),
                logprob: likely.log_probability,
            })
            .collect(),
    }
}
