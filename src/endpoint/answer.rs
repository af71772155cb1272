//! Completions as OpenAI's clients read them, whole or in pieces.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::inference::tokenizer::Tokenizer;
use crate::inference::{Completion, Finish, Step};

/// An answer, or a piece of one.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: i64,
    pub(super) model: &'a str,
    pub(super) choices: Vec<Choice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Usage>,
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
    tokens: Vec<String>,
    /// Natural logarithms; none for a text's first token, which nothing predicted.
    token_logprobs: Vec<Option<f64>>,
    top_logprobs: Vec<Option<BTreeMap<String, f64>>>,
    /// Where each token's text begins, in characters.
    text_offset: Vec<usize>,
}

/// A text as it becomes known: what to send of it, and what has been sent.
#[derive(Debug)]
pub(super) struct Writing<'t> {
    tokenizer: &'t Tokenizer,
    choice: Choice,
    wants_logprobs: bool,
    offset: usize,
}

impl<'t> Writing<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer, index: usize, wants_logprobs: bool) -> Self {
        let choice = Choice { index, ..Choice::default() };
        Self { tokenizer, choice, wants_logprobs, offset: 0 }
    }

    /// The prompt is part of the text; its first token has no likelihood.
    pub(super) fn echo(&mut self, prompt: &[u32]) {
        self.choice.text += &self.tokenizer.decode(prompt);
        if let Some(&first) = prompt.first().filter(|_| self.wants_logprobs) {
            self.note(&Step { token: first, log_probability: None });
        }
    }

    /// A token, of the prompt or behind it.
    pub(super) fn note(&mut self, step: &Step) {
        if !self.wants_logprobs {
            return;
        }
        let text = |token| self.tokenizer.token_text(token).unwrap_or_default();
        let own = text(step.token);
        let likeliest = step.log_probability.as_ref().map(|known| {
            known.likeliest.iter().map(|other| (text(other.token), other.log_probability)).collect()
        });
        let logprobs = self.choice.logprobs.get_or_insert_default();
        logprobs.text_offset.push(self.offset);
        self.offset += own.chars().count();
        logprobs.tokens.push(own);
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
