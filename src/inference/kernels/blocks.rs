//! How weights lie in memory: blocks of a panel of 32 outputs, and their dot products with rows of activations.
//!
//! The blocks of a panel are contiguous, so one row of activations reads memory in order; tiles of many rows use the same blocks. Each
//! output is one chain of sums over the inputs in order, for every size of tile: the results of a row do not depend on the other rows,
//! on threads, or on how a sequence was divided into calls.

use bytemuck::Zeroable;
use half::{bf16, f16};

use super::inputs::{Form, TileInputs};
use super::lanes::{LANES, Lanes};

/// Outputs of a panel: two registers.
pub(in crate::inference) const PANEL: usize = 2 * LANES;

/// Sums of `R` rows with one panel.
pub(in crate::inference) type Sums<L, const R: usize> = [[<L as Lanes>::F; 2]; R];

/// Some inputs of one panel of weights.
pub(in crate::inference) trait WeightBlock: Zeroable + Copy + Send + Sync {
    /// Inputs of one block; a panel is padded with zeros to a multiple.
    const DEPTH: usize;
    /// The format of activations that it multiplies.
    const FORM: Form;
    /// Weights of at most this magnitude never become infinite.
    const MAX_SAFE: f32;

    /// Encodes `weights`, [DEPTH, PANEL]. A weight that is too large for the format becomes infinite.
    fn encode<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]]) -> Self;

    /// Whether everything that it stores is finite.
    fn is_finite(&self) -> bool;

    /// The weight of an input below DEPTH and an output below PANEL.
    fn decode(&self, input: usize, output: usize) -> f32;

    /// The dot products of a panel, given as all its blocks, with `R` rows.
    fn dot<L: Lanes, const R: usize>(l: L, blocks: &[Self], x: TileInputs<'_>) -> Sums<L, R>;
}

/// A number that is stored without a scale: f32, or IEEE binary16 as bits.
pub(in crate::inference) trait Stored: Zeroable + Copy + Send + Sync + 'static {
    /// The greatest finite number.
    const MAX_FINITE: f32;

    fn load<L: Lanes>(l: L, numbers: &[Self; LANES]) -> L::F;
    fn store<L: Lanes>(l: L, x: L::F, to: &mut [Self; LANES]);
    fn widen(self) -> f32;
    fn is_finite(&self) -> bool;
}

impl Stored for f32 {
    const MAX_FINITE: f32 = Self::MAX;

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
    const MAX_FINITE: f32 = f16::MAX.to_f32_const();

    #[inline(always)]
    fn load<L: Lanes>(l: L, numbers: &[Self; LANES]) -> L::F {
        l.load_f16(numbers)
    }

    #[inline(always)]
    fn store<L: Lanes>(l: L, x: L::F, to: &mut [Self; LANES]) {
        l.store_f16(x, to);
    }

    fn widen(self) -> f32 {
        f16::from_bits(self).to_f32()
    }

    #[inline(always)]
    fn is_finite(&self) -> bool {
        self & 0x7c00 != 0x7c00
    }
}

/// Weights of one input as stored numbers.
#[derive(Debug, Clone, Copy, Zeroable)]
#[repr(C, align(64))]
pub(in crate::inference) struct PlainBlock<T>(pub(in crate::inference) [[T; LANES]; 2]);

/// Weights of two inputs in bfloat16, side by side for each output.
#[derive(Debug, Clone, Copy, Zeroable)]
#[repr(C, align(64))]
pub(in crate::inference) struct Bf16Block([[u32; LANES]; 2]);

impl<T: Stored> WeightBlock for PlainBlock<T> {
    const DEPTH: usize = 1;
    const FORM: Form = Form::F32;
    const MAX_SAFE: f32 = T::MAX_FINITE;

    #[inline(always)]
    fn is_finite(&self) -> bool {
        self.0.as_flattened().iter().fold(true, |all, x| all & Stored::is_finite(x))
    }

    #[inline(always)]
    fn encode<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]]) -> Self {
        let mut block = Self::zeroed();
        for (half, weights) in block.0.iter_mut().zip(&weights[0]) {
            T::store(l, l.load(weights), half);
        }
        block
    }

    fn decode(&self, _: usize, output: usize) -> f32 {
        self.0.as_flattened()[output].widen()
    }

    #[inline(always)]
    fn dot<L: Lanes, const R: usize>(l: L, blocks: &[Self], x: TileInputs<'_>) -> Sums<L, R> {
        let mut sums = [[l.zero(); 2]; R];
        for (block, x) in blocks.iter().zip(x.floats.as_chunks::<R>().0) {
            let w = [T::load(l, &block.0[0]), T::load(l, &block.0[1])];
            for r in 0..R {
                let x = l.splat(x[r]);
                sums[r][0] = l.mul_add(w[0], x, sums[r][0]);
                sums[r][1] = l.mul_add(w[1], x, sums[r][1]);
            }
        }
        sums
    }
}

/// Whether every scale is finite.
#[inline(always)]
fn scales_are_finite(scales: &[[u16; LANES]; 2]) -> bool {
    scales.as_flattened().iter().fold(true, |all, half| all & Stored::is_finite(half))
}

impl WeightBlock for Bf16Block {
    const DEPTH: usize = 2;
    const FORM: Form = Form::Bf16;
    const MAX_SAFE: f32 = bf16::MAX.to_f32_const();

    #[inline(always)]
    fn is_finite(&self) -> bool {
        const EXPONENTS: [u32; 2] = [0x7f80, 0x7f80 << 16];
        let is_finite = |pair: u32| EXPONENTS.iter().fold(true, |all, bits| all & (pair & bits != *bits));
        self.0.as_flattened().iter().fold(true, |all, &pair| all & is_finite(pair))
    }

    #[inline(always)]
    fn encode<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]]) -> Self {
        let mut block = Self::zeroed();
        for (half, words) in block.0.iter_mut().enumerate() {
            *words = l.to_bf16_pairs(l.load(&weights[0][half]), l.load(&weights[1][half]));
        }
        block
    }

    fn decode(&self, input: usize, output: usize) -> f32 {
        let pair = self.0.as_flattened()[output];
        f32::from_bits(if input == 0 { pair << 16 } else { pair & 0xffff_0000 })
    }

    #[inline(always)]
    fn dot<L: Lanes, const R: usize>(l: L, blocks: &[Self], x: TileInputs<'_>) -> Sums<L, R> {
        let mut sums = [[l.zero(); 2]; R];
        for (block, x) in blocks.iter().zip(x.words.as_chunks::<R>().0) {
            let w = [l.load_bf16_pairs(&block.0[0]), l.load_bf16_pairs(&block.0[1])];
            for r in 0..R {
                sums[r][0] = l.dot_bf16(w[0], x[r], sums[r][0]);
                sums[r][1] = l.dot_bf16(w[1], x[r], sums[r][1]);
            }
        }
        sums
    }
}

/// Weights of 64 inputs in 8 bits each, with one binary16 scale for each output: w = scale·(q - 128).
#[derive(Debug, Clone, Copy, Zeroable)]
#[repr(C, align(64))]
pub(in crate::inference) struct Q8Block {
    scales: [[u16; LANES]; 2],
    quads: [[[u8; 64]; 2]; 16],
}

/// Weights of 32 inputs in 4 bits each, with one binary16 scale for each output: w = scale·(q - 8).
///
/// The lower halves of a row of bytes hold four inputs, the upper halves the next four.
#[derive(Debug, Clone, Copy, Zeroable)]
#[repr(C, align(64))]
pub(in crate::inference) struct Q4Block {
    scales: [[u16; LANES]; 2],
    eights: [[[u8; 64]; 2]; 4],
}

/// The stored value of a weight of zero.
const Q8_ZERO: i32 = 128;
const Q4_ZERO: i32 = 8;

/// The scales of one block: of each output's weights, and of each row's activations.
struct Scales<'a, const R: usize> {
    weights: &'a [[u16; LANES]; 2],
    rows: &'a [f32; R],
}

/// Adds the integer dot products of one block, multiplied by both scales, to the sums.
#[inline(always)]
fn add_scaled<L: Lanes, const R: usize>(
    l: L,
    sums: &mut Sums<L, R>,
    dots: &[[L::I; 2]; R],
    scales: Scales<'_, R>,
) {
    let weights = [l.load_f16(&scales.weights[0]), l.load_f16(&scales.weights[1])];
    for r in 0..R {
        let x = l.splat(scales.rows[r]);
        for half in 0..2 {
            let scale = l.mul(weights[half], x);
            sums[r][half] = l.mul_add(l.to_float(dots[r][half]), scale, sums[r][half]);
        }
    }
}

/// The range of quantized weights, and the stored value of zero.
#[derive(Clone, Copy)]
struct Range {
    min: f32,
    max: f32,
    zero: i32,
}

/// Rounds weights to multiples of the stored scales, given by their inverse, and adds `range.zero`.
#[inline(always)]
fn quantize<L: Lanes>(l: L, weights: &[f32; LANES], inverse: L::F, range: Range) -> L::I {
    let scaled = l.mul(l.load(weights), inverse);
    let bounded = l.max(l.splat(range.min), l.min(l.splat(range.max), scaled));
    l.add_int(l.round(bounded), l.splat_int(range.zero))
}

/// Joins the lowest bytes of four numbers in each lane.
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

/// The least and the greatest weight of each output, at most and at least 0.
struct Extremes {
    min: [f32; LANES],
    max: [f32; LANES],
}

#[inline(always)]
fn extremes<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]], half: usize) -> Extremes {
    let (mut min, mut max) = (l.zero(), l.zero());
    for row in weights {
        let row = l.load(&row[half]);
        min = l.min(min, row);
        max = l.max(max, row);
    }
    let mut out = Extremes { min: [0.0; LANES], max: [0.0; LANES] };
    l.store(min, &mut out.min);
    l.store(max, &mut out.max);
    out
}

/// Stores the scales of 16 outputs and returns the inverse of the stored scales.
#[inline(always)]
fn store_scales<L: Lanes>(
    l: L,
    extremes: Extremes,
    to: &mut [u16; LANES],
    scale: impl Fn(f32, f32) -> f32,
) -> L::F {
    let mut exact = [0.0; LANES];
    for (exact, (&min, &max)) in exact.iter_mut().zip(extremes.min.iter().zip(&extremes.max)) {
        *exact = scale(min, max);
    }
    l.store_f16(l.load(&exact), to);
    let mut inverse = [0.0; LANES];
    l.store(l.load_f16(to), &mut inverse);
    // The scale is zero if all weights are zero or too small for binary16.
    l.load(&inverse.map(|scale| if scale == 0.0 { 0.0 } else { 1.0 / scale }))
}

impl WeightBlock for Q8Block {
    const DEPTH: usize = 64;
    const FORM: Form = Form::Q8 { depth: Self::DEPTH };
    /// A scale is never greater than the weights.
    const MAX_SAFE: f32 = f16::MAX.to_f32_const();

    #[inline(always)]
    fn is_finite(&self) -> bool {
        scales_are_finite(&self.scales)
    }

    #[inline(always)]
    fn encode<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]]) -> Self {
        let mut block = Self::zeroed();
        for half in 0..2 {
            let extremes = extremes(l, weights, half);
            let inverse =
                store_scales(l, extremes, &mut block.scales[half], |min, max| max.max(-min) / 127.0);
            for (quad, weights) in block.quads.iter_mut().zip(weights.as_chunks::<4>().0) {
                let range = Range { min: -127.0, max: 127.0, zero: Q8_ZERO };
                let mut q = [l.splat_int(0); 4];
                for i in 0..4 {
                    q[i] = quantize(l, &weights[i][half], inverse, range);
                }
                store_bytes(l, join(l, q), &mut quad[half]);
            }
        }
        block
    }

    fn decode(&self, input: usize, output: usize) -> f32 {
        let q = self.quads[input / 4].as_flattened()[4 * output + input % 4];
        f16::from_bits(self.scales.as_flattened()[output]).to_f32() * (i32::from(q) - Q8_ZERO) as f32
    }

    #[inline(always)]
    fn dot<L: Lanes, const R: usize>(l: L, blocks: &[Self], x: TileInputs<'_>) -> Sums<L, R> {
        let mut sums = [[l.zero(); 2]; R];
        let words = x.words.as_chunks::<R>().0.as_chunks::<16>().0;
        let (scales, totals) = (x.scales.as_chunks::<R>().0, x.totals.as_chunks::<R>().0);
        for (((block, words), scales), totals) in blocks.iter().zip(words).zip(scales).zip(totals) {
            let mut dots = [[l.splat_int(0); 2]; R];
            for r in 0..R {
                dots[r] = [l.splat_int(-Q8_ZERO * totals[r]); 2];
            }
            for (quad, x) in block.quads.iter().zip(words) {
                let w = [l.load_u8(&quad[0]), l.load_u8(&quad[1])];
                for r in 0..R {
                    dots[r][0] = l.dot_u8_i8(w[0], x[r], dots[r][0]);
                    dots[r][1] = l.dot_u8_i8(w[1], x[r], dots[r][1]);
                }
            }
            add_scaled(l, &mut sums, &dots, Scales { weights: &block.scales, rows: scales });
        }
        sums
    }
}

impl WeightBlock for Q4Block {
    const DEPTH: usize = 32;
    const FORM: Form = Form::Q8 { depth: Self::DEPTH };
    /// A scale is never greater than the weights.
    const MAX_SAFE: f32 = f16::MAX.to_f32_const();

    #[inline(always)]
    fn is_finite(&self) -> bool {
        scales_are_finite(&self.scales)
    }

    #[inline(always)]
    fn encode<L: Lanes>(l: L, weights: &[[[f32; LANES]; 2]]) -> Self {
        let mut block = Self::zeroed();
        for half in 0..2 {
            let extremes = extremes(l, weights, half);
            // Sixteen values from -8 to 7 times the scale; the weight of greatest magnitude, of either sign, becomes -8.
            let scale = |min: f32, max: f32| if max > -min { max / -8.0 } else { min / -8.0 };
            let inverse = store_scales(l, extremes, &mut block.scales[half], scale);
            for (eight, weights) in block.eights.iter_mut().zip(weights.as_chunks::<8>().0) {
                let range = Range { min: -8.0, max: 7.0, zero: Q4_ZERO };
                let mut q = [[l.splat_int(0); 4]; 2];
                for i in 0..8 {
                    q[i / 4][i % 4] = quantize(l, &weights[i][half], inverse, range);
                }
                let both = l.add_int(join(l, q[0]), l.shift_left(join(l, q[1]), 4));
                store_bytes(l, both, &mut eight[half]);
            }
        }
        block
    }

    fn decode(&self, input: usize, output: usize) -> f32 {
        let byte = self.eights[input / 8].as_flattened()[4 * output + input % 4];
        let q = if input % 8 < 4 { byte & 15 } else { byte >> 4 };
        f16::from_bits(self.scales.as_flattened()[output]).to_f32() * (i32::from(q) - Q4_ZERO) as f32
    }

    #[inline(always)]
    fn dot<L: Lanes, const R: usize>(l: L, blocks: &[Self], x: TileInputs<'_>) -> Sums<L, R> {
        let mut sums = [[l.zero(); 2]; R];
        let words = x.words.as_chunks::<R>().0.as_chunks::<2>().0.as_chunks::<4>().0;
        let (scales, totals) = (x.scales.as_chunks::<R>().0, x.totals.as_chunks::<R>().0);
        for (((block, words), scales), totals) in blocks.iter().zip(words).zip(scales).zip(totals) {
            let mut dots = [[l.splat_int(0); 2]; R];
            for r in 0..R {
                dots[r] = [l.splat_int(-Q4_ZERO * totals[r]); 2];
            }
            for (eight, x) in block.eights.iter().zip(words) {
                for half in 0..2 {
                    let (low, high) = l.split_u4(l.load_u8(&eight[half]));
                    for r in 0..R {
                        let dot = l.dot_u8_i8(low, x[0][r], dots[r][half]);
                        dots[r][half] = l.dot_u8_i8(high, x[1][r], dot);
                    }
                }
            }
            add_scaled(l, &mut sums, &dots, Scales { weights: &block.scales, rows: scales });
        }
        sums
    }
}
