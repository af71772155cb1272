//! Options and results of generating a text.
//!
//! A generation ends with `length` after `max_tokens` tokens or if the context is full. The last token is never read back, so even a full
//! context allows one more token.

use std::time::Duration;

use super::Sampling;
use super::kernels::functions::log_sum_exp;

/// How to generate a text.
#[derive(Debug, Clone, Copy)]
pub struct GenerationOptions {
    /// How tokens are sampled.
    pub sampling: Sampling,
    /// Maximum number of tokens to generate.
    pub max_tokens: usize,
    /// Whether an end-of-text token of the model's configuration ends the text.
    pub stop_at_end_of_text: bool,
    /// Report the log probability of each token, and of this many likeliest tokens.
    pub log_probabilities: Option<usize>,
    /// Report the log probabilities of the prompt's tokens, too. The prompt then shares no cached prefix.
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

/// The reason why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// `max_tokens` were generated, or the context is full.
    Length,
    /// The model generated an end-of-text token, which is not among the tokens.
    EndOfText,
    /// The caller found a stop string.
    Stop,
    /// The caller cancelled it.
    Cancelled,
}

impl Finish {
    /// The name in usage records and in JSON: `length`, `end_of_text`, `stop` or `cancelled`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::EndOfText => "end_of_text",
            Self::Stop => "stop",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A token of the vocabulary and its log probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alternative {
    /// The token.
    pub token: u32,
    /// The natural logarithm of its probability.
    pub log_probability: f64,
}

/// The log probability of a token in the model's own distribution, before temperature, top-k and top-p. Natural logarithms.
#[derive(Debug, Clone, PartialEq)]
pub struct LogProbability {
    /// The log probability of the token.
    pub chosen: f64,
    /// The likeliest tokens in descending order; ties in ascending order of the token.
    pub likeliest: Vec<Alternative>,
}

/// A token of a sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredToken {
    /// The token.
    pub token: u32,
    /// Its log probability, if the options request it.
    pub log_probability: Option<LogProbability>,
}

/// Wall-clock times of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// From the start until the first token, including time spent on other sequences of the batch.
    pub prefill: Duration,
    /// From the first token to the end.
    pub decode: Duration,
}

/// A generated sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The generated tokens, without the prompt and without an end-of-text token.
    pub tokens: Vec<u32>,
    /// The reason why it ended.
    pub finish: Finish,
    /// Number of tokens of the prompt.
    pub prompt_tokens: usize,
    /// Wall-clock times.
    pub timings: Timings,
}

/// The log probabilities of `token` and of the `max` likeliest tokens; `logits`, [V], are finite.
pub(super) fn log_probability(logits: &[f32], token: u32, max: usize) -> LogProbability {
    let normalizer = log_sum_exp(logits);
    let log_probability = |token: u32| f64::from(logits[token as usize]) - normalizer;
    let order = |&a: &u32, &b: &u32| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b));
    let mut ranked: Vec<u32> = (0u32..).zip(logits).map(|(token, _)| token).collect();
    if max > 0 && max < ranked.len() {
        ranked.select_nth_unstable_by(max - 1, order);
    }
    ranked.truncate(max);
    ranked.sort_unstable_by(order);
    let likeliest =
        ranked.into_iter().map(|token| Alternative { token, log_probability: log_probability(token) });
    LogProbability { chosen: log_probability(token), likeliest: likeliest.collect() }
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
