//! exp, GELU and softmax, without a branch or a call, so that they vectorise.

use super::lanes::{sum_of, vectorized};

/// e^x with a relative error below 2e-7; arguments outside ±87 count as ±87. NaN stays NaN.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2, as in Cephes' `expf`: a polynomial for e^r, 2^n put into the exponent.
#[inline(always)]
pub(in crate::inference) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it leaves the nearest integer in the low bits
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > 87.0 { 87.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let e_r = p * r * r + r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    e_r * f32::from_bits(exponent << 23)
}

/// GELU in the tanh form of both GPTs: 0.5·x·(1 + tanh u) = x / (1 + e^(-2u)), u = √(2/π)·(x + 0.044715·x³).
#[inline(always)]
pub(in crate::inference) fn gelu(x: f32) -> f32 {
    const TWICE_ROOT: f32 = 1.595_769; // 2·√(2/π)
    let minus_two_u = -TWICE_ROOT * (x + 0.044_715 * x * x * x);
    x / (1.0 + exp(minus_two_u))
}

/// Softmax in place. NaN anywhere makes everything NaN; the caller refuses such logits.
#[inline(always)]
pub(in crate::inference) fn softmax(scores: &mut [f32]) {
    let most = maximum(scores);
    for score in scores.iter_mut() {
        *score = exp(*score - most);
    }
    let scale = 1.0 / sum_of(scores, |x| x);
    for score in scores.iter_mut() {
        *score *= scale;
    }
}

/// ln Σ e^x in f64. Not finite where an x is not.
pub(in crate::inference) fn log_sum_exp(x: &[f32]) -> f64 {
    vectorized(
        #[inline(always)]
        || {
            let most = maximum(x);
            let sum: f64 = x.chunks(1024).map(|chunk| f64::from(sum_of(chunk, |x| exp(x - most)))).sum();
            f64::from(most) + sum.ln()
        },
    )
}

#[inline(always)]
fn maximum(x: &[f32]) -> f32 {
    let (lanes, rest) = x.as_chunks::<16>();
    let mut most = [f32::NEG_INFINITY; 16];
    for lane in lanes {
        for i in 0..16 {
            most[i] = if lane[i] > most[i] { lane[i] } else { most[i] };
        }
    }
    let most = most.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    rest.iter().copied().fold(most, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> impl Iterator<Item = f32> {
        (-90_000..=90_000).map(|i| i as f32 * 1e-3)
    }

    #[test]
    fn exp_is_within_two_parts_in_ten_million() {
        for x in inputs().filter(|x| x.abs() <= 87.0) {
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2e-7, "exp({x}) is off by {error:e}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn gelu_is_within_a_millionth_of_the_exact_tanh_form() {
        for x in inputs() {
            let wide = f64::from(x);
            let u = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044715 * wide.powi(3));
            let exact = 0.5 * wide * (1.0 + u.tanh());
            let error = (f64::from(gelu(x)) - exact).abs();
            assert!(error < 1e-6 * wide.abs().max(1.0), "gelu({x}) is off by {error:e}");
        }
        assert!(gelu(f32::NAN).is_nan());
    }

    #[test]
    fn softmax_sums_to_one_and_keeps_nan() {
        let mut scores: Vec<f32> = (0..37).map(|i| (i as f32 * 0.7).sin() * 9.0).collect();
        softmax(&mut scores);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        scores[36] = f32::NAN;
        softmax(&mut scores);
        assert!(scores.iter().all(|x| x.is_nan()));
    }

    #[test]
    fn log_sum_exp_of_equal_logits_is_the_log_of_their_number() {
        let exact = 3.0 + f64::from(50_257).ln();
        assert!((log_sum_exp(&vec![3.0; 50_257]) - exact).abs() < 1e-6);
        assert!(!log_sum_exp(&[0.0, f32::NAN]).is_finite());
    }
}
