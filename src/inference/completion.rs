//! Turns generated tokens into text: whole characters as early as possible, ended by the caller's stop strings.

use super::Generation;
use super::tokenizer::{TextStream, Tokenizer};

/// A completed text.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The whole text, without the stop string.
    pub text: String,
    /// Its tokens, including those of the stop string.
    pub generation: Generation,
}

/// Builds a [`Completion`] token by token.
#[derive(Debug)]
pub struct CompletionBuilder<'t> {
    stream: TextStream<'t>,
    filter: StopFilter,
    stopped: bool,
    text: String,
}

impl<'t> CompletionBuilder<'t> {
    /// A completion that ends before the first occurrence of a string in `stop`. Empty strings are ignored.
    pub fn new(tokenizer: &'t Tokenizer, stop: Vec<String>) -> Self {
        Self {
            stream: tokenizer.stream(),
            filter: StopFilter::new(stop),
            stopped: false,
            text: String::new(),
        }
    }

    /// Continues a prompt that the caller shows before the text: an incomplete last character of the prompt, or GPT-1's space after its
    /// last word, becomes the beginning of the text.
    pub fn continue_prompt(&mut self, prompt: &[u32]) {
        for &token in prompt {
            self.stream.push(token);
        }
    }

    /// Adds a token. Returns the text that is now certain, and whether a stop string ended the completion. The text is empty if the
    /// token ends within a character or may begin a stop string.
    pub fn push(&mut self, token: u32) -> (String, bool) {
        let (certain, stopped) = self.filter.push(&self.stream.push(token));
        self.text.push_str(&certain);
        self.stopped = stopped;
        (certain, stopped)
    }

    /// Ends the completion. Returns it, and the number of bytes at its end that no [`Self::push`] returned.
    pub fn finish(mut self, generation: Generation) -> (Completion, usize) {
        let shown = self.text.len();
        if !self.stopped {
            let (certain, _) = self.filter.push(&self.stream.finish());
            self.text.push_str(&certain);
            self.text.push_str(&self.filter.finish());
        }
        let held = self.text.len() - shown;
        (Completion { text: self.text, generation }, held)
    }
}

/// Ends a stream of text before the first stop string.
#[derive(Debug)]
struct StopFilter {
    stop: Vec<String>,
    /// The end of the text so far, while it may begin a stop string.
    held: String,
}

impl StopFilter {
    fn new(stop: Vec<String>) -> Self {
        Self { stop, held: String::new() }
    }

    /// Adds text. Returns the text that is certain to precede every stop string, and whether one was found.
    fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let found =
            self.stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| self.held.find(stop.as_str()));
        if let Some(at) = found.min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let certain = self.held.len() - self.held_prefix_length();
        let rest = self.held.split_off(certain);
        (std::mem::replace(&mut self.held, rest), false)
    }

    fn finish(self) -> String {
        self.held
    }

    /// Length of the longest suffix of `held` that is a prefix of a stop string.
    fn held_prefix_length(&self) -> usize {
        let suffixes = self.held.char_indices().map(|(at, _)| &self.held[at..]);
        suffixes
            .filter(|suffix| self.stop.iter().any(|stop| stop.starts_with(suffix)))
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
        let mut filter = StopFilter::new(stop.to_vec());
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
        fn text_ends_before_the_first_stop_however_it_is_split(
            stop in proptest::collection::vec("[abé]{0,3}", 0..3),
            pieces in proptest::collection::vec("[abcé]{0,4}", 0..8),
        ) {
            let whole = pieces.concat();
            let first = stop.iter().filter(|s| !s.is_empty()).filter_map(|s| whole.find(s.as_str())).min();
            let expected = first.map_or(whole.as_str(), |at| &whole[..at]);
            let text = filtered(&stop, &pieces);
            // A stop string that completes earlier wins over one that begins earlier: the filter does not wait for more text.
            prop_assert!(whole.starts_with(&text));
            prop_assert!(text.len() >= expected.len());
            if stop.iter().filter(|s| !s.is_empty()).count() <= 1 {
                prop_assert_eq!(text, expected);
            }
        }
    }
}
