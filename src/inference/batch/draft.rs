//! Guesses what follows, so that one pass over the weights can write several tokens of a text.
//!
//! A guess is read together with the last token; the logits behind it are the text's own if the guess is what the text goes on
//! with, and otherwise are thrown away. Each token is drawn from the model's own logits with the text's own draw, so a text is
//! the same token by token with and without guesses, and its distribution with it. (Leviathan et al. 2023 accept more guesses
//! and keep the distribution, not the text.) A model that guesses uses the very draw that will be used on its guess: where two
//! models agree roughly, one draw takes them to the same token more often than two would.

use super::text::{State, Text};
use crate::inference::{Error, Model, Reading};

/// Guesses of one text in one pass.
const MAX: usize = 12;
/// Guesses of all texts in one pass: more would cost a pass more than they save.
const MAX_OF_ALL: usize = 32;
/// Tokens that must have been there before for what followed them to be a guess.
const LOOKUP: std::ops::RangeInclusive<usize> = 2..=4;

/// Where guesses come from.
#[derive(Debug, Clone, Copy, Default)]
pub enum Speculation<'m> {
    /// Nothing is guessed.
    #[default]
    None,
    /// What followed the last few tokens before, in the prompt or behind it.
    Lookup,
    /// What a smaller model with the same vocabulary would write.
    Draft(&'m Model),
}

/// How many tokens are guessed next: more after guesses that were right, fewer after one that was not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reach(usize);

impl Default for Reach {
    fn default() -> Self {
        Self(4)
    }
}

impl Reach {
    pub(super) fn learn(&mut self, drafted: usize, right: usize) {
        self.0 = if right == drafted { (self.0 + 2).min(MAX) } else { (right + 1).min(MAX) };
    }
}

/// Guesses what follows in every text that is being written.
pub(super) fn draft(speculation: &Speculation<'_>, running: &mut [Text]) {
    let writing = running.iter_mut().filter(|text| text.unread() == 1 && !text.has_ended());
    let mut writing: Vec<&mut State> = writing.map(|text| &mut text.state).collect();
    let share = (MAX_OF_ALL / writing.len().max(1)).max(1);
    match speculation {
        Speculation::None => {}
        Speculation::Lookup => {
            for state in writing {
                let max = max_drafted(state, share);
                state.drafted = lookup(&state.history, max);
            }
        }
        // Where the other model fails there is no guess.
        Speculation::Draft(model) => {
            if with_model(model, &mut writing, share).is_err() {
                writing.iter_mut().for_each(|state| (state.draft_cache, state.drafted) = (None, Vec::new()));
            }
        }
    }
}

/// How many tokens to guess: the last one that may be written needs no guess behind it.
fn max_drafted(state: &State, share: usize) -> usize {
    state.reach.0.min(share).min(state.left().saturating_sub(1))
}

/// What followed the last tokens when they stood there last, by the longest run of them that did.
fn lookup(history: &[u32], max: usize) -> Vec<u32> {
    for length in LOOKUP.rev() {
        let Some(begin) = history.len().checked_sub(length) else { continue };
        let (before, end) = (&history[..history.len() - 1], &history[begin..]);
        if let Some(at) = before.windows(length).rposition(|window| window == end) {
            return history[at + length..].iter().take(max).copied().collect();
        }
    }
    Vec::new()
}

/// Lets a smaller model go on with each text.
fn with_model(model: &Model, writing: &mut [&mut State], share: usize) -> Result<(), Error> {
    let context = model.config().context;
    for state in writing.iter_mut().filter(|state| state.draft_cache.is_none()) {
        state.draft_cache = Some(model.cache(context)?);
    }
    let max: Vec<usize> = writing
        .iter()
        .map(|state| max_drafted(state, share).min(context.saturating_sub(state.history.len())))
        .collect();
    let mut going: Vec<bool> = max.iter().map(|&max| max > 0).collect();
    while going.iter().any(|&going| going) {
        let mut which = Vec::new();
        let (mut parts, mut samplers) = (Vec::new(), Vec::new());
        for (i, state) in writing.iter_mut().enumerate().filter(|(i, _)| going[*i]) {
            let State { history, drafted, sampler, draft_cache: Some(cache), .. } = &mut **state else {
                continue;
            };
            let read = cache.length();
            let unread: Vec<u32> = history.iter().chain(drafted.iter()).skip(read).copied().collect();
            which.push(i);
            parts.push((unread, cache));
            samplers.push((sampler, drafted.len()));
        }
        let mut chosen = vec![None; which.len()];
        let readings = parts.iter_mut();
        let readings = readings.map(|(tokens, cache)| Reading { first: tokens.len() - 1, tokens, cache });
        model.forward_each(&mut readings.collect::<Vec<_>>(), &mut |text, _, logits| {
            let (sampler, ahead) = &mut samplers[text];
            chosen[text] = Some(sampler.guess(logits, *ahead)?);
            Ok(())
        })?;
        for (&i, token) in which.iter().zip(chosen) {
            let state = &mut *writing[i];
            // What ends the text has nothing behind it.
            let guess = token.filter(|token| !state.end_tokens.contains(token));
            state.drafted.extend(guess);
            going[i] = guess.is_some() && state.drafted.len() < max[i];
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_the_same_tokens_last_is_the_guess() {
        assert_eq!(lookup(&[1, 2, 3, 9, 1, 2, 4, 8, 1, 2], 9), [4, 8, 1, 2]);
        assert_eq!(lookup(&[7, 1, 2, 3, 9, 1, 2, 4, 8, 7, 1, 2], 2), [3, 9], "the longer run counts");
        assert_eq!(lookup(&[5, 5, 5], 4), [5]);
        assert_eq!(lookup(&[1, 2, 3], 4), [0; 0]);
        assert_eq!(lookup(&[], 4), [0; 0]);
    }

    #[test]
    fn right_guesses_reach_further() {
        let mut reach = Reach::default();
        reach.learn(4, 4);
        assert_eq!(reach, Reach(6));
        reach.learn(6, 2);
        assert_eq!(reach, Reach(3));
        (0..9).for_each(|_| reach.learn(reach.0, reach.0));
        assert_eq!(reach, Reach(MAX));
    }
}
