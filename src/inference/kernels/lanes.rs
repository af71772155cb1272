//! Sums and products over the lanes of a vector register.
//!
//! Two ways: [`vectorized`] has the compiler vectorise simple loops; dot products are written in `pulp`'s vectors, because
//! there the compiler would keep the sums in memory. The order of a sum depends on the width of the processor's vectors and
//! on nothing else.

use pulp::{Arch, Simd, WithSimd};

use super::element::Element;

/// Runs `work`, which must be `#[inline(always)]` like all that it calls, compiled for the widest instructions that this
/// processor has.
#[inline(always)]
pub(in crate::inference) fn vectorized<R, W: FnMut() -> R>(work: W) -> R {
    Arch::new().dispatch(Work(work))
}

/// What [`vectorized`] hands to pulp. A bare closure would be called through its `FnOnce` shim, which the compiler does
/// not inline, and would then be compiled for the least of all processors.
struct Work<W>(W);

impl<R, W: FnMut() -> R> WithSimd for Work<W> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}

/// Partial sums of a loop that the compiler vectorises.
const LANES: usize = 16;

/// The sum of all lanes, halving.
#[inline(always)]
fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// An input of dot products, laid out as [`Element::unpack`] yields weights.
pub(in crate::inference) struct Input<'a> {
    whole: &'a [f32],
    even: Vec<f32>,
    odd: Vec<f32>,
}

impl<'a> Input<'a> {
    /// `x` for weights of type `T`.
    pub(in crate::inference) fn new<T: Element>(x: &'a [f32]) -> Self {
        let every_second = |from: usize| {
            let numbers = x.get(from..).unwrap_or_default().iter();
            if T::PER_WORD == 2 { numbers.step_by(2).copied().collect() } else { Vec::new() }
        };
        Self { whole: x, even: every_second(0), odd: every_second(1) }
    }
}

/// The dot products of `R` rows of weights with the same `x`, all of one length.
#[inline(always)]
pub(in crate::inference) fn dot_rows<S: Simd, T: Element, const R: usize>(
    simd: S,
    rows: [&[T]; R],
    x: &Input<'_>,
) -> [f32; R] {
    let mut words: [&[S::u32s]; R] = [&[]; R];
    for r in 0..R {
        words[r] = S::as_simd_u32s(T::words(rows[r])).0;
    }
    let (x_even, x_odd) = if T::PER_WORD == 2 {
        (S::as_simd_f32s(&x.even).0, S::as_simd_f32s(&x.odd).0)
    } else {
        (S::as_simd_f32s(x.whole).0, [].as_slice())
    };
    // One length for all, so that the loop needs no checks.
    let vectors = words.iter().fold(x_even.len(), |least, words| least.min(words.len()));
    let x_even = &x_even[..vectors];
    words = words.map(|words| &words[..vectors]);
    let mut sums = [simd.splat_f32s(0.0); R];
    if T::PER_WORD == 2 {
        let x_odd = &x_odd[..vectors];
        for i in 0..vectors {
            for r in 0..R {
                let (even, odd) = T::unpack(simd, words[r][i]);
                sums[r] = simd.mul_add_e_f32s(even, x_even[i], sums[r]);
                sums[r] = simd.mul_add_e_f32s(odd, x_odd[i], sums[r]);
            }
        }
    } else {
        for i in 0..vectors {
            for r in 0..R {
                sums[r] = simd.mul_add_e_f32s(T::unpack(simd, words[r][i]).0, x_even[i], sums[r]);
            }
        }
    }
    let done = vectors * S::F32_LANES * T::PER_WORD;
    let mut dots = [0.0; R];
    for r in 0..R {
        dots[r] = simd.reduce_sum_f32s(sums[r]);
        for (w, x) in rows[r][done..].iter().zip(&x.whole[done..]) {
            dots[r] += w.widen() * x;
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
