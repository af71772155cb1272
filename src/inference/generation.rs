//! What to write of a text, and what was written.
//!
//! A text ends with `length` when `max_tokens` were written or the context is full; the token that is written last need not be
//! read again, so a full context still gets one.

use std::time::Duration;

use super::Sampling;
use super::kernels::functions::log_sum_exp;

/// What to generate.
#[derive(Debug, Clone, Copy)]
pub struct GenerationOptions {
    /// How each token is chosen.
    pub sampling: Sampling,
    /// Most tokens to write.
    pub max_tokens: usize,
    /// Whether the model's end-of-text token, where its configuration names one, ends the text.
    pub stop_at_end_of_text: bool,
    /// With each token its log probability, and those of so many of the likeliest.
    pub log_probabilities: Option<usize>,
    /// How likely the prompt's own tokens were, too; it is read whole for that.
    pub prompt_log_probabilities: bool,
}

impl Default for GenerationOptions {
    fn default() -> Self {
        Self {
            sampling: Sampling::default(),
            max_tokens: 256,
            stop_at_end_of_text: true,
            log_probabilities: None,
            prompt_log_probabilities: false,
        }
    }
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// `max_tokens` were written or the context is full.
    Length,
    /// The model ended it; the end-of-text token is not among the tokens.
    EndOfText,
    /// The caller saw a text at which it wanted to stop.
    Stop,
    /// The caller gave up.
    Cancelled,
}

impl Finish {
    /// What records and scripts call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::EndOfText => "end_of_text",
            Self::Stop => "stop",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A token of the vocabulary and how likely it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alternative {
    /// The token.
    pub token: u32,
    /// The natural logarithm of its probability.
    pub log_probability: f64,
}

/// How likely a token was in the model's own distribution, before temperature, top-k and top-p.
#[derive(Debug, Clone, PartialEq)]
pub struct LogProbability {
    /// The natural logarithm of the token's probability.
    pub chosen: f64,
    /// The likeliest tokens, likeliest first, ties by lowest token.
    pub likeliest: Vec<Alternative>,
}

/// One token written.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The token.
    pub token: u32,
    /// How likely it was, where that was asked for.
    pub log_probability: Option<LogProbability>,
}

/// Where the time went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Until the prompt was read, other texts beside it.
    pub prefill: Duration,
    /// Everything after.
    pub decode: Duration,
}

/// A text that was generated.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Its tokens, without the prompt and without an end-of-text token that ended it.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Where the time went.
    pub timings: Timings,
}

/// How likely `token` and the `max` likeliest are by `logits`, which are finite.
pub(super) fn log_probability(logits: &[f32], token: u32, max: usize) -> LogProbability {
    let normalizer = log_sum_exp(logits);
    let of = |token: u32| f64::from(logits[token as usize]) - normalizer;
    let order = |&a: &u32, &b: &u32| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b));
    let mut ranked: Vec<u32> = (0u32..).zip(logits).map(|(token, _)| token).collect();
    if max > 0 && max < ranked.len() {
        ranked.select_nth_unstable_by(max - 1, order);
    }
    ranked.truncate(max);
    ranked.sort_unstable_by(order);
    let likeliest = ranked.into_iter().map(|token| Alternative { token, log_probability: of(token) });
    LogProbability { chosen: of(token), likeliest: likeliest.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_ranked_and_sum_to_one() {
        let logits = [1.0, 3.0, 3.0, -2.0];
        let ranked = log_probability(&logits, 0, 9);
        let order: Vec<u32> = ranked.likeliest.iter().map(|a| a.token).collect();
        assert_eq!(order, [1, 2, 0, 3]);
        let sum: f64 = ranked.likeliest.iter().map(|a| a.log_probability.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert_eq!(ranked.chosen, ranked.likeliest[2].log_probability);
        assert_eq!(log_probability(&logits, 3, 1).likeliest, ranked.likeliest[..1]);
        assert_eq!(log_probability(&logits, 3, 0).likeliest, []);
    }
}
