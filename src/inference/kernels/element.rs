//! The three types that weights are stored in, and how each becomes an f32.

use candle_core::WithDType;
use half::{bf16, f16};

use super::lanes::{LANES, Lanes};
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

    /// The same for [`LANES`] at once.
    #[inline(always)]
    fn widen_lanes(from: &[Self; LANES]) -> Lanes {
        let mut lanes = [0.0; LANES];
        for (lane, &x) in lanes.iter_mut().zip(from) {
            *lane = x.widen();
        }
        lanes
    }
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
    /// subtracted again. In integers and one subtraction, because the conversion instruction does not vectorise from here.
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
