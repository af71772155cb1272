//! Sums and products over fixed groups of lanes: the order of every sum is written here, not left to the compiler.
//!
//! Products are rounded before they are added, not fused: then a sum is the same on every processor, and what is bound by
//! memory loses nothing.

use super::element::Element;

/// How many partial sums run side by side: one AVX-512 register, two of AVX, four of NEON.
pub(in crate::inference) const LANES: usize = 16;

/// Side by side.
pub(in crate::inference) type Lanes = [f32; LANES];

/// sum += a·b
#[inline(always)]
pub(in crate::inference) fn add_product(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for i in 0..LANES {
        sum[i] += a[i] * b[i];
    }
}

/// The sum of all lanes, halving.
#[inline(always)]
pub(in crate::inference) fn sum_lanes(mut lanes: Lanes) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The dot products of `R` rows of weights with the same `x`, all of one length.
#[inline(always)]
pub(in crate::inference) fn dot_rows<T: Element, const R: usize>(rows: [&[T]; R], x: &[f32]) -> [f32; R] {
    let (x_lanes, x_rest) = x.as_chunks::<LANES>();
    let chunked = rows.map(|row| row[..x.len()].as_chunks::<LANES>());
    let mut sums = [[0.0; LANES]; R];
    for (i, x) in x_lanes.iter().enumerate() {
        for (sum, (row, _)) in sums.iter_mut().zip(&chunked) {
            add_product(sum, &T::widen_lanes(&row[i]), x);
        }
    }
    let mut dots = sums.map(sum_lanes);
    for (dot, (_, rest)) in dots.iter_mut().zip(&chunked) {
        for (w, x) in rest.iter().zip(x_rest) {
            *dot += w.widen() * x;
        }
    }
    dots
}

/// Folds numbers into lanes and the lanes into one; `rest` takes the tail one by one.
#[inline(always)]
pub(in crate::inference) fn sum_of(x: &[f32], map: impl Fn(f32) -> f32) -> f32 {
    let (lanes, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for lane in lanes {
        for i in 0..LANES {
            sums[i] += map(lane[i]);
        }
    }
    rest.iter().fold(sum_lanes(sums), |sum, &x| sum + map(x))
}
