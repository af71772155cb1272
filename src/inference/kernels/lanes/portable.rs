//! Lanes as plain arrays, for processors without a level of their own.

use half::{bf16, f16};

use super::{LANES, Lanes};

/// The compiler's baseline instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

#[inline(always)]
fn each<T: Copy, U: Copy + Default>(a: [T; LANES], b: [T; LANES], f: impl Fn(T, T) -> U) -> [U; LANES] {
    let mut out = [U::default(); LANES];
    for i in 0..LANES {
        out[i] = f(a[i], b[i]);
    }
    out
}

impl Lanes for Portable {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type W = [u8; 64];

    const FLOAT_ROWS: usize = 2;
    const INTEGER_ROWS: usize = 2;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        *x
    }

    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        *to = x;
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; LANES]) -> Self::F {
        x.map(|bits| f16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    fn store_f16(self, x: Self::F, to: &mut [u16; LANES]) {
        *to = x.map(|x| f16::from_f32(x).to_bits());
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| if a < b { a } else { b })
    }

    /// Rounds twice: without the instruction, a fused multiply-add takes a hundred times as long.
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn power_of_two(self, x: Self::F) -> Self::F {
        x.map(|x| f32::from_bits((x.to_bits() << 23).wrapping_add(127 << 23)))
    }

    #[inline(always)]
    fn splat_int(self, x: i32) -> Self::I {
        [x; LANES]
    }

    #[inline(always)]
    fn add_int(self, a: Self::I, b: Self::I) -> Self::I {
        each(a, b, i32::wrapping_add)
    }

    #[inline(always)]
    fn shift_left(self, x: Self::I, n: i32) -> Self::I {
        x.map(|x| x << n)
    }

    #[inline(always)]
    fn store_int(self, x: Self::I, to: &mut [i32; LANES]) {
        *to = x;
    }

    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        x.map(|x| x as f32)
    }

    #[inline(always)]
    fn round(self, x: Self::F) -> Self::I {
        x.map(|x| x.round_ties_even() as i32)
    }

    #[inline(always)]
    fn to_i8(self, x: Self::I) -> [u32; 4] {
        std::array::from_fn(|i| u32::from_le_bytes(std::array::from_fn(|j| x[4 * i + j] as u8)))
    }

    #[inline(always)]
    fn to_bf16(self, x: Self::F) -> [u32; 8] {
        let bits = |i: usize| u32::from(bf16::from_f32(x[i]).to_bits());
        std::array::from_fn(|i| bits(2 * i) | bits(2 * i + 1) << 16)
    }

    #[inline(always)]
    fn load_u8(self, x: &[u8; 64]) -> Self::W {
        *x
    }

    #[inline(always)]
    fn load_bf16_pairs(self, x: &[u32; LANES]) -> Self::W {
        std::array::from_fn(|i| x[i / 4].to_le_bytes()[i % 4])
    }

    #[inline(always)]
    fn split_u4(self, w: Self::W) -> (Self::W, Self::W) {
        (w.map(|w| w & 15), w.map(|w| w >> 4))
    }

    #[inline(always)]
    fn dot_bf16(self, w: Self::W, x: u32, sum: Self::F) -> Self::F {
        let upper = |x: u32| f32::from_bits(x & 0xffff_0000);
        let mut out = sum;
        for (out, w) in out.iter_mut().zip(w.as_chunks::<4>().0) {
            let w = u32::from_le_bytes(*w);
            *out += upper(w << 16) * upper(x << 16);
            *out += upper(w) * upper(x);
        }
        out
    }

    #[inline(always)]
    fn dot_u8_i8(self, w: Self::W, x: u32, sum: Self::I) -> Self::I {
        let x = x.to_le_bytes().map(|x| i32::from(x as i8));
        let mut out = sum;
        for (out, w) in out.iter_mut().zip(w.as_chunks::<4>().0) {
            let dot: i32 = w.iter().zip(x).map(|(&w, x)| i32::from(w) * x).sum();
            *out = out.wrapping_add(dot);
        }
        out
    }
}
