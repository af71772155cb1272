//! Decodes ids that arrive one by one.

use super::word_level::WORD_END;
use super::{Scheme, Tokenizer};

/// Decodes ids one by one into whole characters.
///
/// The concatenated results of [`Self::push`] and [`Self::finish`] equal [`Tokenizer::decode`] of all ids.
#[derive(Debug)]
pub struct TextStream<'t> {
    tokenizer: &'t Tokenizer,
    /// Bytes that cannot be returned yet. GPT-2: the beginning of a character, at most 3 bytes. GPT-1: the last token from its `</w>` on,
    /// which becomes a space if another token follows.
    held: Vec<u8>,
}

impl<'t> TextStream<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, held: Vec::new() }
    }

    /// Adds an id and returns the text that is now certain, which may be empty.
    pub fn push(&mut self, id: u32) -> String {
        match &self.tokenizer.scheme {
            Scheme::Gpt2(scheme) => {
                self.held.extend(scheme.bytes(id).unwrap_or_default());
                self.take_whole_characters()
            }
            Scheme::Gpt1(scheme) => scheme.raw(id).map_or_else(String::new, |token| {
                let mut text = self.take_held(" ");
                let (shown, held) = token.split_at(token.find(WORD_END).unwrap_or(token.len()));
                text.push_str(shown);
                self.held.extend(held.as_bytes());
                text
            }),
        }
    }

    /// Number of characters before the next id's own text that were not returned yet: the space after a word of GPT-1.
    pub fn pending_chars(&self) -> usize {
        match self.tokenizer.scheme {
            Scheme::Gpt2(_) => 0,
            Scheme::Gpt1(_) => String::from_utf8_lossy(&self.held).replace(WORD_END, " ").chars().count(),
        }
    }

    /// Returns the rest: nothing, or U+FFFD for an incomplete character.
    pub fn finish(mut self) -> String {
        self.take_held("")
    }

    fn take_held(&mut self, word_end: &str) -> String {
        let held = std::mem::take(&mut self.held);
        let text = String::from_utf8_lossy(&held);
        match self.tokenizer.scheme {
            Scheme::Gpt2(_) => text.into_owned(),
            Scheme::Gpt1(_) => text.replace(WORD_END, word_end),
        }
    }

    fn take_whole_characters(&mut self) -> String {
        let mut text = String::new();
        let mut rest = self.held.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(length) = error.error_len() else {
                        // More bytes may complete the character.
                        rest = invalid;
                        break;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &invalid[length..];
                }
            }
        }
        self.held = rest.to_vec();
        text
    }
}
