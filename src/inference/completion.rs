//! Continues a text as text: whole characters as they come, ended by strings of the caller's choice.

use std::ops::ControlFlow;

use super::tokenizer::Tokenizer;
use super::{Error, Finish, Generation, GenerationOptions, KeyValueCache, Model, Step, generate};

/// What to write.
#[derive(Debug, Clone, Default)]
pub struct CompletionOptions {
    /// How tokens are chosen and how many.
    pub generation: GenerationOptions,
    /// Texts at which to end; the text ends before the first of them.
    pub stop: Vec<String>,
}

/// What became certain with one token: perhaps no text yet, where the token ends inside a character or begins a stop text.
#[derive(Debug)]
pub struct Piece<'a> {
    /// The token.
    pub step: &'a Step,
    /// Text that follows what was handed out before.
    pub text: &'a str,
}

/// A text that was written.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The text, all pieces together.
    pub text: String,
    /// Its tokens; those of a stop text and of what followed it in the same token are among them.
    pub generation: Generation,
}

/// Continues `prompt`. `each` sees every token with the text that it made certain, and cancels by breaking.
///
/// # Errors
/// As [`generate`].
pub fn complete(
    (model, tokenizer): (&Model, &Tokenizer),
    cache: &mut KeyValueCache,
    prompt: &[u32],
    options: &CompletionOptions,
    each: &mut dyn FnMut(&Piece<'_>) -> ControlFlow<()>,
) -> Result<Completion, Error> {
    let mut stream = tokenizer.stream();
    let mut filter = StopFilter::new(&options.stop);
    let mut text = String::new();
    let generation = generate(model, cache, prompt, &options.generation, &mut |step| {
        let (certain, stopped) = filter.push(&stream.push(step.token));
        text.push_str(&certain);
        let cancelled = each(&Piece { step, text: &certain }).is_break();
        match (stopped, cancelled) {
            (true, _) => ControlFlow::Break(Finish::Stop),
            (false, true) => ControlFlow::Break(Finish::Cancelled),
            (false, false) => ControlFlow::Continue(()),
        }
    })?;
    if generation.finish != Finish::Stop {
        let (certain, _) = filter.push(&stream.finish());
        text.push_str(&certain);
        text.push_str(&filter.finish());
    }
    Ok(Completion { text, generation })
}

/// Cuts a stream of text before the first of several texts.
struct StopFilter<'a> {
    stop: &'a [String],
    /// The end of what came so far, as long as it may become a stop text.
    held: String,
}

impl<'a> StopFilter<'a> {
    fn new(stop: &'a [String]) -> Self {
        Self { stop, held: String::new() }
    }

    /// Takes more text; what is certain to come before any stop text, and whether one was found.
    fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let found =
            self.stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| self.held.find(stop.as_str()));
        if let Some(at) = found.min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let certain = self.held.len() - self.longest_beginning();
        let rest = self.held.split_off(certain);
        (std::mem::replace(&mut self.held, rest), false)
    }

    fn finish(self) -> String {
        self.held
    }

    /// Length of the longest end of `held` with which a stop text begins.
    fn longest_beginning(&self) -> usize {
        let beginnings = self.held.char_indices().map(|(at, _)| &self.held[at..]);
        beginnings
            .filter(|end| self.stop.iter().any(|stop| stop.starts_with(end)))
            .map(str::len)
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filtered(stop: &[String], pieces: &[String]) -> String {
        let mut filter = StopFilter::new(stop);
        let mut text = String::new();
        for piece in pieces {
            let (certain, stopped) = filter.push(piece);
            text.push_str(&certain);
            if stopped {
                return text;
            }
        }
        text + &filter.finish()
    }

    proptest! {
        #[test]
        fn however_it_is_cut_text_ends_before_the_first_stop(
            stop in proptest::collection::vec("[abé]{0,3}", 0..3),
            pieces in proptest::collection::vec("[abcé]{0,4}", 0..8),
        ) {
            let whole = pieces.concat();
            let first = stop.iter().filter(|s| !s.is_empty()).filter_map(|s| whole.find(s.as_str())).min();
            let expected = first.map_or(whole.as_str(), |at| &whole[..at]);
            let text = filtered(&stop, &pieces);
            // A stop text that completes earlier wins over one that begins earlier: nobody waits for text that may not come.
            prop_assert!(whole.starts_with(&text));
            prop_assert!(text.len() >= expected.len());
            if stop.iter().filter(|s| !s.is_empty()).count() <= 1 {
                prop_assert_eq!(text, expected);
            }
        }
    }
}
