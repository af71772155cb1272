//! Chooses the next token from logits.
//!
//! Temperature divides the logits; then the `top_k` likeliest tokens remain, and of those the fewest whose probabilities reach `top_p`
//! (Holtzman et al. 2020). Ties go to the lowest token. Draws come from ChaCha8, whose output is specified, and the arithmetic is in
//! f64: the same logits and the same seed give the same tokens on every machine.

use std::collections::VecDeque;

use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, SeedableRng as _};

use super::Error;
use super::kernels::distribution::{Scale, greatest, pick, total, weights};

/// Settings of the choice of tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// 0 always chooses the likeliest token; 1 samples the model's distribution; more flattens it.
    pub temperature: f32,
    /// Only this many likeliest tokens are candidates; `None` for all.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together have this probability are candidates: 1 for all, 0 for the likeliest alone.
    pub top_p: f32,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    /// The model's distribution, with seed 0.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: 1.0, seed: 0 }
    }
}

impl Sampling {
    /// Always the likeliest token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Checks that every setting is in range.
    ///
    /// # Errors
    /// [`Error::Sampling`] names the first that is not.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |setting, value: f64, rule| Err(Error::Sampling { setting, value, rule });
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return refuse("temperature", self.temperature.into(), "0 or more, and finite");
        }
        if self.top_k == Some(0) {
            return refuse("top_k", 0.0, "1 or more");
        }
        if !(0.0..=1.0).contains(&self.top_p) {
            return refuse("top_p", self.top_p.into(), "from 0 to 1");
        }
        Ok(())
    }
}

/// Chooses the tokens of one sequence.
#[derive(Debug)]
pub struct Sampler {
    sampling: Sampling,
    draws: ChaCha8Rng,
    /// Draws that [`Self::guess`] has used in advance; they belong to the next tokens.
    upcoming: VecDeque<f64>,
}

impl Sampler {
    /// A sampler that begins at the seed.
    ///
    /// # Errors
    /// [`Error::Sampling`] if a setting is out of range.
    pub fn new(sampling: Sampling) -> Result<Self, Error> {
        sampling.check()?;
        Ok(Self { sampling, draws: ChaCha8Rng::seed_from_u64(sampling.seed), upcoming: VecDeque::new() })
    }

    /// Chooses a token by `logits`, \[V\]. Uses exactly one draw; none at temperature 0.
    ///
    /// # Errors
    /// [`Error::LogitNotFinite`] if a logit is NaN or infinite, or if there are none.
    pub fn choose(&mut self, logits: &[f32]) -> Result<u32, Error> {
        let token = self.guess(logits, 0)?;
        self.upcoming.pop_front();
        Ok(token)
    }

    /// The token that [`Self::choose`] would choose by these logits after `ahead` more tokens. Uses up no draw.
    ///
    /// # Errors
    /// The errors of [`Self::choose`].
    pub(super) fn guess(&mut self, logits: &[f32], ahead: usize) -> Result<u32, Error> {
        let (likeliest, max) = greatest(logits).ok_or(Error::LogitNotFinite)?;
        let Sampling { temperature, top_k, top_p, .. } = self.sampling;
        if temperature == 0.0 {
            return Ok(likeliest as u32);
        }
        while self.upcoming.len() <= ahead {
            let draw = self.uniform();
            self.upcoming.push_back(draw);
        }
        let scale = Scale { max, temperature: f64::from(temperature) };
        let mut candidates = match top_k.filter(|&k| k < logits.len()) {
            Some(k) => Candidates::likeliest(logits, k, scale),
            None => Candidates { tokens: None, weights: weights(logits, scale) },
        };
        if top_p < 1.0 {
            candidates.keep_nucleus(top_p.into());
        }
        Ok(candidates.pick(self.upcoming[ahead]).unwrap_or(likeliest as u32))
    }

    /// A number in [0, 1): 53 bits of a draw.
    fn uniform(&mut self) -> f64 {
        (self.draws.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Tokens that may be chosen, with their unnormalized probabilities.
struct Candidates {
    /// `None` for every token.
    tokens: Option<Vec<u32>>,
    weights: Vec<f64>,
}

impl Candidates {
    /// The `k` likeliest tokens, ties by lowest token; at least 1.
    fn likeliest(logits: &[f32], k: usize, scale: Scale) -> Self {
        let mut kept: Vec<(f32, u32)> = Vec::new();
        // A token that is no likelier than k earlier ones is not needed.
        let mut floor = f32::NEG_INFINITY;
        for (token, &logit) in (0..).zip(logits) {
            if logit > floor {
                kept.push((logit, token));
                if kept.len() >= 2 * k + 64 {
                    keep_first(&mut kept, k);
                    floor = kept.iter().map(|(logit, _)| *logit).fold(f32::INFINITY, f32::min);
                }
            }
        }
        keep_first(&mut kept, k);
        kept.sort_unstable_by_key(|(_, token)| *token);
        let (logits, tokens): (Vec<f32>, Vec<u32>) = kept.into_iter().unzip();
        Self { weights: weights(&logits, scale), tokens: Some(tokens) }
    }

    /// Keeps the fewest candidates that together have the share `p` of the total weight.
    fn keep_nucleus(&mut self, p: f64) {
        let total = total(&self.weights);
        // Candidates below this line have less than 1 - p together, so none of them is needed. Sorting them would be slow.
        let line = (1.0 - p) * total / self.weights.len() as f64;
        let token = |at: usize| self.tokens.as_ref().map_or(at as u32, |tokens| tokens[at]);
        let above = self.weights.iter().enumerate().filter(|(_, weight)| **weight >= line);
        let mut kept: Vec<(f64, u32)> = above.map(|(at, &weight)| (weight, token(at))).collect();
        kept.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut reached = 0.0;
        let enough = kept.iter().position(|(weight, _)| {
            reached += weight;
            reached >= p * total
        });
        kept.truncate(enough.map_or(kept.len(), |last| last + 1));
        let (weights, tokens) = kept.into_iter().unzip();
        *self = Self { tokens: Some(tokens), weights };
    }

    /// The candidate whose share of [0, 1) contains `uniform`.
    fn pick(&self, uniform: f64) -> Option<u32> {
        let at = pick(&self.weights, uniform)?;
        Some(self.tokens.as_ref().map_or(at as u32, |tokens| tokens[at]))
    }
}

/// Keeps the `k` tokens with the greatest logits, in any order; ties go to the lowest token.
fn keep_first(kept: &mut Vec<(f32, u32)>, k: usize) {
    if k < kept.len() {
        kept.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        kept.truncate(k);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sampler(temperature: f32, top_k: Option<usize>, top_p: f32, seed: u64) -> Sampler {
        Sampler::new(Sampling { temperature, top_k, top_p, seed }).unwrap()
    }

    /// Tokens by descending logit; ties by ascending token.
    fn ranking(logits: &[f32]) -> Vec<u32> {
        let mut ranking: Vec<u32> = (0..logits.len() as u32).collect();
        ranking.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
        ranking
    }

    fn some_logits() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec((-8i8..8).prop_map(f32::from), 1..60)
    }

    proptest! {
        #[test]
        fn greedy_takes_the_first_in_rank(logits in some_logits()) {
            let token = Sampler::new(Sampling::greedy()).unwrap().choose(&logits).unwrap();
            prop_assert_eq!(token, ranking(&logits)[0]);
        }

        #[test]
        fn a_tiny_temperature_and_top_k_of_one_are_greedy_up_to_ties(logits in some_logits(), seed: u64) {
            let best = logits[ranking(&logits)[0] as usize];
            prop_assert_eq!(logits[sampler(1e-6, None, 1.0, seed).choose(&logits).unwrap() as usize], best);
            prop_assert_eq!(sampler(1.0, Some(1), 1.0, seed).choose(&logits).unwrap(), ranking(&logits)[0]);
        }

        #[test]
        fn top_k_keeps_to_the_first_k(logits in some_logits(), k in 1usize..20, seed: u64) {
            let token = sampler(3.0, Some(k), 1.0, seed).choose(&logits).unwrap();
            prop_assert!(ranking(&logits).iter().take(k).any(|&t| t == token));
        }

        #[test]
        fn top_p_keeps_to_the_fewest_that_reach_it(logits in some_logits(), p in 0.01f32..1.0, seed: u64) {
            let token = sampler(1.0, None, p, seed).choose(&logits).unwrap();
            let weight = |t: u32| f64::from(logits[t as usize]).exp();
            let total: f64 = (0..logits.len() as u32).map(weight).sum();
            // Likelier tokens must not have reached p already.
            let before: f64 = ranking(&logits).into_iter().take_while(|&t| t != token).map(weight).sum();
            prop_assert!(before < f64::from(p) * total * (1.0 + 1e-12));
        }

        #[test]
        fn the_same_seed_gives_the_same_tokens(logits in some_logits(), seed: u64) {
            let draw = || {
                let mut sampler = sampler(1.3, Some(30), 0.95, seed);
                (0..20).map(|_| sampler.choose(&logits).unwrap()).collect::<Vec<_>>()
            };
            prop_assert_eq!(draw(), draw());
        }
    }

    #[test]
    fn draws_follow_the_distribution() {
        let logits = [0.0, 2f32.ln(), f32::MIN, 5f32.ln()]; // 1 : 2 : 0 : 5
        let mut sampler = sampler(1.0, None, 1.0, 11);
        let mut counts = [0; 4];
        for _ in 0..8000 {
            counts[sampler.choose(&logits).unwrap() as usize] += 1;
        }
        assert_eq!(counts[2], 0);
        for (count, expected) in counts.into_iter().zip([1000i32, 2000, 0, 5000]) {
            assert!((count - expected).abs() < 200, "{counts:?}");
        }
    }

    #[test]
    fn a_seed_names_the_same_tokens_for_ever() {
        let logits = [0.0; 1000];
        let mut sampler = sampler(1.0, None, 1.0, 42);
        let tokens: Vec<u32> = (0..6).map(|_| sampler.choose(&logits).unwrap()).collect();
        insta::assert_snapshot!(format!("{tokens:?}"), @"[681, 950, 427, 627, 288, 149]");
    }

    #[test]
    fn settings_and_logits_out_of_range_are_refused_with_the_reason() {
        let refusal = |temperature, top_k, top_p| {
            Sampler::new(Sampling { temperature, top_k, top_p, seed: 0 }).unwrap_err().to_string()
        };
        let logits = |logits: &[f32]| sampler(1.0, None, 1.0, 0).choose(logits).unwrap_err().to_string();
        insta::assert_snapshot!([
            refusal(-1.0, None, 1.0),
            refusal(f32::NAN, None, 1.0),
            refusal(1.0, Some(0), 1.0),
            refusal(1.0, None, -0.5),
            refusal(1.0, None, 1.5),
            logits(&[0.0, f32::NAN]),
            logits(&[f32::INFINITY]),
            logits(&[]),
        ].join("\n"), @"
        `temperature` is -1; it must be 0 or more, and finite
        `temperature` is NaN; it must be 0 or more, and finite
        `top_k` is 0; it must be 1 or more
        `top_p` is -0.5; it must be from 0 to 1
        `top_p` is 1.5; it must be from 0 to 1
        the model computed a logit that is not a finite number
        the model computed a logit that is not a finite number
        the model computed a logit that is not a finite number
        ");
    }
}
