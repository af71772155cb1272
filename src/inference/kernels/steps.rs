//! How weights lie in memory: steps of a panel of 32 outputs, and their dot products with rows of activations.
//!
//! A panel's steps follow one another, so that one row of activations reads memory in order; the same steps serve tiles of
//! many rows. Each output is one chain of sums over the inputs in order, whatever the tile: a row's numbers do not depend on
//! the rows beside it, on threads, or on how a text was cut.

use bytemuck::Zeroable;
use half::{bf16, f16};

use super::inputs::TileInputs;
use super::lanes::{LANES, Lanes};

/// Outputs of a panel: two registers.
pub(in crate::inference) const PANEL: usize = 2 * LANES;

/// Sums of `R` rows with one panel.
pub(in crate::inference) type Sums<L, const R: usize> = [[<L as Lanes>::F; 2]; R];

/// Some inputs of one panel of weights.
pub(in crate::inference) trait Step: Zeroable + Copy + Send + Sync {
    /// Inputs of one step; a panel is filled up with zeros to a multiple.
    const DEPTH: usize;
    /// Weights of no greater magnitude never become infinite.
    const HOLDS: f32;

    /// The step of `weights`, [DEPTH, PANEL]. What is too large for the type becomes infinite, in `decode` too.
    fn encode<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]]) -> Self;

    /// Whether everything that it stores is a finite number.
    fn is_finite(&self) -> bool;

    /// The weight of an input below DEPTH and an output below PANEL.
    fn decode(&self, input: usize, output: usize) -> f32;

    /// The sums of all `steps` of a panel with `R` rows.
    fn dot<L: Lanes, const R: usize>(l: L, steps: &[Self], x: TileInputs<'_>) -> Sums<L, R>;
}

/// A number as it is stored, by itself: f32, or binary16 as bits.
pub(in crate::inference) trait Stored: Zeroable + Copy + Send + Sync + 'static {
    /// The greatest that is finite.
    const GREATEST: f32;

    fn load<L: Lanes>(l: L, numbers: &[Self; LANES]) -> L::F;
    fn store<L: Lanes>(l: L, x: L::F, to: &mut [Self; LANES]);
    fn widen(self) -> f32;
    fn is_finite(&self) -> bool;
}

impl Stored for f32 {
    const GREATEST: f32 = Self::MAX;

    #[inline(always)]
    fn load<L: Lanes>(l: L, numbers: &[Self; LANES]) -> L::F {
        l.load(numbers)
    }

    #[inline(always)]
    fn store<L: Lanes>(l: L, x: L::F, to: &mut [Self; LANES]) {
        l.store(x, to);
    }

    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn is_finite(&self) -> bool {
        f32::is_finite(*self)
    }
}

impl Stored for u16 {
    const GREATEST: f32 = f16::MAX.to_f32_const();

    #[inline(always)]
    fn load<L: Lanes>(l: L, numbers: &[Self; LANES]) -> L::F {
        l.load_half(numbers)
    }

    #[inline(always)]
    fn store<L: Lanes>(l: L, x: L::F, to: &mut [Self; LANES]) {
        l.store_half(x, to);
    }

    fn widen(self) -> f32 {
        f16::from_bits(self).to_f32()
    }

    #[inline(always)]
    fn is_finite(&self) -> bool {
        self & 0x7c00 != 0x7c00
    }
}

/// Weights as they are: one input.
#[derive(Debug, Clone, Copy, Zeroable)]
#[repr(C, align(64))]
pub(in crate::inference) struct PlainStep<T>(pub(in crate::inference) [[T; LANES]; 2]);

/// Weights as bfloat16: two inputs, side by side for each output.
#[derive(Debug, Clone, Copy, Zeroable)]
#[repr(C, align(64))]
pub(in crate::inference) struct BrainStep([[u32; LANES]; 2]);

impl<T: Stored> Step for PlainStep<T> {
    const DEPTH: usize = 1;
    const HOLDS: f32 = T::GREATEST;

    #[inline(always)]
    fn is_finite(&self) -> bool {
        self.0.as_flattened().iter().fold(true, |all, x| all & Stored::is_finite(x))
    }

    #[inline(always)]
    fn encode<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]]) -> Self {
        let mut step = Self::zeroed();
        for (half, weights) in step.0.iter_mut().zip(&weights[0]) {
            T::store(l, l.load(weights), half);
        }
        step
    }

    fn decode(&self, _: usize, output: usize) -> f32 {
        self.0.as_flattened()[output].widen()
    }

    #[inline(always)]
    fn dot<L: Lanes, const R: usize>(l: L, steps: &[Self], x: TileInputs<'_>) -> Sums<L, R> {
        let mut sums = [[l.zero(); 2]; R];
        for (step, x) in steps.iter().zip(x.floats.as_chunks::<R>().0) {
            let w = [T::load(l, &step.0[0]), T::load(l, &step.0[1])];
            for r in 0..R {
                let x = l.splat(x[r]);
                sums[r][0] = l.mul_add(w[0], x, sums[r][0]);
                sums[r][1] = l.mul_add(w[1], x, sums[r][1]);
            }
        }
        sums
    }
}

/// Whether no scale is infinite or NaN.
#[inline(always)]
fn scales_are_finite(scales: &[[u16; LANES]; 2]) -> bool {
    scales.as_flattened().iter().fold(true, |all, half| all & Stored::is_finite(half))
}

impl Step for BrainStep {
    const DEPTH: usize = 2;
    const HOLDS: f32 = bf16::MAX.to_f32_const();

    #[inline(always)]
    fn is_finite(&self) -> bool {
        const EXPONENTS: [u32; 2] = [0x7f80, 0x7f80 << 16];
        let is_finite = |pair: u32| EXPONENTS.iter().fold(true, |all, bits| all & (pair & bits != *bits));
        self.0.as_flattened().iter().fold(true, |all, &pair| all & is_finite(pair))
    }

    #[inline(always)]
    fn encode<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]]) -> Self {
        let mut step = Self::zeroed();
        for (half, words) in step.0.iter_mut().enumerate() {
            *words = l.pair_brains(l.load(&weights[0][half]), l.load(&weights[1][half]));
        }
        step
    }

    fn decode(&self, input: usize, output: usize) -> f32 {
        let pair = self.0.as_flattened()[output];
        f32::from_bits(if input == 0 { pair << 16 } else { pair & 0xffff_0000 })
    }

    #[inline(always)]
    fn dot<L: Lanes, const R: usize>(l: L, steps: &[Self], x: TileInputs<'_>) -> Sums<L, R> {
        let mut sums = [[l.zero(); 2]; R];
        for (step, x) in steps.iter().zip(x.words.as_chunks::<R>().0) {
            let w = [l.load_brains(&step.0[0]), l.load_brains(&step.0[1])];
            for r in 0..R {
                sums[r][0] = l.dot_brains(w[0], x[r], sums[r][0]);
                sums[r][1] = l.dot_brains(w[1], x[r], sums[r][1]);
            }
        }
        sums
    }
}

/// Weights of 64 inputs in 8 bits each, with one scale for each output: w = scale·(q - 128).
#[derive(Debug, Clone, Copy, Zeroable)]
#[repr(C, align(64))]
pub(in crate::inference) struct ByteStep {
    scales: [[u16; LANES]; 2],
    quads: [[[u8; 64]; 2]; 16],
}

/// Weights of 32 inputs in 4 bits each, with one scale for each output: w = scale·(q - 8).
///
/// The lower halves of a row of bytes are those of four inputs, the upper halves those of the next four.
#[derive(Debug, Clone, Copy, Zeroable)]
#[repr(C, align(64))]
pub(in crate::inference) struct NibbleStep {
    scales: [[u16; LANES]; 2],
    eights: [[[u8; 64]; 2]; 4],
}

/// What a weight of zero is stored as.
const BYTE_ZERO: i32 = 128;
const NIBBLE_ZERO: i32 = 8;

/// Adds sums of products of one step, times the scales of weights and rows, to the sums of all.
#[inline(always)]
fn add_scaled<L: Lanes, const R: usize>(
    l: L,
    sums: &mut Sums<L, R>,
    dots: &[[L::I; 2]; R],
    (scales, x): (&[[u16; LANES]; 2], &[f32; R]),
) {
    let scales = [l.load_half(&scales[0]), l.load_half(&scales[1])];
    for r in 0..R {
        let x = l.splat(x[r]);
        for half in 0..2 {
            let scale = l.mul(scales[half], x);
            sums[r][half] = l.mul_add(l.to_float(dots[r][half]), scale, sums[r][half]);
        }
    }
}

/// Rounds weights of one output each to whole multiples of the scales, as the scales are stored, plus `zero`.
#[inline(always)]
fn quantize<L: Lanes>(
    l: L,
    weights: &[f32; LANES],
    inverse: L::F,
    (least, max, zero): (f32, f32, i32),
) -> L::I {
    let scaled = l.mul(l.load(weights), inverse);
    let bounded = l.max(l.splat(least), l.min(l.splat(max), scaled));
    l.add_int(l.round(bounded), l.splat_int(zero))
}

/// The lowest byte of four numbers in each lane.
#[inline(always)]
fn join<L: Lanes>(l: L, [a, b, c, d]: [L::I; 4]) -> L::I {
    let (low, high) = (l.add_int(a, l.shift_left(b, 8)), l.add_int(c, l.shift_left(d, 8)));
    l.add_int(low, l.shift_left(high, 16))
}

#[inline(always)]
fn store_bytes<L: Lanes>(l: L, x: L::I, to: &mut [u8; 64]) {
    let mut words = [0; LANES];
    l.store_int(x, &mut words);
    for (to, word) in to.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
}

/// Least and greatest weight of each output.
#[inline(always)]
fn extremes<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]], half: usize) -> ([f32; LANES], [f32; LANES]) {
    let (mut least, mut max) = (l.zero(), l.zero());
    for row in weights {
        let row = l.load(&row[half]);
        least = l.min(least, row);
        max = l.max(max, row);
    }
    let mut out = ([0.0; LANES], [0.0; LANES]);
    l.store(least, &mut out.0);
    l.store(max, &mut out.1);
    out
}

/// The scales as they are stored, and what to multiply weights with.
#[inline(always)]
fn scales<L: Lanes>(
    l: L,
    (least, max): ([f32; LANES], [f32; LANES]),
    to: &mut [u16; LANES],
    scale: impl Fn(f32, f32) -> f32,
) -> L::F {
    let mut exact = [0.0; LANES];
    for i in 0..LANES {
        exact[i] = scale(least[i], max[i]);
    }
    l.store_half(l.load(&exact), to);
    let mut inverse = [0.0; LANES];
    l.store(l.load_half(to), &mut inverse);
    // A scale of zero stands for weights that are all zero, or too small for any.
    l.load(&inverse.map(|scale| if scale == 0.0 { 0.0 } else { 1.0 / scale }))
}

impl Step for ByteStep {
    const DEPTH: usize = 64;
    /// A scale is no greater than the weights.
    const HOLDS: f32 = f16::MAX.to_f32_const();

    #[inline(always)]
    fn is_finite(&self) -> bool {
        scales_are_finite(&self.scales)
    }

    #[inline(always)]
    fn encode<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]]) -> Self {
        let mut step = Self::zeroed();
        for half in 0..2 {
            let extremes = extremes(l, weights, half);
            let inverse = scales(l, extremes, &mut step.scales[half], |least, max| max.max(-least) / 127.0);
            for (quad, weights) in step.quads.iter_mut().zip(weights.as_chunks::<4>().0) {
                let range = (-127.0, 127.0, BYTE_ZERO);
                let mut q = [l.splat_int(0); 4];
                for i in 0..4 {
                    q[i] = quantize(l, &weights[i][half], inverse, range);
                }
                store_bytes(l, join(l, q), &mut quad[half]);
            }
        }
        step
    }

    fn decode(&self, input: usize, output: usize) -> f32 {
        let q = self.quads[input / 4].as_flattened()[4 * output + input % 4];
        f16::from_bits(self.scales.as_flattened()[output]).to_f32() * (i32::from(q) - BYTE_ZERO) as f32
    }

    #[inline(always)]
    fn dot<L: Lanes, const R: usize>(l: L, steps: &[Self], x: TileInputs<'_>) -> Sums<L, R> {
        let mut sums = [[l.zero(); 2]; R];
        let words = x.words.as_chunks::<R>().0.as_chunks::<16>().0;
        let (scales, totals) = (x.scales.as_chunks::<R>().0, x.totals.as_chunks::<R>().0);
        for (((step, words), scales), totals) in steps.iter().zip(words).zip(scales).zip(totals) {
            let mut dots = [[l.splat_int(0); 2]; R];
            for r in 0..R {
                dots[r] = [l.splat_int(-BYTE_ZERO * totals[r]); 2];
            }
            for (quad, x) in step.quads.iter().zip(words) {
                let w = [l.load_bytes(&quad[0]), l.load_bytes(&quad[1])];
                for r in 0..R {
                    dots[r][0] = l.dot_bytes(w[0], x[r], dots[r][0]);
                    dots[r][1] = l.dot_bytes(w[1], x[r], dots[r][1]);
                }
            }
            add_scaled(l, &mut sums, &dots, (&step.scales, scales));
        }
        sums
    }
}

impl Step for NibbleStep {
    const DEPTH: usize = 32;
    /// A scale is no greater than the weights.
    const HOLDS: f32 = f16::MAX.to_f32_const();

    #[inline(always)]
    fn is_finite(&self) -> bool {
        scales_are_finite(&self.scales)
    }

    #[inline(always)]
    fn encode<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]]) -> Self {
        let mut step = Self::zeroed();
        for half in 0..2 {
            let extremes = extremes(l, weights, half);
            // Sixteen values from -8 to 7 times the scale: the weight largest in size, of whichever sign, becomes -8.
            let scale = |least: f32, max: f32| if max > -least { max / -8.0 } else { least / -8.0 };
            let inverse = scales(l, extremes, &mut step.scales[half], scale);
            for (eight, weights) in step.eights.iter_mut().zip(weights.as_chunks::<8>().0) {
                let range = (-8.0, 7.0, NIBBLE_ZERO);
                let mut q = [[l.splat_int(0); 4]; 2];
                for i in 0..8 {
                    q[i / 4][i % 4] = quantize(l, &weights[i][half], inverse, range);
                }
                let both = l.add_int(join(l, q[0]), l.shift_left(join(l, q[1]), 4));
                store_bytes(l, both, &mut eight[half]);
            }
        }
        step
    }

    fn decode(&self, input: usize, output: usize) -> f32 {
        let byte = self.eights[input / 8].as_flattened()[4 * output + input % 4];
        let q = if input % 8 < 4 { byte & 15 } else { byte >> 4 };
        f16::from_bits(self.scales.as_flattened()[output]).to_f32() * (i32::from(q) - NIBBLE_ZERO) as f32
    }

    #[inline(always)]
    fn dot<L: Lanes, const R: usize>(l: L, steps: &[Self], x: TileInputs<'_>) -> Sums<L, R> {
        let mut sums = [[l.zero(); 2]; R];
        let words = x.words.as_chunks::<R>().0.as_chunks::<2>().0.as_chunks::<4>().0;
        let (scales, totals) = (x.scales.as_chunks::<R>().0, x.totals.as_chunks::<R>().0);
        for (((step, words), scales), totals) in steps.iter().zip(words).zip(scales).zip(totals) {
            let mut dots = [[l.splat_int(0); 2]; R];
            for r in 0..R {
                dots[r] = [l.splat_int(-NIBBLE_ZERO * totals[r]); 2];
            }
            for (eight, x) in step.eights.iter().zip(words) {
                for half in 0..2 {
                    let (low, high) = l.nibbles(l.load_bytes(&eight[half]));
                    for r in 0..R {
                        let dot = l.dot_bytes(low, x[0][r], dots[r][half]);
                        dots[r][half] = l.dot_bytes(high, x[1][r], dot);
                    }
                }
            }
            add_scaled(l, &mut sums, &dots, (&step.scales, scales));
        }
        sums
    }
}
