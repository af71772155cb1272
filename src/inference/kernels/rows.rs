//! What happens to each row of activations by itself: layer norm, bias, GELU.

use rayon::prelude::*;

use super::functions::gelu;
use super::lanes::{sum_of, vectorized};

/// Numbers below which a second thread costs more than it helps.
const WORTH_A_THREAD: usize = 16 << 10;

/// Runs `work` on every row of `x`, [N, width], on several threads where that pays.
fn for_each_row(x: &mut [f32], width: usize, work: impl Fn(&mut [f32]) + Sync) {
    let rows = (WORTH_A_THREAD / width.max(1)).max(1);
    let some = |part: &mut [f32]| {
        vectorized(
            #[inline(always)]
            || {
                for row in part.chunks_exact_mut(width) {
                    work(row);
                }
            },
        );
    };
    if x.len() <= WORTH_A_THREAD {
        some(x);
    } else {
        x.par_chunks_mut(rows * width).for_each(some);
    }
}

/// Layer norm of every row of `x`, [N, C], in place: biased variance, then `weight` and `bias`, both [C].
pub(in crate::inference) fn layer_norm(x: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let width = weight.len();
    let per_number = 1.0 / width as f32;
    for_each_row(
        x,
        width,
        #[inline(always)]
        |row| {
            let mean = sum_of(row, |x| x) * per_number;
            let variance = sum_of(row, |x| (x - mean) * (x - mean)) * per_number;
            let scale = 1.0 / (variance + epsilon).sqrt();
            for ((x, w), b) in row.iter_mut().zip(weight).zip(bias) {
                *x = (*x - mean) * scale * w + b;
            }
        },
    );
}

/// Adds `bias`, [width], to every row of `x`, [N, width].
pub(in crate::inference) fn add_bias(x: &mut [f32], bias: &[f32]) {
    for_each_row(
        x,
        bias.len(),
        #[inline(always)]
        |row| {
            for (x, b) in row.iter_mut().zip(bias) {
                *x += b;
            }
        },
    );
}

/// Adds `bias`, [width], to every row of `x`, [N, width], and takes GELU of the sum.
pub(in crate::inference) fn add_bias_and_gelu(x: &mut [f32], bias: &[f32]) {
    for_each_row(
        x,
        bias.len(),
        #[inline(always)]
        |row| {
            for (x, b) in row.iter_mut().zip(bias) {
                *x = gelu(*x + b);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_norm_centres_and_scales_each_row() {
        let mut x: Vec<f32> = (0..3 * 40).map(|i| ((i * i) % 17) as f32).collect();
        let before = x.clone();
        layer_norm(&mut x, &[2.0; 40], &[0.5; 40], 1e-5);
        for (row, raw) in x.chunks(40).zip(before.chunks(40)) {
            let mean = raw.iter().map(|&x| f64::from(x)).sum::<f64>() / 40.0;
            let variance = raw.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 40.0;
            for (&y, &x) in row.iter().zip(raw) {
                let exact = (f64::from(x) - mean) / (variance + 1e-5).sqrt() * 2.0 + 0.5;
                assert!((f64::from(y) - exact).abs() < 1e-5);
            }
        }
    }
}
