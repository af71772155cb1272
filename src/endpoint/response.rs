//! Responses with completions, whole or in events of a stream, in the format of OpenAI's API.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::inference::tokenizer::{TextStream, Tokenizer};
use crate::inference::{Completion, Finish, ScoredToken};

/// A response, or one event of a stream.
#[derive(Debug, Serialize)]
pub(super) struct CompletionResponse<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: i64,
    pub(super) model: &'a str,
    pub(super) choices: Vec<Choice>,
    /// In a stream: absent unless the request includes usage, and null in every event but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Option<Usage>>,
}

/// Numbers of tokens.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
    pub(super) total_tokens: usize,
}

/// One completion, or a piece of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Choice {
    pub(super) text: String,
    pub(super) index: usize,
    pub(super) logprobs: Option<Logprobs>,
    pub(super) finish_reason: Option<&'static str>,
}

/// Log probabilities of tokens: four lists of the same length.
#[derive(Debug, Default, Serialize)]
pub(super) struct Logprobs {
    /// Texts of tokens; `bytes:\xNN…` if the bytes of a token are not UTF-8.
    tokens: Vec<String>,
    /// Natural logarithms; null for the first token of a text, which is not predicted.
    token_logprobs: Vec<Option<f64>>,
    /// The likeliest tokens and the chosen one.
    top_logprobs: Vec<Option<BTreeMap<String, f64>>>,
    /// The offset of each token's text, in characters of the decoded text. A character belongs to the token that begins it.
    text_offset: Vec<usize>,
}

/// Builds the pieces of one choice from the events of its text.
#[derive(Debug)]
pub(super) struct ChoiceBuilder<'t> {
    tokenizer: &'t Tokenizer,
    choice: Choice,
    wants_logprobs: bool,
    /// Decodes the tokens that were added, to compute text offsets.
    decoded: TextStream<'t>,
    offset: usize,
}

impl<'t> ChoiceBuilder<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer, index: usize, wants_logprobs: bool) -> Self {
        let choice = Choice { index, ..Choice::default() };
        Self { tokenizer, choice, wants_logprobs, decoded: tokenizer.stream(), offset: 0 }
    }

    /// Adds the prompt to the text. Its first token has no log probability; the text completes its last character.
    pub(super) fn echo(&mut self, prompt: &[u32]) {
        let mut stream = self.tokenizer.stream();
        self.choice.text.extend(prompt.iter().map(|&token| stream.push(token)));
        if let Some(&first) = prompt.first().filter(|_| self.wants_logprobs) {
            self.add_token(&ScoredToken { token: first, log_probability: None });
        }
    }

    /// Adds the log probability of a token, of the prompt or after it.
    pub(super) fn add_token(&mut self, token: &ScoredToken) {
        if !self.wants_logprobs {
            return;
        }
        let name = token_name(self.tokenizer, token.token);
        let likeliest = token.log_probability.as_ref().map(|known| {
            let others = known.likeliest.iter();
            let others = others.map(|other| (token_name(self.tokenizer, other.token), other.log_probability));
            others.chain([(name.clone(), known.chosen)]).collect()
        });
        let logprobs = self.choice.logprobs.get_or_insert_default();
        logprobs.text_offset.push(self.offset + self.decoded.pending_chars());
        self.offset += self.decoded.push(token.token).chars().count();
        logprobs.tokens.push(name);
        logprobs.token_logprobs.push(token.log_probability.as_ref().map(|known| known.chosen));
        logprobs.top_logprobs.push(likeliest);
    }

    /// Adds text.
    pub(super) fn push_text(&mut self, text: &str) {
        self.choice.text += text;
    }

    /// Ends the text; `held` is the number of bytes at its end that were not added yet.
    pub(super) fn end(&mut self, completion: &Completion, held: usize) {
        self.choice.text += &completion.text[completion.text.len() - held..];
        self.choice.finish_reason = Some(match completion.generation.finish {
            Finish::Length => "length",
            Finish::EndOfText | Finish::Stop | Finish::Cancelled => "stop",
        });
    }

    /// Takes the piece since the last call.
    pub(super) fn take(&mut self) -> Choice {
        let next = Choice { index: self.choice.index, ..Choice::default() };
        std::mem::replace(&mut self.choice, next)
    }
}

/// The name of a token: its text, or its bytes if they are not UTF-8. No two tokens have the same name.
fn token_name(tokenizer: &Tokenizer, token: u32) -> String {
    let bytes = tokenizer.token_bytes(token).unwrap_or_default();
    match str::from_utf8(&bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold("bytes:".to_owned(), |name, byte| name + &format!("\\x{byte:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::tokenizer;
    use super::*;
    use crate::checkpoint::config::Architecture;
    use crate::inference::tokenizer::SpecialTokens;
    use crate::inference::{Alternative, CompletionBuilder, LogProbability};

    fn step(token: u32, chosen: f64, likeliest: &[(u32, f64)]) -> ScoredToken {
        let likeliest =
            likeliest.iter().map(|&(token, log_probability)| Alternative { token, log_probability });
        ScoredToken {
            token,
            log_probability: Some(LogProbability { chosen, likeliest: likeliest.collect() }),
        }
    }

    #[test]
    fn tokens_within_a_character_have_distinct_names_and_right_offsets() {
        let tokenizer = tokenizer(Architecture::Gpt2, "demo");
        let text = "a𝄞b";
        let tokens = tokenizer.encode(text, SpecialTokens::Escape);
        assert!(tokens.len() >= 5, "the character is several tokens: {tokens:?}");
        let (one, other) = (tokens[1], tokens[2]);
        let mut builder = ChoiceBuilder::new(&tokenizer, 0, true);
        for &token in &tokens {
            builder.add_token(&step(token, -3.0, &[(one, -1.0), (other, -2.0)]));
        }
        let logprobs = builder.take().logprobs.unwrap();
        let within = tokens.len() - 2;
        let expected: Vec<usize> = [0].into_iter().chain(std::iter::repeat_n(1, within)).chain([2]).collect();
        assert_eq!(logprobs.text_offset, expected);
        assert_eq!(logprobs.tokens[1], "bytes:\\xf0", "{:?}", logprobs.tokens);
        let top = logprobs.top_logprobs[0].as_ref().unwrap();
        assert_eq!((top.len(), top["a"], top["bytes:\\xf0"]), (3, -3.0, -1.0), "{top:?}");
    }

    #[test]
    fn words_of_gpt_1_are_separated_after_an_echoed_prompt() {
        let tokenizer = tokenizer(Architecture::Gpt1, "tests/fixtures/golden/gpt1");
        let words: Vec<u32> = (0..)
            .map_while(|id| Some((id, tokenizer.token_text(id)?)))
            .filter(|(_, text)| text.ends_with(' '))
            .map(|(id, _)| id)
            .take(3)
            .collect();
        let mut builder = ChoiceBuilder::new(&tokenizer, 0, true);
        builder.echo(&words[..2]);
        let mut completion_builder = CompletionBuilder::new(&tokenizer, Vec::new());
        completion_builder.continue_prompt(&words[..2]);
        for &word in &words[1..] {
            builder.add_token(&step(word, -1.0, &[]));
        }
        let (text, _) = completion_builder.push(words[2]);
        builder.push_text(&text);
        let choice = builder.take();
        assert_eq!(choice.text, tokenizer.decode(&words));
        let offsets = words.iter().scan(0, |at, &word| {
            let offset = *at;
            *at += tokenizer.token_text(word)?.chars().count();
            Some(offset)
        });
        assert_eq!(choice.logprobs.unwrap().text_offset, offsets.collect::<Vec<_>>());
    }
}
