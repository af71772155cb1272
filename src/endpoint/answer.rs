//! Completions as OpenAI's clients read them, whole or in pieces.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::inference::tokenizer::{TextStream, Tokenizer};
use crate::inference::{Completion, Finish, Step};

/// An answer, or a piece of one.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: i64,
    pub(super) model: &'a str,
    pub(super) choices: Vec<Choice>,
    /// In a stream: left out unless it was asked for, null in every piece but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Option<Usage>>,
}

/// Tokens that were read and written.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
    pub(super) total_tokens: usize,
}

/// One text, or a piece of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Choice {
    pub(super) text: String,
    pub(super) index: usize,
    pub(super) logprobs: Option<Logprobs>,
    pub(super) finish_reason: Option<&'static str>,
}

/// How likely tokens were; four lists of the same length.
#[derive(Debug, Default, Serialize)]
pub(super) struct Logprobs {
    /// Texts of tokens; `bytes:\xNN…` where a token is not a text by itself.
    tokens: Vec<String>,
    /// Natural logarithms; none for a text's first token, which nothing predicted.
    token_logprobs: Vec<Option<f64>>,
    /// The likeliest, and the one that was written.
    top_logprobs: Vec<Option<BTreeMap<String, f64>>>,
    /// Where each token's text begins, in characters of the decoded text; the character that a token completes began with an
    /// earlier one.
    text_offset: Vec<usize>,
}

/// A text as it becomes known: what to send of it, and what has been sent.
#[derive(Debug)]
pub(super) struct Writing<'t> {
    tokenizer: &'t Tokenizer,
    choice: Choice,
    wants_logprobs: bool,
    /// Decodes the tokens that were noted, to know where the next begins.
    noted: TextStream<'t>,
    offset: usize,
}

impl<'t> Writing<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer, index: usize, wants_logprobs: bool) -> Self {
        let choice = Choice { index, ..Choice::default() };
        Self { tokenizer, choice, wants_logprobs, noted: tokenizer.stream(), offset: 0 }
    }

    /// The prompt is part of the text; its first token has no likelihood. What its last token leaves open, the text closes.
    pub(super) fn echo(&mut self, prompt: &[u32]) {
        let mut stream = self.tokenizer.stream();
        self.choice.text.extend(prompt.iter().map(|&token| stream.push(token)));
        if let Some(&first) = prompt.first().filter(|_| self.wants_logprobs) {
            self.note(&Step { token: first, log_probability: None });
        }
    }

    /// A token, of the prompt or behind it.
    pub(super) fn note(&mut self, step: &Step) {
        if !self.wants_logprobs {
            return;
        }
        let name = name(self.tokenizer, step.token);
        let likeliest = step.log_probability.as_ref().map(|known| {
            let others = known.likeliest.iter();
            let others = others.map(|other| (self::name(self.tokenizer, other.token), other.log_probability));
            others.chain([(name.clone(), known.chosen)]).collect()
        });
        let logprobs = self.choice.logprobs.get_or_insert_default();
        logprobs.text_offset.push(self.offset + self.noted.due());
        self.offset += self.noted.push(step.token).chars().count();
        logprobs.tokens.push(name);
        logprobs.token_logprobs.push(step.log_probability.as_ref().map(|known| known.chosen));
        logprobs.top_logprobs.push(likeliest);
    }

    /// Text that became certain.
    pub(super) fn push(&mut self, text: &str) {
        self.choice.text += text;
    }

    /// The text ended.
    pub(super) fn end(&mut self, completion: &Completion, held: usize) {
        self.choice.text += &completion.text[completion.text.len() - held..];
        self.choice.finish_reason = Some(match completion.generation.finish {
            Finish::Length => "length",
            Finish::EndOfText | Finish::Stop | Finish::Cancelled => "stop",
        });
    }

    /// What is known and was not taken yet.
    pub(super) fn take(&mut self) -> Choice {
        let next = Choice { index: self.choice.index, ..Choice::default() };
        std::mem::replace(&mut self.choice, next)
    }
}

/// What a token is called: its text or, where it is not UTF-8 by itself, its bytes. So no two tokens have one name.
fn name(tokenizer: &Tokenizer, token: u32) -> String {
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
    use crate::inference::{Alternative, Completing, LogProbability};

    fn step(token: u32, chosen: f64, likeliest: &[(u32, f64)]) -> Step {
        let likeliest =
            likeliest.iter().map(|&(token, log_probability)| Alternative { token, log_probability });
        Step { token, log_probability: Some(LogProbability { chosen, likeliest: likeliest.collect() }) }
    }

    #[test]
    fn tokens_within_a_character_have_names_of_their_own_and_offsets_within_the_text() {
        let tokenizer = tokenizer(Architecture::Gpt2, "demo");
        let text = "a𝄞b";
        let tokens = tokenizer.encode(text, SpecialTokens::Escape);
        assert!(tokens.len() >= 5, "the character is cut: {tokens:?}");
        let (one, other) = (tokens[1], tokens[2]);
        let mut writing = Writing::new(&tokenizer, 0, true);
        for &token in &tokens {
            writing.note(&step(token, -3.0, &[(one, -1.0), (other, -2.0)]));
        }
        let logprobs = writing.take().logprobs.unwrap();
        let within = tokens.len() - 2;
        let expected: Vec<usize> = [0].into_iter().chain(std::iter::repeat_n(1, within)).chain([2]).collect();
        assert_eq!(logprobs.text_offset, expected);
        assert_eq!(logprobs.tokens[1], "bytes:\\xf0", "{:?}", logprobs.tokens);
        let top = logprobs.top_logprobs[0].as_ref().unwrap();
        assert_eq!((top.len(), top["a"], top["bytes:\\xf0"]), (3, -3.0, -1.0), "{top:?}");
    }

    #[test]
    fn words_of_gpt_1_are_apart_behind_a_prompt_that_is_echoed() {
        let tokenizer = tokenizer(Architecture::Gpt1, "tests/fixtures/golden/gpt1");
        let words: Vec<u32> = (0..)
            .map_while(|id| Some((id, tokenizer.token_text(id)?)))
            .filter(|(_, text)| text.ends_with(' '))
            .map(|(id, _)| id)
            .take(3)
            .collect();
        let mut writing = Writing::new(&tokenizer, 0, true);
        writing.echo(&words[..2]);
        let mut completing = Completing::new(&tokenizer, Vec::new());
        completing.follow(&words[..2]);
        for &word in &words[1..] {
            writing.note(&step(word, -1.0, &[]));
        }
        let (text, _) = completing.push(&step(words[2], -1.0, &[]));
        writing.push(&text);
        let choice = writing.take();
        assert_eq!(choice.text, tokenizer.decode(&words));
        let offsets = words.iter().scan(0, |at, &word| {
            let offset = *at;
            *at += tokenizer.token_text(word)?.chars().count();
            Some(offset)
        });
        assert_eq!(choice.logprobs.unwrap().text_offset, offsets.collect::<Vec<_>>());
    }
}
