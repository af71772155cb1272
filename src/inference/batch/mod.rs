//! Generates several sequences together: each step reads the next tokens of all of them, so they share one reading of the weights. A
//! sequence may begin and end at any step, and its tokens do not depend on the other sequences.
//!
//! A step reads one token of every sequence that is being generated, together with its guesses, and fills up with prompts, so a long
//! prompt delays the other sequences by at most one step. Sequences that begin with the same tokens share the cache of that prefix.

mod draft;
mod prefixes;
mod sequence;

use std::collections::VecDeque;
use std::ops::ControlFlow;

pub use draft::Speculation;
use draft::draft;
use prefixes::{Prefixes, common_prefix};
use sequence::{Ending, Plan, Sequence, State};

use super::model::ROWS;
use super::{Error, Finish, Generation, GenerationOptions, Model, Sampler, ScoredToken, SequenceInput};

/// A sequence waits for a prefix that another one is about to read if that saves at least this many tokens.
const MIN_SHARED_TOKENS: usize = 32;

/// Identifies a sequence of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(u64);

/// What happened to a sequence.
#[derive(Debug)]
pub enum Event<'a> {
    /// The log probability of a token of the prompt: of each but the first, in order, if the options request them.
    Prompt(&'a ScoredToken),
    /// A token was generated.
    Token(&'a ScoredToken),
    /// The sequence ended.
    End(Generation),
    /// The sequence failed and was removed.
    Failed(Error),
}

/// Receives the events of a step. It ends a sequence by breaking with a reason; the token of that event is the last one.
pub type EventListener<'a> = dyn FnMut(SequenceId, Event<'_>) -> ControlFlow<Finish> + 'a;

/// Sequences that are generated together.
#[derive(Debug)]
pub struct Batch<'m> {
    model: &'m Model,
    speculation: Speculation<'m>,
    /// Maximum number of running sequences.
    max: usize,
    running: Vec<Sequence>,
    waiting: VecDeque<Sequence>,
    prefixes: Prefixes,
    next: u64,
}

impl<'m> Batch<'m> {
    /// A batch of up to `max` running sequences, at least 1; further ones wait.
    pub fn new(model: &'m Model, max: usize) -> Self {
        Self {
            model,
            speculation: Speculation::None,
            max: max.max(1),
            running: Vec::new(),
            waiting: VecDeque::new(),
            prefixes: Prefixes::default(),
            next: 0,
        }
    }

    /// Keeps the caches of ended sequences, up to `max_bytes`, for sequences that begin with the same tokens.
    #[must_use]
    pub fn with_prefix_cache(mut self, max_bytes: u64) -> Self {
        self.prefixes = Prefixes::new(self.model, max_bytes);
        self
    }

    /// Uses speculative decoding; it does not change the tokens.
    ///
    /// # Errors
    /// [`Error::ForeignDraft`] if a draft model has another vocabulary.
    pub fn with_speculation(mut self, speculation: Speculation<'m>) -> Result<Self, Error> {
        if let Speculation::Draft(draft) = speculation {
            let (draft, vocabulary) = (draft.config().vocabulary, self.model.config().vocabulary);
            if draft != vocabulary {
                return Err(Error::ForeignDraft { draft, vocabulary });
            }
        }
        self.speculation = speculation;
        Ok(self)
    }

    /// Adds a sequence that continues `prompt`.
    ///
    /// # Errors
    /// [`Error::NoTokens`], [`Error::UnknownToken`], [`Error::ContextOverflow`], [`Error::Sampling`], and [`Error::Tensor`] if a device
    /// has no memory.
    pub fn begin(&mut self, prompt: Vec<u32>, options: &GenerationOptions) -> Result<SequenceId, Error> {
        let sampler = Sampler::new(options.sampling)?;
        let cache = self.model.cache(self.model.config().context)?;
        self.model.check(&prompt, &cache)?;
        let id = SequenceId(self.next);
        self.next += 1;
        self.waiting.push_back(Sequence::new(
            id,
            State::new(self.model.config(), prompt, sampler, *options),
            cache,
        ));
        Ok(id)
    }

    /// Ends a sequence at the next step with [`Finish::Cancelled`].
    pub fn cancel(&mut self, id: SequenceId) {
        let sequences = self.running.iter_mut().chain(&mut self.waiting);
        sequences.filter(|sequence| sequence.id == id).for_each(|sequence| sequence.end(Finish::Cancelled));
    }

    /// Number of sequences that have not ended.
    pub fn sequence_count(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// Number of sequences that have not started.
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Runs one step: reads the next tokens of all running sequences and calls `on_event` with the results.
    pub fn step(&mut self, on_event: &mut EventListener<'_>) {
        self.admit();
        draft(&self.speculation, &mut self.running);
        let plans = self.plan();
        self.forward(&plans);
        self.emit_events(on_event);
    }

    /// Starts waiting sequences in order. A sequence waits if another one is about to read a long common prefix.
    fn admit(&mut self) {
        let mut later = VecDeque::new();
        while let Some(mut sequence) = self.waiting.pop_front() {
            if self.running.len() >= self.max {
                self.waiting.push_front(sequence);
                break;
            }
            let prompt = sequence.prompt();
            let max_shared = prompt.len() - 1;
            let running =
                self.running.iter().map(|other| (common_prefix(prompt, other.cached_tokens()), &other.cache));
            let best = running.chain(self.prefixes.longest(prompt)).max_by_key(|(length, _)| *length);
            let length = best.as_ref().map_or(0, |(length, _)| (*length).min(max_shared));
            let coming =
                self.running.iter().map(|other| common_prefix(prompt, other.prompt())).max().unwrap_or(0);
            if coming.min(max_shared) >= length + MIN_SHARED_TOKENS && !sequence.has_ended() {
                later.push_back(sequence);
                continue;
            }
            // If there is no memory for a copy, the prefix is read again.
            if let Some(cache) = best.filter(|_| length > 0).and_then(|(_, cache)| cache.fork(length).ok()) {
                sequence.use_prefix(cache);
            }
            self.running.push(sequence);
        }
        later.append(&mut self.waiting);
        self.waiting = later;
    }

    /// Plans what each running sequence reads in the next step.
    fn plan(&self) -> Vec<Plan> {
        let mut plans: Vec<Plan> = self.running.iter().map(|sequence| sequence.plan(usize::MAX)).collect();
        // Sequences that are being generated come first; prompts share the remaining rows.
        let is_generating = |sequence: &Sequence| sequence.unread_count() <= 1;
        let taken: usize = self
            .running
            .iter()
            .zip(&plans)
            .filter(|(sequence, _)| is_generating(sequence))
            .map(|(_, p)| p.tokens.len())
            .sum();
        let mut room = ROWS.saturating_sub(taken);
        for (sequence, plan) in
            self.running.iter().zip(&mut plans).filter(|(sequence, _)| !is_generating(sequence))
        {
            *plan = sequence.plan(room);
            room -= plan.tokens.len();
        }
        plans
    }

    fn forward(&mut self, plans: &[Plan]) {
        let (mut states, mut inputs, mut planned) = (Vec::new(), Vec::new(), Vec::new());
        for (sequence, plan) in self.running.iter_mut().zip(plans).filter(|(_, plan)| !plan.tokens.is_empty())
        {
            inputs.push(SequenceInput {
                tokens: &plan.tokens,
                cache: &mut sequence.cache,
                first: plan.first,
            });
            states.push(&mut sequence.state);
            planned.push(plan);
        }
        let done = self.model.forward_each(&mut inputs, &mut |sequence, token, logits| {
            states[sequence].take_logits(planned[sequence], token, logits);
            Ok(())
        });
        match done {
            Ok(()) => self.running.iter_mut().zip(plans).for_each(|(sequence, plan)| sequence.settle(plan)),
            // There is no memory for all sequences; there may be without the newest.
            Err(error) => {
                if let Some(sequence) = self.running.last_mut() {
                    sequence.fail(error);
                }
            }
        }
    }

    /// Calls `on_event` with the results of a step, and removes the sequences that ended.
    fn emit_events(&mut self, on_event: &mut EventListener<'_>) {
        for sequence in &mut self.running {
            sequence.emit_events(on_event);
        }
        let (mut ended, running): (Vec<_>, _) =
            std::mem::take(&mut self.running).into_iter().partition(Sequence::has_ended);
        self.running = running;
        // A cancelled sequence need not wait for its turn.
        let (cancelled, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(Sequence::has_ended);
        self.waiting = waiting.into();
        ended.extend(cancelled);
        for sequence in ended {
            let id = sequence.id;
            let Ending { event, prefix } = sequence.close();
            // The sequence has ended, so a break has no effect.
            let _ = on_event(id, event);
            if let Some((tokens, cache)) = prefix {
                self.prefixes.insert(self.model, tokens, cache);
            }
        }
    }
}
