//! One text of a batch: what it has read, what it has written, and how it goes on.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::draft::Reach;
use super::{Event, Listener, TextId};
use crate::checkpoint::config::ModelConfig;
use crate::inference::generation::log_probability;
use crate::inference::{Error, Finish, Generation, GenerationOptions, KeyValueCache, Sampler, Step, Timings};

/// A text that is being written, or waits for its turn.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) id: TextId,
    pub(super) cache: KeyValueCache,
    pub(super) state: State,
}

/// All of a text but its cache.
#[derive(Debug)]
pub(super) struct State {
    /// The prompt, and what was written behind it.
    pub(super) history: Vec<u32>,
    prompt: usize,
    context: usize,
    pub(super) options: GenerationOptions,
    pub(super) sampler: Sampler,
    pub(super) end_tokens: Vec<u32>,
    /// Tokens that are guessed to follow.
    pub(super) drafted: Vec<u32>,
    pub(super) reach: Reach,
    /// What a model that guesses has read.
    pub(super) draft_cache: Option<KeyValueCache>,
    /// What a pass found out and nobody was told yet.
    of_prompt: Vec<Step>,
    written: Vec<Step>,
    ended: Option<Result<Finish, Error>>,
    begun: Instant,
    prefill: Option<Duration>,
}

/// What a text reads in one pass.
#[derive(Debug)]
pub(super) struct Plan {
    /// The next tokens of the history that are unread, and those guessed behind them.
    pub(super) tokens: Vec<u32>,
    /// The first of them whose logits are wanted.
    pub(super) first: usize,
    /// The place of the first one in the text.
    from: usize,
}

impl Text {
    pub(super) fn new(
        id: TextId,
        config: &ModelConfig,
        (prompt, cache): (Vec<u32>, KeyValueCache),
        (sampler, options): (Sampler, GenerationOptions),
    ) -> Self {
        let state = State {
            prompt: prompt.len(),
            history: prompt,
            context: config.context,
            end_tokens: if options.stop_at_end_of_text { config.end_tokens.clone() } else { Vec::new() },
            options,
            sampler,
            drafted: Vec::new(),
            reach: Reach::default(),
            draft_cache: None,
            of_prompt: Vec::new(),
            written: Vec::new(),
            ended: None,
            begun: Instant::now(),
            prefill: None,
        };
        Self { id, cache, state }
    }

    pub(super) fn prompt(&self) -> &[u32] {
        &self.state.history[..self.state.prompt]
    }

    /// The tokens that are in the cache.
    pub(super) fn read(&self) -> &[u32] {
        &self.state.history[..self.cache.length()]
    }

    pub(super) fn unread(&self) -> usize {
        self.state.history.len() - self.cache.length()
    }

    /// Takes the beginning as read by another text, unless its likelihood is asked for.
    pub(super) fn starts_with(&mut self, cache: KeyValueCache) {
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

    /// What to read next, at most `room` tokens; nothing of a text that has ended.
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

    /// Forgets what was read of guesses that turned out wrong.
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
            state.reach.learn(drafted, right.saturating_sub(plan.tokens.len() - drafted));
        }
        if let Some(draft) = &mut state.draft_cache {
            draft.truncate(plan.from + right);
        }
    }

    /// Tells what a pass found out. Who breaks ends the text with the token told last.
    pub(super) fn tell(&mut self, each: &mut Listener<'_>) {
        let Self { id, state, .. } = self;
        let of_prompt = std::mem::take(&mut state.of_prompt);
        let written = std::mem::take(&mut state.written);
        let mut finish = ControlFlow::Continue(());
        for step in &of_prompt {
            finish = or_break(finish, each(*id, Event::Prompt(step)));
        }
        let before = state.history.len() - written.len();
        for (i, step) in written.iter().enumerate() {
            if finish.is_continue() {
                finish = each(*id, Event::Token(step));
                if finish.is_break() {
                    state.history.truncate(before + i + 1);
                }
            }
        }
        if let ControlFlow::Break(finish) = finish {
            state.ended = Some(Ok(finish));
        }
    }

    /// How it ended, and what it had read.
    pub(super) fn close(self) -> (Event<'static>, Option<(Vec<u32>, KeyValueCache)>) {
        let Self { state, mut cache, .. } = self;
        let State { history, prompt, begun, prefill, ended, .. } = state;
        cache.truncate(history.len());
        let whole = begun.elapsed();
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
        (event, (length > 0).then(|| (history[..length].to_vec(), cache)))
    }
}

/// The first of two that breaks.
fn or_break(one: ControlFlow<Finish>, other: ControlFlow<Finish>) -> ControlFlow<Finish> {
    if one.is_break() { one } else { other }
}

impl State {
    /// Tokens that may still be written.
    pub(super) fn left(&self) -> usize {
        let written = self.history.len() - self.prompt;
        let room = (self.context + 1).saturating_sub(self.history.len());
        (self.options.max_tokens - written).min(room)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Takes the logits behind one token of a plan: those of the prompt tell how likely the next token was, those behind the
    /// last token choose the next one. Logits behind a wrong guess are of another text.
    pub(super) fn take(&mut self, (plan, token): (&Plan, usize), logits: &[f32]) {
        let place = plan.from + token;
        let is_true = self.history.get(place) == plan.tokens.get(token);
        if !is_true || self.has_ended() {
            return;
        }
        let max = self.options.log_probabilities;
        match self.history.get(place + 1) {
            Some(&next) => {
                let log_probability = Some(log_probability(logits, next, max.unwrap_or(0)));
                self.of_prompt.push(Step { token: next, log_probability });
            }
            None => self.choose(logits, max),
        }
    }

    fn choose(&mut self, logits: &[f32], max: Option<usize>) {
        self.prefill.get_or_insert_with(|| self.begun.elapsed());
        if self.left() == 0 {
            self.ended = Some(Ok(Finish::Length));
            return;
        }
        match self.sampler.choose(logits) {
            Err(error) => self.ended = Some(Err(error)),
            Ok(token) if self.end_tokens.contains(&token) => self.ended = Some(Ok(Finish::EndOfText)),
            Ok(token) => {
                self.history.push(token);
                let log_probability = max.map(|max| log_probability(logits, token, max));
                self.written.push(Step { token, log_probability });
                if self.left() == 0 {
                    self.ended = Some(Ok(Finish::Length));
                }
            }
        }
    }
}
