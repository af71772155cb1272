//! Writes several texts at the same time: each pass reads what all of them have to read, so they share one reading of the
//! weights. A text may begin and end at any pass, and its tokens are the same whatever is written beside it.
//!
//! A pass takes one token of every text that is being written, with the tokens that were guessed to follow, and fills up with
//! prompts: a long prompt delays nobody by more than one pass. Texts that begin alike share what was read of the beginning.

mod draft;
mod prefixes;
mod text;

use std::collections::VecDeque;
use std::ops::ControlFlow;

pub use draft::Speculation;
use draft::draft;
use prefixes::{Prefixes, common};
use text::{Plan, Text};

use super::model::ROWS;
use super::{Error, Finish, Generation, GenerationOptions, Model, Reading, Sampler, Step};

/// A beginning that is about to be read is waited for where it saves so many tokens.
const WORTH_WAITING: usize = 32;

/// Names a text of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextId(u64);

/// What became of a text.
#[derive(Debug)]
pub enum Event<'a> {
    /// How likely a token of its prompt was; of each but the first, in order, where that was asked for.
    Prompt(&'a Step),
    /// A token was written.
    Token(&'a Step),
    /// It ended.
    End(Generation),
    /// It cannot go on.
    Failed(Error),
}

/// Hears what becomes of texts, and ends one with a reason of its own by breaking: the token that it was told of still counts.
pub type Listener<'a> = dyn FnMut(TextId, Event<'_>) -> ControlFlow<Finish> + 'a;

/// Texts that are written at the same time.
#[derive(Debug)]
pub struct Batch<'m> {
    model: &'m Model,
    speculation: Speculation<'m>,
    /// Most texts at a time.
    max: usize,
    running: Vec<Text>,
    waiting: VecDeque<Text>,
    prefixes: Prefixes,
    next: u64,
}

impl<'m> Batch<'m> {
    /// Room for `max` texts at a time, at least 1; what more begin wait.
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

    /// Keeps what was read of texts that ended, in up to so many bytes, for texts that begin as they did.
    #[must_use]
    pub fn keeping(mut self, bytes: u64) -> Self {
        self.prefixes = Prefixes::new(self.model, bytes);
        self
    }

    /// Guesses what follows, so that one pass can write several tokens of a text. The texts stay the same.
    ///
    /// # Errors
    /// [`Error::ForeignDraft`] for a model with another vocabulary.
    pub fn speculating(mut self, speculation: Speculation<'m>) -> Result<Self, Error> {
        if let Speculation::Draft(draft) = speculation {
            let (draft, vocabulary) = (draft.config().vocabulary, self.model.config().vocabulary);
            if draft != vocabulary {
                return Err(Error::ForeignDraft { draft, vocabulary });
            }
        }
        self.speculation = speculation;
        Ok(self)
    }

    /// Adds a text that continues `prompt`.
    ///
    /// # Errors
    /// [`Error::NoTokens`], [`Error::UnknownToken`], [`Error::ContextOverflow`], [`Error::Sampling`].
    pub fn begin(&mut self, prompt: Vec<u32>, options: &GenerationOptions) -> Result<TextId, Error> {
        let sampler = Sampler::new(options.sampling)?;
        let cache = self.model.cache(self.model.config().context)?;
        self.model.check(&prompt, &cache)?;
        let id = TextId(self.next);
        self.next += 1;
        self.waiting.push_back(Text::new(id, self.model.config(), (prompt, cache), (sampler, *options)));
        Ok(id)
    }

    /// Ends a text at the next pass, as [`Finish::Cancelled`].
    pub fn cancel(&mut self, id: TextId) {
        let texts = self.running.iter_mut().chain(&mut self.waiting);
        texts.filter(|text| text.id == id).for_each(|text| text.end(Finish::Cancelled));
    }

    /// Texts that have not ended.
    pub fn texts(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// Texts for which there is no room yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Goes on with as many texts as there is room for, and tells `each` what came of it.
    pub fn pass(&mut self, each: &mut Listener<'_>) {
        self.admit();
        draft(&self.speculation, &mut self.running);
        let plans = self.plan();
        self.read(&plans);
        self.tell(each);
    }

    /// Lets texts in, in their order. One that would soon find its beginning read waits for that.
    fn admit(&mut self) {
        let mut later = VecDeque::new();
        while let Some(mut text) = self.waiting.pop_front() {
            if self.running.len() >= self.max {
                self.waiting.push_front(text);
                break;
            }
            let prompt = text.prompt();
            let known = prompt.len() - 1;
            let running = self.running.iter().map(|other| (common(prompt, other.read()), &other.cache));
            let best = running.chain(self.prefixes.longest(prompt)).max_by_key(|(length, _)| *length);
            let length = best.as_ref().map_or(0, |(length, _)| (*length).min(known));
            let coming = self.running.iter().map(|other| common(prompt, other.prompt())).max().unwrap_or(0);
            if coming.min(known) >= length + WORTH_WAITING && !text.has_ended() {
                later.push_back(text);
                continue;
            }
            // A copy for which there is no memory is read again instead.
            if let Some(cache) = best.filter(|_| length > 0).and_then(|(_, cache)| cache.fork(length).ok()) {
                text.starts_with(cache);
            }
            self.running.push(text);
        }
        later.append(&mut self.waiting);
        self.waiting = later;
    }

    /// What each running text reads in the next pass.
    fn plan(&self) -> Vec<Plan> {
        let mut plans: Vec<Plan> = self.running.iter().map(|text| text.plan(usize::MAX)).collect();
        // Those that write come first; prompts share what is left.
        let writing = |text: &Text| text.unread() <= 1;
        let taken: usize = self
            .running
            .iter()
            .zip(&plans)
            .filter(|(text, _)| writing(text))
            .map(|(_, p)| p.tokens.len())
            .sum();
        let mut room = ROWS.saturating_sub(taken);
        for (text, plan) in self.running.iter().zip(&mut plans).filter(|(text, _)| !writing(text)) {
            *plan = text.plan(room);
            room -= plan.tokens.len();
        }
        plans
    }

    fn read(&mut self, plans: &[Plan]) {
        let (mut states, mut readings, mut which) = (Vec::new(), Vec::new(), Vec::new());
        for (text, plan) in self.running.iter_mut().zip(plans).filter(|(_, plan)| !plan.tokens.is_empty()) {
            readings.push(Reading { tokens: &plan.tokens, cache: &mut text.cache, first: plan.first });
            states.push(&mut text.state);
            which.push(plan);
        }
        let done = self.model.forward_each(&mut readings, &mut |text, token, logits| {
            states[text].take((which[text], token), logits);
            Ok(())
        });
        match done {
            Ok(()) => self.running.iter_mut().zip(plans).for_each(|(text, plan)| text.settle(plan)),
            // There is no memory for all of them: without the newest there may be.
            Err(error) => {
                if let Some(text) = self.running.last_mut() {
                    text.fail(error);
                }
            }
        }
    }

    /// Tells what came of a pass, and takes leave of texts that ended.
    fn tell(&mut self, each: &mut Listener<'_>) {
        for text in &mut self.running {
            text.tell(each);
        }
        let (mut ended, running): (Vec<_>, _) =
            std::mem::take(&mut self.running).into_iter().partition(Text::has_ended);
        self.running = running;
        // Who gave up need not wait for room to be told so.
        let (given_up, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(Text::has_ended);
        self.waiting = waiting.into();
        ended.extend(given_up);
        for text in ended {
            let id = text.id;
            let (event, read) = text.close();
            // It has ended: there is nothing left to break.
            let _ = each(id, event);
            if let Some((tokens, cache)) = read {
                self.prefixes.keep(self.model, tokens, cache);
            }
        }
    }
}
