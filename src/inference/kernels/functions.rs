//! exp, GELU and softmax on lanes.

use super::lanes::{Kernel, LANES, Lanes, Level};

/// e^x with a relative error below 2e-7; arguments are clamped to ±87. NaN stays NaN.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2, as in Cephes' `expf`: a polynomial gives e^r, and n is added to the exponent.
#[inline(always)]
pub(in crate::inference) fn exp<L: Lanes>(l: L, x: L::F) -> L::F {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it leaves the nearest integer in the low bits
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const POLYNOMIAL: [f32; 5] = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    // `max` and `min` return their second argument if either is NaN.
    let x = l.max(l.splat(-87.0), l.min(l.splat(87.0), x));
    let shifted = l.mul_add(x, l.splat(std::f32::consts::LOG2_E), l.splat(ROUND));
    let n = l.sub(shifted, l.splat(ROUND));
    let r = l.mul_add(n, l.splat(-LN_2_HIGH), x);
    let r = l.mul_add(n, l.splat(-LN_2_LOW), r);
    let mut p = l.splat(1.987_569_1e-4);
    for coefficient in POLYNOMIAL {
        p = l.mul_add(p, r, l.splat(coefficient));
    }
    let e_r = l.add(l.mul_add(l.mul(p, r), r, r), l.splat(1.0));
    l.mul(e_r, l.power_of_two(shifted))
}

/// GELU in the tanh form of both GPTs: 0.5·x·(1 + tanh u) = x / (1 + e^(-2u)), u = √(2/π)·(x + 0.044715·x³).
#[inline(always)]
pub(in crate::inference) fn gelu<L: Lanes>(l: L, x: L::F) -> L::F {
    const MINUS_TWICE_ROOT: f32 = -1.595_769; // -2·√(2/π)
    let square = l.mul(x, x);
    let inner = l.mul_add(square, l.splat(0.044_715 * MINUS_TWICE_ROOT), l.splat(MINUS_TWICE_ROOT));
    l.div(x, l.add(l.splat(1.0), exp(l, l.mul(x, inner))))
}

/// Replaces the first `visible` scores by e^(x - maximum) and the others by 0, and returns the sum. If a visible score is NaN, the sum
/// is NaN and so are the logits, which the caller refuses.
#[inline(always)]
pub(in crate::inference) fn exponentials<L: Lanes>(l: L, scores: &mut [[f32; LANES]], visible: usize) -> f32 {
    let flat = scores.as_flattened_mut();
    let end = visible.next_multiple_of(LANES).min(flat.len());
    flat[visible..end].fill(f32::NEG_INFINITY);
    flat[end..].fill(0.0);
    let scores = &mut scores[..end / LANES];
    let mut max = l.splat(f32::NEG_INFINITY);
    for score in scores.iter() {
        max = l.max(max, l.load(score));
    }
    let max = l.splat(l.greatest(max));
    for score in scores.iter_mut() {
        let power = exp(l, l.sub(l.load(score), max));
        l.store(power, score);
    }
    // `exp` computed e^-87 for -∞.
    scores.as_flattened_mut()[visible..].fill(0.0);
    let mut sum = l.zero();
    for score in scores.iter() {
        sum = l.add(sum, l.load(score));
    }
    l.sum(sum)
}

/// ln Σ e^x in f64. Not finite if an x is not.
pub(in crate::inference) fn log_sum_exp(x: &[f32]) -> f64 {
    struct LogSumExp<'a>(&'a [f32]);
    impl Kernel for LogSumExp<'_> {
        type Output = f64;

        #[inline(always)]
        fn run<L: Lanes>(self, l: L) -> f64 {
            const PART: usize = 64 * LANES;
            let max = self.0.iter().fold(f32::NEG_INFINITY, |max, &x| if max > x { max } else { x });
            let mut total = 0.0;
            for part in self.0.chunks(PART) {
                let (whole, rest) = part.as_chunks::<LANES>();
                let mut sum = l.zero();
                for x in whole {
                    sum = l.add(sum, exp(l, l.sub(l.load(x), l.splat(max))));
                }
                total += f64::from(l.sum(sum));
                total += rest.iter().map(|x| f64::from(x - max).exp()).sum::<f64>();
            }
            f64::from(max) + total.ln()
        }
    }
    Level::best().run(LogSumExp(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies `exp` or `gelu` to numbers at every level of this processor.
    fn at_every_level(x: &[f32], gelu_too: bool) -> Vec<Vec<f32>> {
        struct Map<'a>(&'a [f32], bool);
        impl Kernel for Map<'_> {
            type Output = Vec<f32>;

            #[inline(always)]
            fn run<L: Lanes>(self, l: L) -> Vec<f32> {
                let mut out = Vec::new();
                for x in self.0.as_chunks::<LANES>().0 {
                    let mut y = [0.0; LANES];
                    let x = l.load(x);
                    l.store(if self.1 { gelu(l, x) } else { exp(l, x) }, &mut y);
                    out.extend(y);
                }
                out
            }
        }
        Level::all().into_iter().map(|level| level.run(Map(x, gelu_too))).collect()
    }

    fn inputs() -> Vec<f32> {
        (-90_000..90_000).map(|i| i as f32 * 1e-3).collect()
    }

    #[test]
    fn exp_is_within_two_parts_in_ten_million() {
        for powers in at_every_level(&inputs(), false) {
            for (x, power) in inputs().into_iter().zip(powers).filter(|(x, _)| x.abs() <= 87.0) {
                let exact = f64::from(x).exp();
                let error = (f64::from(power) - exact).abs() / exact;
                assert!(error < 2e-7, "exp({x}) is off by {error:e}");
            }
        }
        for edge in at_every_level(&[f32::NAN; LANES], false) {
            assert!(edge.iter().all(|x| x.is_nan()));
        }
        for one in at_every_level(&[0.0; LANES], false) {
            assert_eq!(one, [1.0; LANES]);
        }
    }

    #[test]
    fn gelu_is_within_a_millionth_of_the_exact_tanh_form() {
        for gelus in at_every_level(&inputs(), true) {
            for (x, y) in inputs().into_iter().zip(gelus) {
                let wide = f64::from(x);
                let u = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044715 * wide.powi(3));
                let exact = 0.5 * wide * (1.0 + u.tanh());
                let error = (f64::from(y) - exact).abs();
                assert!(error < 1e-6 * wide.abs().max(1.0), "gelu({x}) is off by {error:e}");
            }
        }
        assert!(at_every_level(&[f32::NAN; LANES], true).iter().flatten().all(|x| x.is_nan()));
    }

    #[test]
    fn exponentials_sum_up_and_keep_nan() {
        struct Sum(Vec<[f32; LANES]>, usize);
        impl Kernel for Sum {
            type Output = (Vec<f32>, f32);

            #[inline(always)]
            fn run<L: Lanes>(mut self, l: L) -> (Vec<f32>, f32) {
                let sum = exponentials(l, &mut self.0, self.1);
                (self.0.as_flattened().to_vec(), sum)
            }
        }
        let mut scores = [[0.0; LANES]; 4];
        for (i, score) in scores.as_flattened_mut().iter_mut().enumerate() {
            *score = (i as f32 * 0.7).sin() * 9.0;
        }
        for level in Level::all() {
            for visible in 1..=4 * LANES {
                let (powers, sum) = level.run(Sum(scores.to_vec(), visible));
                assert!((powers.iter().sum::<f32>() / sum - 1.0).abs() < 1e-6);
                assert!(powers[visible..].iter().all(|&p| p == 0.0), "{visible}");
                assert!(powers[..visible].contains(&1.0));
            }
            let mut broken = scores.to_vec();
            broken[1][3] = f32::NAN;
            assert!(level.run(Sum(broken, 40)).1.is_nan());
        }
    }

    #[test]
    fn log_sum_exp_of_equal_logits_is_the_log_of_their_number() {
        let exact = 3.0 + f64::from(50_257).ln();
        assert!((log_sum_exp(&vec![3.0; 50_257]) - exact).abs() < 1e-6);
        assert!(!log_sum_exp(&[0.0, f32::NAN]).is_finite());
    }
}
