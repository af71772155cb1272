//! The three types that weights are stored in, and how each becomes an f32.

use candle_core::WithDType;
use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};
use pulp::{Simd, bytemuck};

use crate::checkpoint::tensor_file::ElementType;

/// A number as weights store it.
pub(in crate::inference) trait Element: WithDType {
    /// The same, as a value.
    const TYPE: ElementType;

    /// Reads a little-endian number of type `stored`, rounding to nearest where this type is narrower.
    fn decode(stored: ElementType, bytes: &[u8], into: &mut [Self]);

    /// Whether it is neither infinite nor NaN.
    fn is_finite(self) -> bool;

    /// The exact value of a finite number.
    fn widen(self) -> f32;

    /// How many fill a word of 32 bits.
    const PER_WORD: usize;

    /// The same memory as whole words; empty where it is not aligned to words, which the allocator's blocks and even
    /// widths always are.
    fn words(numbers: &[Self]) -> &[u32];

    /// The exact values of the numbers in each word: the lower or only one of each, then the upper one of each.
    fn unpack<S: Simd>(simd: S, words: S::u32s) -> (S::f32s, S::f32s);
}

/// The same memory as words, where it is aligned to them; an odd number at the end is left out.
#[inline(always)]
fn halves_as_words(halves: &[u16]) -> &[u32] {
    bytemuck::try_cast_slice(&halves[..halves.len() / 2 * 2]).unwrap_or_default()
}

/// Decodes numbers of `N` bytes each.
fn decode_each<const N: usize, T>(bytes: &[u8], into: &mut [T], convert: impl Fn([u8; N]) -> T) {
    for (number, bytes) in into.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *number = convert(*bytes);
    }
}

impl Element for f32 {
    const TYPE: ElementType = ElementType::F32;

    fn decode(stored: ElementType, bytes: &[u8], into: &mut [Self]) {
        match stored {
            ElementType::F32 => decode_each(bytes, into, f32::from_le_bytes),
            ElementType::F16 => decode_each(bytes, into, |b| f16::from_le_bytes(b).to_f32()),
            ElementType::BF16 => decode_each(bytes, into, |b| bf16::from_le_bytes(b).to_f32()),
        }
    }

    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    const PER_WORD: usize = 1;

    #[inline(always)]
    fn words(numbers: &[Self]) -> &[u32] {
        bytemuck::cast_slice(numbers)
    }

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, words: S::u32s) -> (S::f32s, S::f32s) {
        let numbers = simd.transmute_f32s_u32s(words);
        (numbers, numbers)
    }
}

impl Element for f16 {
    const TYPE: ElementType = ElementType::F16;

    fn decode(stored: ElementType, bytes: &[u8], into: &mut [Self]) {
        match stored {
            ElementType::F32 => {
                decode_each(bytes, into, |b| f16::from_f32(f32::from_le_bytes(b)));
            }
            ElementType::F16 => decode_each(bytes, into, f16::from_le_bytes),
            ElementType::BF16 => {
                decode_each(bytes, into, |b| f16::from_f32(bf16::from_le_bytes(b).to_f32()));
            }
        }
    }

    fn is_finite(self) -> bool {
        f16::is_finite(self)
    }

    /// Moves exponent and fraction to their places in an f32 and corrects the bias; a subnormal has no implied 1, which is
    /// subtracted again.
    #[inline(always)]
    fn widen(self) -> f32 {
        const BIAS: u32 = (127 - 15) << 23;
        const SMALLEST_NORMAL: u32 = 1 << 23;
        let bits = u32::from(self.to_bits());
        let magnitude = (bits & 0x7fff) << 13;
        let normal = f32::from_bits(magnitude + BIAS);
        let subnormal =
            f32::from_bits(magnitude + BIAS + SMALLEST_NORMAL) - f32::from_bits(BIAS + SMALLEST_NORMAL);
        let value = if magnitude < SMALLEST_NORMAL { subnormal } else { normal };
        f32::from_bits(value.to_bits() | (bits & 0x8000) << 16)
    }

    const PER_WORD: usize = 2;

    #[inline(always)]
    fn words(numbers: &[Self]) -> &[u32] {
        halves_as_words(numbers.reinterpret_cast())
    }

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, words: S::u32s) -> (S::f32s, S::f32s) {
        let upper = simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(16));
        (widen_upper(simd, upper), widen_upper(simd, words))
    }
}

/// The upper half of each word as [`f16::widen`] widens it.
#[inline(always)]
fn widen_upper<S: Simd>(simd: S, words: S::u32s) -> S::f32s {
    const BIAS: u32 = (127 - 15) << 23;
    const SMALLEST_NORMAL: u32 = 1 << 23;
    let splat = |bits: u32| simd.splat_u32s(bits);
    let magnitude = simd.and_u32s(words, splat(0x7fff_0000));
    let magnitude = simd.wrapping_dyn_shr_u32s(magnitude, splat(3));
    let normal = simd.add_u32s(magnitude, splat(BIAS));
    let one_more = simd.add_u32s(magnitude, splat(BIAS + SMALLEST_NORMAL));
    let implied = simd.splat_f32s(f32::from_bits(BIAS + SMALLEST_NORMAL));
    let subnormal = simd.sub_f32s(simd.transmute_f32s_u32s(one_more), implied);
    let is_subnormal = simd.less_than_u32s(magnitude, splat(SMALLEST_NORMAL));
    let value = simd.select_u32s(is_subnormal, simd.transmute_u32s_f32s(subnormal), normal);
    let sign = simd.and_u32s(words, splat(0x8000_0000));
    simd.transmute_f32s_u32s(simd.or_u32s(value, sign))
}

impl Element for bf16 {
    const TYPE: ElementType = ElementType::BF16;

    fn decode(stored: ElementType, bytes: &[u8], into: &mut [Self]) {
        match stored {
            ElementType::F32 => {
                decode_each(bytes, into, |b| bf16::from_f32(f32::from_le_bytes(b)));
            }
            ElementType::F16 => {
                decode_each(bytes, into, |b| bf16::from_f32(f16::from_le_bytes(b).to_f32()));
            }
            ElementType::BF16 => decode_each(bytes, into, bf16::from_le_bytes),
        }
    }

    fn is_finite(self) -> bool {
        bf16::is_finite(self)
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    const PER_WORD: usize = 2;

    #[inline(always)]
    fn words(numbers: &[Self]) -> &[u32] {
        halves_as_words(numbers.reinterpret_cast())
    }

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, words: S::u32s) -> (S::f32s, S::f32s) {
        let lower = simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(16));
        let upper = simd.and_u32s(words, simd.splat_u32s(0xffff_0000));
        (simd.transmute_f32s_u32s(lower), simd.transmute_f32s_u32s(upper))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_half_widens_exactly() {
        for bits in 0..=u16::MAX {
            let half = f16::from_bits(bits);
            if half.is_finite() {
                assert_eq!(half.widen().to_bits(), half.to_f32().to_bits(), "{bits:#06x}");
            }
            let brain = bf16::from_bits(bits);
            if brain.is_finite() {
                assert_eq!(brain.widen().to_bits(), brain.to_f32().to_bits(), "{bits:#06x}");
            }
        }
    }
}
