//! Generates several texts from one prompt in a batch, and shows them in order.

use std::ops::ControlFlow;

use serde::Serialize;

use super::recording::Records;
use crate::cli::interrupt;
use crate::cli::output::{CannotPrint, Output};
use crate::client::{self, OpenRecord};
use crate::inference::tokenizer::Tokenizer;
use crate::inference::{
    Batch, Completion, CompletionBuilder, Event, Finish, Generation, GenerationOptions, KeyValueCache,
    LogProbability, Model, Sampling, ScoredToken, SequenceId, Speculation,
};
use crate::usage;

/// Maximum texts in a batch, and maximum bytes of their caches.
const MAX_BATCH: usize = 16;
const MAX_CACHED_BYTES: u64 = 1 << 30;

/// One text, as `--json` prints it.
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
    likeliest: Vec<Likely>,
}

#[derive(Serialize)]
struct Likely {
    token: u32,
    text: String,
    logprob: f64,
}

/// A model and a prompt.
pub(super) struct Writer<'a> {
    pub(super) model: &'a Model,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) speculation: Speculation<'a>,
    pub(super) prompt: &'a [u32],
    pub(super) output: Output,
}

/// The texts to generate; the seed of each is one more than the last.
pub(super) struct SampleOptions<'a> {
    pub(super) texts: u32,
    pub(super) options: GenerationOptions,
    pub(super) stop: &'a [String],
}

/// The generated texts, and the error that ended the generation.
pub(super) struct Samples {
    pub(super) samples: Vec<Sample>,
    pub(super) failure: Option<anyhow::Error>,
}

/// A running text.
struct OpenText<'a> {
    id: SequenceId,
    turn: usize,
    seed: u64,
    record: OpenRecord,
    builder: CompletionBuilder<'a>,
    tokens: usize,
    reports: Vec<TokenReport>,
}

impl Writer<'_> {
    /// Generates the texts and streams the first one that has not ended; Ctrl-C ends them all. If one fails, the texts before it still end
    /// and are shown.
    pub(super) fn generate(
        &self,
        request: &SampleOptions<'_>,
        records: &mut Records,
    ) -> anyhow::Result<Samples> {
        let max_batch = self.batch_size(&request.options);
        let mut batch = Batch::new(self.model, max_batch).with_speculation(self.speculation)?;
        let mut display = SampleDisplay::new(self.output, request);
        let (mut open, mut started, mut failure) = (Vec::<OpenText<'_>>::new(), 0, None);
        loop {
            while failure.is_none()
                && open.len() < max_batch
                && started < request.texts
                && !interrupt::asked_to_stop()
            {
                match self.begin(request, started, &mut batch, records) {
                    Ok(text) => open.push(text),
                    Err(error) => failure = Some(error),
                }
                started += 1;
            }
            if open.is_empty() {
                break;
            }
            let mut ended = Vec::new();
            batch.step(&mut |id, event| {
                let Some(at) = open.iter().position(|text| text.id == id) else {
                    return ControlFlow::Break(Finish::Cancelled);
                };
                match event {
                    Event::Prompt(_) => ControlFlow::Continue(()),
                    Event::Token(token) => match self.on_token(&mut open[at], token, &mut display, records) {
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
                let ending = self.end(text, ending, request, &mut display, records);
                failure = failure.or(ending.err());
            }
        }
        Ok(Samples { samples: display.finish()?, failure })
    }

    fn batch_size(&self, options: &GenerationOptions) -> usize {
        // A device handles one sequence at a time.
        let max = if self.model.processor().is_some() { MAX_BATCH } else { 1 };
        let positions = self.prompt.len().saturating_add(options.max_tokens).min(self.model.config().context);
        let fit = MAX_CACHED_BYTES / KeyValueCache::max_bytes(self.model, positions).max(1);
        max.min(usize::try_from(fit).unwrap_or(max)).max(1)
    }

    /// Begins one text after its record is durable.
    fn begin(
        &self,
        request: &SampleOptions<'_>,
        turn: u32,
        batch: &mut Batch<'_>,
        records: &mut Records,
    ) -> anyhow::Result<OpenText<'_>> {
        let seed = request.options.sampling.seed.wrapping_add(turn.into());
        let sampling = Sampling { seed, ..request.options.sampling };
        let options = GenerationOptions { sampling, ..request.options };
        let id = batch.begin(self.prompt.to_vec(), &options)?;
        let record = match records.begin(self, &options) {
            Ok(record) => record,
            Err(error) => {
                batch.cancel(id);
                return Err(error);
            }
        };
        let builder = CompletionBuilder::new(self.tokenizer, request.stop.to_vec());
        Ok(OpenText { id, turn: turn as usize, seed, record, builder, tokens: 0, reports: Vec::new() })
    }

    /// Handles a token: its text is stored before it is shown.
    fn on_token(
        &self,
        text: &mut OpenText<'_>,
        token: &ScoredToken,
        display: &mut SampleDisplay,
        records: &mut Records,
    ) -> Result<ControlFlow<Finish>, client::Error> {
        let (certain, stopped) = text.builder.push(token.token);
        text.tokens += 1;
        records.append(&text.record, &certain, text.tokens)?;
        if let Some(log_probability) = &token.log_probability {
            text.reports.push(report(self.tokenizer, token.token, log_probability));
        }
        display.piece(text.turn, &certain);
        Ok(if stopped {
            ControlFlow::Break(Finish::Stop)
        } else if display.closed.is_some() || interrupt::asked_to_stop() {
            ControlFlow::Break(Finish::Cancelled)
        } else {
            ControlFlow::Continue(())
        })
    }

    fn end(
        &self,
        text: OpenText<'_>,
        ending: Result<Generation, crate::inference::Error>,
        request: &SampleOptions<'_>,
        display: &mut SampleDisplay,
        records: &mut Records,
    ) -> anyhow::Result<()> {
        let OpenText { turn, seed, record, builder, reports, .. } = text;
        let generation = match ending {
            Ok(generation) => generation,
            Err(error) => {
                records.fail(record, request.options.max_tokens)?;
                return Err(error.into());
            }
        };
        let (completion, held) = builder.finish(generation);
        display.piece(turn, &completion.text[completion.text.len() - held..]);
        let logprobs = request.options.log_probabilities.map(|_| reports);
        let sample = describe(completion, seed, logprobs);
        records.end(record, &sample, self.output)?;
        display.end(turn, sample);
        Ok(())
    }
}

/// Shows texts of one batch one after another.
struct SampleDisplay {
    output: Output,
    texts: u32,
    seed: u64,
    /// The text that is streamed.
    current: usize,
    /// The pieces of the texts after it.
    pending: Vec<String>,
    ended: Vec<Option<Sample>>,
    shown: Vec<Sample>,
    /// The error of printing, after which nothing is shown.
    closed: Option<CannotPrint>,
}

impl SampleDisplay {
    fn new(output: Output, request: &SampleOptions<'_>) -> Self {
        let mut this = Self {
            output,
            texts: request.texts,
            seed: request.options.sampling.seed,
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
            let stopped = interrupt::asked_to_stop() && self.ended.is_empty() && self.pending.is_empty();
            let pending = if self.pending.is_empty() { String::new() } else { self.pending.remove(0) };
            if !stopped {
                self.head();
            }
            self.show(pending);
        }
    }

    /// Shows the log probabilities, and how the text ended.
    fn ending(&mut self, sample: &Sample) {
        for report in sample.logprobs.iter().flatten() {
            let likeliest = report.likeliest.iter();
            let likeliest: Vec<_> =
                likeliest.map(|likely| format!("{:?} {:.2}", likely.text, likely.logprob)).collect();
            let likeliest = likeliest.join(", ");
            self.show(format_args!("{:8.3}  {:?}  {likeliest}\n", report.logprob, report.text));
        }
        let generated = sample.tokens.len();
        let rate = generated.saturating_sub(1) as f64 / sample.decode_seconds.max(1e-9);
        if self.output.draws_progress() {
            self.output.note(format_args!(
                "[{generated} tokens after {}, {rate:.0} a second, seed {}, ended by {}]",
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
            .map(|likely| Likely {
                token: likely.token,
                text: text(likely.token),
                logprob: likely.log_probability,
            })
            .collect(),
    }
}
