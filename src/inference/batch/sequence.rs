//! One sequence of a batch: the tokens that it has read and generated, and what it reads next.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::draft::GuessCount;
use super::{Event, EventListener, SequenceId};
use crate::checkpoint::config::ModelConfig;
use crate::inference::generation::log_probability;
use crate::inference::{
    Error, Finish, Generation, GenerationOptions, KeyValueCache, Sampler, ScoredToken, Timings,
};

/// A running or waiting sequence.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) id: SequenceId,
    pub(super) cache: KeyValueCache,
    pub(super) state: State,
}

/// A sequence without its cache.
#[derive(Debug)]
pub(super) struct State {
    /// The prompt and the generated tokens.
    pub(super) history: Vec<u32>,
    /// Number of tokens of the prompt.
    prompt: usize,
    context: usize,
    pub(super) options: GenerationOptions,
    pub(super) sampler: Sampler,
    pub(super) end_tokens: Vec<u32>,
    /// Guesses of the next tokens.
    pub(super) drafted: Vec<u32>,
    pub(super) guess_count: GuessCount,
    /// The cache of the draft model.
    pub(super) draft_cache: Option<KeyValueCache>,
    /// Results of a step whose events were not emitted yet.
    prompt_tokens: Vec<ScoredToken>,
    new_tokens: Vec<ScoredToken>,
    ended: Option<Result<Finish, Error>>,
    started: Instant,
    prefill: Option<Duration>,
}

/// The tokens that a sequence reads in one step.
#[derive(Debug)]
pub(super) struct Plan {
    /// The next unread tokens of the history, and the guesses after them.
    pub(super) tokens: Vec<u32>,
    /// The index of the first token whose logits are needed.
    pub(super) first: usize,
    /// The position of the first token.
    from: usize,
}

/// The last event of a sequence, and the tokens in its cache.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) event: Event<'static>,
    pub(super) prefix: Option<(Vec<u32>, KeyValueCache)>,
}

impl Sequence {
    pub(super) fn new(id: SequenceId, state: State, cache: KeyValueCache) -> Self {
        Self { id, cache, state }
    }

    pub(super) fn prompt(&self) -> &[u32] {
        &self.state.history[..self.state.prompt]
    }

    /// The tokens that are in the cache.
    pub(super) fn cached_tokens(&self) -> &[u32] {
        &self.state.history[..self.cache.length()]
    }

    /// Number of tokens that are not in the cache.
    pub(super) fn unread_count(&self) -> usize {
        self.state.history.len() - self.cache.length()
    }

    /// Begins with the prefix in `cache`, unless the log probabilities of the prompt are needed.
    pub(super) fn use_prefix(&mut self, cache: KeyValueCache) {
        if !self.state.options.prompt_log_probabilities {
            self.cache = cache;
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.ended.is_some()
    }

    pub(super) fn end(&mut self, finish: Finish) {
        self.state.ended.get_or_insert(Ok(finish));
    }

    pub(super) fn fail(&mut self, error: Error) {
        self.state.ended.get_or_insert(Err(error));
    }

    /// Plans to read up to `room` tokens; a sequence that has ended reads none.
    pub(super) fn plan(&self, room: usize) -> Plan {
        let State { history, drafted, options, .. } = &self.state;
        let from = self.cache.length();
        let unread = if self.has_ended() { &[] } else { &history[from..] };
        let count = unread.len().min(room);
        let reaches_end = count == unread.len() && count > 0;
        let mut tokens = unread[..count].to_vec();
        let first = match (options.prompt_log_probabilities && from < self.state.prompt, reaches_end) {
            (true, _) => 0,
            (false, true) => count - 1,
            (false, false) => count,
        };
        if reaches_end {
            tokens.extend(drafted);
        }
        Plan { tokens, first, from }
    }

    /// Removes wrong guesses from the caches.
    pub(super) fn settle(&mut self, plan: &Plan) {
        let Self { cache, state, .. } = self;
        let true_tokens = state.history.get(plan.from..).unwrap_or_default();
        let right = plan.tokens.iter().zip(true_tokens).take_while(|(read, is)| read == is).count();
        if plan.tokens.is_empty() {
            return;
        }
        cache.truncate(plan.from + right);
        let drafted = std::mem::take(&mut state.drafted).len();
        if drafted > 0 {
            state.guess_count.update(drafted, right.saturating_sub(plan.tokens.len() - drafted));
        }
        if let Some(draft) = &mut state.draft_cache {
            draft.truncate(plan.from + right);
        }
    }

    /// Emits the results of a step. If `on_event` breaks, the token of that event is the last one.
    pub(super) fn emit_events(&mut self, on_event: &mut EventListener<'_>) {
        let Self { id, state, .. } = self;
        let prompt_tokens = std::mem::take(&mut state.prompt_tokens);
        let new_tokens = std::mem::take(&mut state.new_tokens);
        let mut finish = ControlFlow::Continue(());
        for token in &prompt_tokens {
            finish = first_break(finish, on_event(*id, Event::Prompt(token)));
        }
        let before = state.history.len() - new_tokens.len();
        for (i, token) in new_tokens.iter().enumerate() {
            if finish.is_continue() {
                finish = on_event(*id, Event::Token(token));
                if finish.is_break() {
                    state.history.truncate(before + i + 1);
                }
            }
        }
        if let ControlFlow::Break(finish) = finish {
            state.ended = Some(Ok(finish));
        }
    }

    pub(super) fn close(self) -> Ending {
        let Self { state, mut cache, .. } = self;
        let State { history, prompt, started, prefill, ended, .. } = state;
        cache.truncate(history.len());
        let whole = started.elapsed();
        let prefill = prefill.unwrap_or(whole);
        let event = match ended {
            Some(Err(error)) => Event::Failed(error),
            ended => Event::End(Generation {
                tokens: history[prompt..].to_vec(),
                finish: ended.and_then(Result::ok).unwrap_or(Finish::Cancelled),
                prompt_tokens: prompt,
                timings: Timings { prefill, decode: whole - prefill },
            }),
        };
        let length = cache.length();
        Ending { event, prefix: (length > 0).then(|| (history[..length].to_vec(), cache)) }
    }
}

/// The first of two results that breaks.
fn first_break(one: ControlFlow<Finish>, other: ControlFlow<Finish>) -> ControlFlow<Finish> {
    if one.is_break() { one } else { other }
}

impl State {
    pub(super) fn new(
        config: &ModelConfig,
        prompt: Vec<u32>,
        sampler: Sampler,
        options: GenerationOptions,
    ) -> Self {
        Self {
            prompt: prompt.len(),
            history: prompt,
            context: config.context,
            end_tokens: if options.stop_at_end_of_text { config.end_tokens.clone() } else { Vec::new() },
            options,
            sampler,
            drafted: Vec::new(),
            guess_count: GuessCount::default(),
            draft_cache: None,
            prompt_tokens: Vec::new(),
            new_tokens: Vec::new(),
            ended: None,
            started: Instant::now(),
            prefill: None,
        }
    }

    /// Number of tokens that may still be generated.
    pub(super) fn remaining(&self) -> usize {
        let generated = self.history.len() - self.prompt;
        let room = (self.context + 1).saturating_sub(self.history.len());
        (self.options.max_tokens - generated).min(room)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Takes the logits after one token of a plan. Logits within the prompt give the log probability of the next token; logits after the
    /// last token choose the next one. Logits after a wrong guess are ignored.
    pub(super) fn take_logits(&mut self, plan: &Plan, token: usize, logits: &[f32]) {
        let position = plan.from + token;
        let is_right = self.history.get(position) == plan.tokens.get(token);
        if !is_right || self.has_ended() {
            return;
        }
        let max = self.options.log_probabilities;
        match self.history.get(position + 1) {
            Some(&next) => {
                let log_probability = Some(log_probability(logits, next, max.unwrap_or(0)));
                self.prompt_tokens.push(ScoredToken { token: next, log_probability });
            }
            None => self.choose(logits, max),
        }
    }

    fn choose(&mut self, logits: &[f32], max: Option<usize>) {
        self.prefill.get_or_insert_with(|| self.started.elapsed());
        if self.remaining() == 0 {
            self.ended = Some(Ok(Finish::Length));
            return;
        }
        match self.sampler.choose(logits) {
            Err(error) => self.ended = Some(Err(error)),
            Ok(token) if self.end_tokens.contains(&token) => self.ended = Some(Ok(Finish::EndOfText)),
            Ok(token) => {
                self.history.push(token);
                let log_probability = max.map(|max| log_probability(logits, token, max));
                self.new_tokens.push(ScoredToken { token, log_probability });
                if self.remaining() == 0 {
                    self.ended = Some(Ok(Finish::Length));
                }
            }
        }
    }
}
