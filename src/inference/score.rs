//! The likelihood of a text under a model, as perplexity and bits per byte.
//!
//! A text longer than the context is read in windows of T tokens, each `stride` tokens after the one before. Every token but the first
//! is predicted exactly once, in the first window that contains it. A smaller stride gives it more context (at least T - stride tokens,
//! if the text has them) and costs T / stride times the work.

use super::kernels::functions::log_sum_exp;
use super::{Error, Model};
use crate::progress::Progress;

/// The likelihood of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Number of predicted tokens: all but the first.
    pub predicted: usize,
    /// The sum of their negative log likelihoods, in nats.
    pub negative_log_likelihood: f64,
    /// The logits, \[V\], of the next token after the text.
    pub last_logits: Vec<f32>,
}

impl Score {
    /// Nats per predicted token; NaN if none was predicted.
    pub fn mean(&self) -> f64 {
        self.negative_log_likelihood / self.predicted as f64
    }

    /// Perplexity per token; NaN if none was predicted.
    pub fn perplexity(&self) -> f64 {
        self.mean().exp()
    }

    /// Bits per byte of a text of `bytes` bytes; infinite for 0.
    pub fn bits_per_byte(&self, bytes: u64) -> f64 {
        self.negative_log_likelihood / std::f64::consts::LN_2 / bytes as f64
    }
}

/// Scores `tokens` in windows of the model's context; `stride` is in tokens, from 1 to the context.
///
/// # Errors
/// [`Error::Stride`], [`Error::NoTokens`], and the errors of [`Model::forward`].
pub fn score(model: &Model, tokens: &[u32], stride: usize, progress: &dyn Progress) -> Result<Score, Error> {
    let context = model.config().context;
    if !(1..=context).contains(&stride) {
        return Err(Error::Stride { stride, context });
    }
    if tokens.is_empty() {
        return Err(Error::NoTokens);
    }
    // The first token is not predicted.
    progress.begin_tokens("scoring", tokens.len() as u64 - 1);
    let mut cache = model.cache(tokens.len())?;
    let mut sum = 0.0;
    let mut last_logits = Vec::new();
    let mut predicted = 0; // tokens[1..=predicted] are done
    let mut begin = 0;
    loop {
        let window = &tokens[begin..tokens.len().min(begin + context)];
        cache.clear();
        let before = predicted;
        // The logits of tokens[i] predict tokens[i + 1].
        model.forward_all(window, &mut cache, predicted - begin, &mut |i, logits| {
            match tokens.get(begin + i + 1) {
                Some(&next) => {
                    let logit = logits.get(next as usize).copied();
                    let logit = logit.ok_or(Error::UnknownToken { token: next, vocabulary: logits.len() })?;
                    sum += log_sum_exp(logits) - f64::from(logit);
                    predicted = begin + i + 1;
                }
                None => last_logits = logits.to_vec(),
            }
            Ok(())
        })?;
        progress.advance((predicted - before) as u64);
        if begin + window.len() == tokens.len() {
            return Ok(Score { predicted, negative_log_likelihood: sum, last_logits });
        }
        begin += stride;
    }
}
