//! Lanes as four registers of NEON.

use std::arch::aarch64::*;

use super::{Kernel, LANES, Lanes};

/// Proof that the processor has NEON, which every 64-bit Arm processor with an operating system has.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Neon(());

impl Neon {
    pub(super) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    /// Runs `kernel` with these instructions, which are part of the baseline.
    pub(super) fn compile<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
}

/// Calls instructions from a method of the proof.
macro_rules! proven {
    ($instructions:expr) => {
        // SAFETY: `self` proves that the processor has the instructions. Pointers that are read or written here point into
        // arrays, each quarter of which has exactly the size of a register; the instructions need no alignment.
        unsafe { $instructions }
    };
}

/// Computes each of the four registers.
#[inline(always)]
fn quarters<T>(of: impl Fn(usize) -> T) -> [T; 4] {
    [of(0), of(1), of(2), of(3)]
}

impl Lanes for Neon {
    type F = [float32x4_t; 4];
    type I = [int32x4_t; 4];
    type W = [uint8x16_t; 4];

    const FLOAT_ROWS: usize = 2;
    const INTEGER_ROWS: usize = 1;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [proven!(vdupq_n_f32(x)); 4]
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        quarters(|i| proven!(vld1q_f32(x.as_ptr().add(4 * i))))
    }

    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        for i in 0..4 {
            proven!(vst1q_f32(to.as_mut_ptr().add(4 * i), x[i]));
        }
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; LANES]) -> Self::F {
        quarters(|i| proven!(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x.as_ptr().add(4 * i))))))
    }

    /// Uses the rounding mode, which Rust never changes: to nearest, ties to even.
    #[inline(always)]
    fn store_f16(self, x: Self::F, to: &mut [u16; LANES]) {
        for i in 0..4 {
            proven!(vst1_u16(to.as_mut_ptr().add(4 * i), vreinterpret_u16_f16(vcvt_f16_f32(x[i]))));
        }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        quarters(|i| proven!(vaddq_f32(a[i], b[i])))
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        quarters(|i| proven!(vsubq_f32(a[i], b[i])))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        quarters(|i| proven!(vmulq_f32(a[i], b[i])))
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        quarters(|i| proven!(vdivq_f32(a[i], b[i])))
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        quarters(|i| proven!(vbslq_f32(vcgtq_f32(a[i], b[i]), a[i], b[i])))
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        quarters(|i| proven!(vbslq_f32(vcltq_f32(a[i], b[i]), a[i], b[i])))
    }

    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        quarters(|i| proven!(vfmaq_f32(c[i], a[i], b[i])))
    }

    #[inline(always)]
    fn power_of_two(self, x: Self::F) -> Self::F {
        quarters(|i| {
            proven!({
                let shifted = vshlq_n_s32::<23>(vreinterpretq_s32_f32(x[i]));
                vreinterpretq_f32_s32(vaddq_s32(shifted, vdupq_n_s32(127 << 23)))
            })
        })
    }

    #[inline(always)]
    fn splat_int(self, x: i32) -> Self::I {
        [proven!(vdupq_n_s32(x)); 4]
    }

    #[inline(always)]
    fn add_int(self, a: Self::I, b: Self::I) -> Self::I {
        quarters(|i| proven!(vaddq_s32(a[i], b[i])))
    }

    #[inline(always)]
    fn shift_left(self, x: Self::I, n: i32) -> Self::I {
        quarters(|i| proven!(vshlq_s32(x[i], vdupq_n_s32(n))))
    }

    #[inline(always)]
    fn store_int(self, x: Self::I, to: &mut [i32; LANES]) {
        for i in 0..4 {
            proven!(vst1q_s32(to.as_mut_ptr().add(4 * i), x[i]));
        }
    }

    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        quarters(|i| proven!(vcvtq_f32_s32(x[i])))
    }

    #[inline(always)]
    fn round(self, x: Self::F) -> Self::I {
        quarters(|i| proven!(vcvtnq_s32_f32(x[i])))
    }

    #[inline(always)]
    fn to_i8(self, x: Self::I) -> [u32; 4] {
        let mut words = [0; 4];
        proven!({
            let low = vcombine_s16(vmovn_s32(x[0]), vmovn_s32(x[1]));
            let high = vcombine_s16(vmovn_s32(x[2]), vmovn_s32(x[3]));
            let bytes = vcombine_s8(vmovn_s16(low), vmovn_s16(high));
            vst1q_u32(words.as_mut_ptr(), vreinterpretq_u32_s8(bytes));
        });
        words
    }

    #[inline(always)]
    fn to_bf16(self, x: Self::F) -> [u32; 8] {
        let mut words = [0; 8];
        proven!({
            // Round half to even: add 0x7fff and the lowest bit that stays. NaN may change its bits; the caller refuses it later.
            let narrow = |x: float32x4_t| {
                let bits = vreinterpretq_u32_f32(x);
                let lowest = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
                vshrn_n_u32::<16>(vaddq_u32(bits, vaddq_u32(lowest, vdupq_n_u32(0x7fff))))
            };
            let low = vcombine_u16(narrow(x[0]), narrow(x[1]));
            let high = vcombine_u16(narrow(x[2]), narrow(x[3]));
            vst1q_u32(words.as_mut_ptr(), vreinterpretq_u32_u16(low));
            vst1q_u32(words.as_mut_ptr().add(4), vreinterpretq_u32_u16(high));
        });
        words
    }

    #[inline(always)]
    fn load_u8(self, x: &[u8; 64]) -> Self::W {
        quarters(|i| proven!(vld1q_u8(x.as_ptr().add(16 * i))))
    }

    #[inline(always)]
    fn load_bf16_pairs(self, x: &[u32; LANES]) -> Self::W {
        quarters(|i| proven!(vreinterpretq_u8_u32(vld1q_u32(x.as_ptr().add(4 * i)))))
    }

    #[inline(always)]
    fn split_u4(self, w: Self::W) -> (Self::W, Self::W) {
        (quarters(|i| proven!(vandq_u8(w[i], vdupq_n_u8(15)))), quarters(|i| proven!(vshrq_n_u8::<4>(w[i]))))
    }

    #[inline(always)]
    fn dot_bf16(self, w: Self::W, x: u32, sum: Self::F) -> Self::F {
        quarters(|i| {
            proven!({
                let w = vreinterpretq_u32_u8(w[i]);
                let low = vreinterpretq_f32_u32(vshlq_n_u32::<16>(w));
                let high = vreinterpretq_f32_u32(vandq_u32(w, vdupq_n_u32(0xffff_0000)));
                let x_low = vdupq_n_f32(f32::from_bits(x << 16));
                let x_high = vdupq_n_f32(f32::from_bits(x & 0xffff_0000));
                vfmaq_f32(vfmaq_f32(sum[i], low, x_low), high, x_high)
            })
        })
    }

    /// Widens bytes to 16 bits, whose products fit into 32, and adds four neighbours in two steps.
    #[inline(always)]
    fn dot_u8_i8(self, w: Self::W, x: u32, sum: Self::I) -> Self::I {
        quarters(|i| {
            proven!({
                let x = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(x)));
                let low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(w[i])));
                let high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(w[i])));
                let a = vmull_s16(vget_low_s16(low), vget_low_s16(x));
                let b = vmull_high_s16(low, x);
                let c = vmull_s16(vget_low_s16(high), vget_low_s16(x));
                let d = vmull_high_s16(high, x);
                vaddq_s32(sum[i], vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)))
            })
        })
    }
}
