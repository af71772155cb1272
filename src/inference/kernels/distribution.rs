//! Operations on the logits of a whole vocabulary that sampling needs: the greatest logit, and the weight of each token.
//!
//! Plain arithmetic in f64 in one order, which the compiler vectorizes for each level: every level and every machine computes the
//! same bits.

use super::lanes::{Kernel, LANES, Lanes, Level};

/// The number of weights in a partial sum.
const BLOCK: usize = 64;

/// The first index of the greatest number, and the number. `None` if a number is not finite, or if there is none.
pub(in crate::inference) fn greatest(x: &[f32]) -> Option<(usize, f32)> {
    let (max, are_finite) = Level::best().run(Greatest(x));
    if !are_finite {
        return None;
    }
    let is_there = |block: &[f32]| block.iter().fold(false, |found, &x| found | (x == max));
    let block = x.chunks(BLOCK).position(is_there)?;
    let within = x[block * BLOCK..].iter().position(|&x| x == max)?;
    Some((block * BLOCK + within, max))
}

struct Greatest<'a>(&'a [f32]);

impl Kernel for Greatest<'_> {
    type Output = (f32, bool);

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> (f32, bool) {
        let (whole, rest) = self.0.as_chunks::<LANES>();
        let (mut max, mut check) = (l.splat(f32::NEG_INFINITY), l.zero());
        for x in whole {
            let x = l.load(x);
            max = l.max(x, max);
            // Zero times a finite number is zero; zero times NaN or infinity is NaN.
            check = l.mul_add(x, l.zero(), check);
        }
        let mut max = l.greatest(max);
        for &x in rest {
            max = if x > max { x } else { max };
        }
        (max, l.sum(check) == 0.0 && rest.iter().all(|x| x.is_finite()))
    }
}

/// How logits become weights: relative to the greatest, `max`, and divided by the temperature.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Scale {
    pub(in crate::inference) max: f32,
    pub(in crate::inference) temperature: f64,
}

/// e^((x - max) / temperature) of every x; no x is above `max`.
pub(in crate::inference) fn weights(x: &[f32], scale: Scale) -> Vec<f64> {
    let Scale { max, temperature } = scale;
    let mut weights = vec![0.0; x.len()];
    Level::best().run(Weights { x, max: max.into(), temperature, to: &mut weights });
    weights
}

struct Weights<'a> {
    x: &'a [f32],
    max: f64,
    temperature: f64,
    to: &'a mut [f64],
}

impl Kernel for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        for (to, &x) in self.to.iter_mut().zip(self.x) {
            *to = exp((f64::from(x) - self.max) / self.temperature);
        }
    }
}

/// e^x for x ≤ 0 with a relative error below 1e-15; 0 below -700.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2: Taylor's polynomial of degree 13 gives e^r, and n is added to the exponent.
#[inline(always)]
fn exp(x: f64) -> f64 {
    const LEAST: f64 = -700.0;
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52: adding it leaves the nearest integer in the low bits
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1; // its lower half is zeros: times n it is exact
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let bounded = if x > LEAST { x } else { LEAST };
    let shifted = bounded * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (bounded - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut power = 1.0;
    let mut k = 13.0;
    while k >= 1.0 {
        power = power * r / k + 1.0;
        k -= 1.0;
    }
    let two_to_the_n = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    if x > LEAST { power * two_to_the_n } else { 0.0 }
}

/// The sums of each [`BLOCK`] of weights.
struct Sums<'a>(&'a [f64]);

impl Kernel for Sums<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Vec<f64> {
        let sum = |block: &[f64]| {
            let (whole, rest) = block.as_chunks::<8>();
            let mut sums = [0.0; 8];
            for eight in whole {
                for i in 0..8 {
                    sums[i] += eight[i];
                }
            }
            sums.iter().sum::<f64>() + rest.iter().sum::<f64>()
        };
        self.0.chunks(BLOCK).map(sum).collect()
    }
}

/// The sum of all weights.
pub(in crate::inference) fn total(weights: &[f64]) -> f64 {
    Level::best().run(Sums(weights)).iter().sum()
}

/// The index of the weight whose share of [0, 1) contains `uniform`; shares lie in order. `None` if all weights are zero.
pub(in crate::inference) fn pick(weights: &[f64], uniform: f64) -> Option<usize> {
    let sums = Level::best().run(Sums(weights));
    let mut left = uniform * sums.iter().sum::<f64>();
    for (block, sum) in sums.iter().enumerate() {
        if left >= *sum {
            left -= sum;
            continue;
        }
        for (i, &weight) in weights[block * BLOCK..].iter().take(BLOCK).enumerate() {
            if left < weight {
                return Some(block * BLOCK + i);
            }
            left -= weight;
        }
        left = left.max(0.0);
    }
    // Rounding can leave a remainder after the last weight.
    weights.iter().rposition(|&weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exp_is_within_a_few_parts_in_ten_to_the_sixteen() {
        for i in 0..700_000 {
            let x = f64::from(i) * -1e-3;
            let (found, exact) = (exp(x), x.exp());
            assert!((found - exact).abs() <= 1e-15 * exact, "{x}: {found} for {exact}");
        }
        assert_eq!((exp(0.0), exp(-700.0), exp(f64::NEG_INFINITY)), (1.0, 0.0, 0.0));
    }

    proptest! {
        #[test]
        fn the_greatest_is_the_first_of_the_greatest(x in prop::collection::vec(-9i8..9, 1..300)) {
            let x: Vec<f32> = x.into_iter().map(f32::from).collect();
            let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let first = x.iter().position(|&x| x == max).unwrap();
            for level in Level::all() {
                prop_assert_eq!(level.run(Greatest(&x)), (max, true), "{:?}", level);
            }
            prop_assert_eq!(greatest(&x), Some((first, max)));
        }

        #[test]
        fn numbers_that_are_not_finite_are_found(mut x in prop::collection::vec(-9f32..9.0, 1..100), at: prop::sample::Index) {
            let at = at.index(x.len());
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                x[at] = bad;
                for level in Level::all() {
                    prop_assert!(!level.run(Greatest(&x)).1, "{level:?} {bad}");
                }
            }
        }

        #[test]
        fn every_level_has_the_same_weights(x in prop::collection::vec(-80f32..0.0, 1..200), temperature in 0.01f64..5.0) {
            let best = weights(&x, Scale { max: 0.0, temperature });
            for level in Level::all() {
                let mut to = vec![0.0; x.len()];
                level.run(Weights { x: &x, max: 0.0, temperature, to: &mut to });
                prop_assert_eq!(&to, &best, "{:?}", level);
                prop_assert_eq!(level.run(Sums(&to)), Level::best().run(Sums(&best)), "{:?}", level);
            }
        }

        #[test]
        fn a_pick_is_where_a_walk_ends(whole in prop::collection::vec(0u32..5, 1..400), uniform in 0f64..1.0) {
            let weights: Vec<f64> = whole.iter().map(|&w| f64::from(w)).collect();
            // Whole numbers add up without rounding.
            let mut left = uniform * total(&weights);
            let walk = weights.iter().position(|&weight| {
                let is_here = left < weight;
                left -= weight;
                is_here
            });
            prop_assert_eq!(pick(&weights, uniform), walk);
        }
    }
}
