//! Continues a text as text: whole characters as they come, ended by strings of the caller's choice.

use super::tokenizer::{TextStream, Tokenizer};
use super::{Generation, Step};

/// A text that was written.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The text, all pieces together.
    pub text: String,
    /// Its tokens; those of a stop text and of what followed it in the same token are among them.
    pub generation: Generation,
}

/// A text as it is written.
#[derive(Debug)]
pub struct Completing<'t> {
    stream: TextStream<'t>,
    filter: StopFilter,
    stopped: bool,
    text: String,
}

impl<'t> Completing<'t> {
    /// A text that ends before the first of `stop`.
    pub fn new(tokenizer: &'t Tokenizer, stop: Vec<String>) -> Self {
        Self {
            stream: tokenizer.stream(),
            filter: StopFilter::new(stop),
            stopped: false,
            text: String::new(),
        }
    }

    /// Follows a prompt that is shown before it: what the prompt's last token leaves open (a character, GPT-1's space behind a
    /// word) is closed by the text.
    pub fn follow(&mut self, prompt: &[u32]) {
        for &token in prompt {
            self.stream.push(token);
        }
    }

    /// Takes a token: the text that became certain with it, and whether the text ends here. There is perhaps no text yet,
    /// where the token ends inside a character or begins a stop text.
    pub fn push(&mut self, step: &Step) -> (String, bool) {
        let (certain, stopped) = self.filter.push(&self.stream.push(step.token));
        self.text.push_str(&certain);
        self.stopped = stopped;
        (certain, stopped)
    }

    /// The text, and how much of its end was held back until now.
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

/// Cuts a stream of text before the first of several texts.
#[derive(Debug)]
struct StopFilter {
    stop: Vec<String>,
    /// The end of what came so far, as long as it may become a stop text.
    held: String,
}

impl StopFilter {
    fn new(stop: Vec<String>) -> Self {
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
