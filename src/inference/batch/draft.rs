//! Speculative decoding: guesses the next tokens, so that one forward pass can add several tokens to a sequence.
//!
//! The model reads a guess together with the last token. The logits after it are used if the guess is the next token, and dropped
//! otherwise. Every token is drawn from the model's own logits with the sequence's own draw, so guesses change neither the tokens nor
//! their distribution. (Leviathan et al. 2023 accept more guesses and preserve only the distribution.) A draft model uses the draw of the
//! position that it guesses: if two models roughly agree, the same draw leads to the same token more often than two draws would.

use super::sequence::{Sequence, State};
use crate::inference::{Error, Model, SequenceInput};

/// Maximum guesses for one sequence in one step.
const MAX_GUESSES: usize = 12;
/// Maximum guesses for all sequences in one step; more would cost more than they save.
const MAX_TOTAL_GUESSES: usize = 32;
/// Lengths of the repeated runs of tokens that lookup searches for.
const LOOKUP: std::ops::RangeInclusive<usize> = 2..=4;

/// The source of guesses. It changes the speed of a batch, never its tokens.
#[derive(Debug, Clone, Copy, Default)]
pub enum Speculation<'m> {
    /// No guesses.
    #[default]
    None,
    /// The tokens that followed an earlier occurrence of the last few tokens, in the prompt or after it.
    Lookup,
    /// The tokens that a smaller model with the same vocabulary would choose.
    Draft(&'m Model),
}

/// The number of tokens to guess next: more after right guesses, fewer after a wrong one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct GuessCount(usize);

impl Default for GuessCount {
    fn default() -> Self {
        Self(4)
    }
}

impl GuessCount {
    pub(super) fn update(&mut self, drafted: usize, right: usize) {
        self.0 = if right == drafted { (self.0 + 2).min(MAX_GUESSES) } else { (right + 1).min(MAX_GUESSES) };
    }
}

/// Guesses the next tokens of every sequence whose prompt was read.
pub(super) fn draft(speculation: &Speculation<'_>, running: &mut [Sequence]) {
    let generating =
        running.iter_mut().filter(|sequence| sequence.unread_count() == 1 && !sequence.has_ended());
    let mut generating: Vec<&mut State> = generating.map(|sequence| &mut sequence.state).collect();
    let share = (MAX_TOTAL_GUESSES / generating.len().max(1)).max(1);
    match speculation {
        Speculation::None => {}
        Speculation::Lookup => {
            for state in generating {
                let max = max_drafted(state, share);
                state.drafted = lookup(&state.history, max);
            }
        }
        // If the draft model fails, there are no guesses.
        Speculation::Draft(model) => {
            if draft_with_model(model, &mut generating, share).is_err() {
                generating
                    .iter_mut()
                    .for_each(|state| (state.draft_cache, state.drafted) = (None, Vec::new()));
            }
        }
    }
}

/// The number of tokens to guess; nothing follows the last token that may be generated.
fn max_drafted(state: &State, share: usize) -> usize {
    state.guess_count.0.min(share).min(state.remaining().saturating_sub(1))
}

/// The tokens after the most recent earlier occurrence of the longest run of last tokens.
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

/// Guesses with a draft model.
fn draft_with_model(model: &Model, generating: &mut [&mut State], share: usize) -> Result<(), Error> {
    let context = model.config().context;
    for state in generating.iter_mut().filter(|state| state.draft_cache.is_none()) {
        state.draft_cache = Some(model.cache(context)?);
    }
    let max: Vec<usize> = generating
        .iter()
        .map(|state| max_drafted(state, share).min(context.saturating_sub(state.history.len())))
        .collect();
    let mut active: Vec<bool> = max.iter().map(|&max| max > 0).collect();
    while active.iter().any(|&active| active) {
        let mut which = Vec::new();
        let (mut parts, mut samplers) = (Vec::new(), Vec::new());
        for (i, state) in generating.iter_mut().enumerate().filter(|(i, _)| active[*i]) {
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
        let inputs = parts.iter_mut();
        let inputs = inputs.map(|(tokens, cache)| SequenceInput { first: tokens.len() - 1, tokens, cache });
        model.forward_each(&mut inputs.collect::<Vec<_>>(), &mut |sequence, _, logits| {
            let (sampler, ahead) = &mut samplers[sequence];
            chosen[sequence] = Some(sampler.guess(logits, *ahead)?);
            Ok(())
        })?;
        for (&i, token) in which.iter().zip(chosen) {
            let state = &mut *generating[i];
            // An end-of-text token has no next token.
            let guess = token.filter(|token| !state.end_tokens.contains(token));
            state.drafted.extend(guess);
            active[i] = guess.is_some() && state.drafted.len() < max[i];
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
        let mut guess_count = GuessCount::default();
        guess_count.update(4, 4);
        assert_eq!(guess_count, GuessCount(6));
        guess_count.update(6, 2);
        assert_eq!(guess_count, GuessCount(3));
        (0..9).for_each(|_| guess_count.update(guess_count.0, guess_count.0));
        assert_eq!(guess_count, GuessCount(MAX_GUESSES));
    }
}
