//! Lanes as two registers of AVX2 with FMA and F16C, and with AVX-VNNI if the processor has it.

use std::arch::x86_64::*;

use super::{Kernel, LANES, Lanes};

/// Proof that the processor has AVX2, FMA and F16C, and AVX-VNNI if `VNNI`.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Avx2<const VNNI: bool>(());

impl<const VNNI: bool> Avx2<VNNI> {
    pub(super) fn detect() -> Option<Self> {
        let basic = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        (basic && (!VNNI || is_x86_feature_detected!("avxvnni"))).then_some(Self(()))
    }

    /// Runs `kernel` compiled with these instructions.
    pub(super) fn compile<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
        fn with_vnni<K: Kernel, L: Lanes>(kernel: K, lanes: L) -> K::Output {
            kernel.run(lanes)
        }
        #[target_feature(enable = "avx2,fma,f16c")]
        fn without<K: Kernel, L: Lanes>(kernel: K, lanes: L) -> K::Output {
            kernel.run(lanes)
        }
        // SAFETY: `self` proves that the processor has the instructions: only `detect` makes it.
        unsafe { if VNNI { with_vnni(kernel, self) } else { without(kernel, self) } }
    }
}

/// Calls instructions from a method of the proof.
macro_rules! proven {
    ($instructions:expr) => {
        // SAFETY: `self` proves that the processor has the instructions. Pointers that are read or written here point into
        // arrays, each half of which has exactly the size of a register; the instructions need no alignment.
        unsafe { $instructions }
    };
}

/// Applies an operation to both registers.
macro_rules! both {
    ($operation:ident, $($operand:expr),+) => {
        proven!([$operation($($operand[0]),+), $operation($($operand[1]),+)])
    };
}

impl<const VNNI: bool> Avx2<VNNI> {
    /// Rounds to bf16, to nearest, ties to even, in the upper halves of words; the lower halves are arbitrary.
    #[inline(always)]
    fn round_to_bf16(self, x: [__m256; 2]) -> [__m256i; 2] {
        // Round half to even: add 0x7fff and the lowest bit that stays. NaN may change its bits; the caller refuses it later.
        let round = |x| {
            proven!({
                let bits = _mm256_castps_si256(x);
                let lowest = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
                let half = _mm256_add_epi32(lowest, _mm256_set1_epi32(0x7fff));
                _mm256_add_epi32(bits, half)
            })
        };
        [round(x[0]), round(x[1])]
    }
}

/// Of sixteen registers, eight hold the sums of two rows, and the others hold weights and intermediate results.
impl<const VNNI: bool> Lanes for Avx2<VNNI> {
    type F = [__m256; 2];
    type I = [__m256i; 2];
    type W = [__m256i; 2];

    const FLOAT_ROWS: usize = 2;
    const INTEGER_ROWS: usize = 1;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [proven!(_mm256_set1_ps(x)); 2]
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        proven!([_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))])
    }

    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        proven!({
            _mm256_storeu_ps(to.as_mut_ptr(), x[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), x[1]);
        });
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; LANES]) -> Self::F {
        proven!({
            let at = x.as_ptr().cast::<__m128i>();
            [_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at.add(1)))]
        })
    }

    #[inline(always)]
    fn store_f16(self, x: Self::F, to: &mut [u16; LANES]) {
        proven!({
            let at = to.as_mut_ptr().cast::<__m128i>();
            _mm_storeu_si128(at, _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[0]));
            _mm_storeu_si128(at.add(1), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[1]));
        });
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_add_ps, a, b)
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_sub_ps, a, b)
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_mul_ps, a, b)
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_div_ps, a, b)
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_max_ps, a, b)
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_min_ps, a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        both!(_mm256_fmadd_ps, a, b, c)
    }

    #[inline(always)]
    fn power_of_two(self, x: Self::F) -> Self::F {
        x.map(|x| {
            proven!({
                let shifted = _mm256_slli_epi32::<23>(_mm256_castps_si256(x));
                _mm256_castsi256_ps(_mm256_add_epi32(shifted, _mm256_set1_epi32(127 << 23)))
            })
        })
    }

    #[inline(always)]
    fn splat_int(self, x: i32) -> Self::I {
        [proven!(_mm256_set1_epi32(x)); 2]
    }

    #[inline(always)]
    fn add_int(self, a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_add_epi32, a, b)
    }

    #[inline(always)]
    fn shift_left(self, x: Self::I, n: i32) -> Self::I {
        x.map(|x| proven!(_mm256_sll_epi32(x, _mm_cvtsi32_si128(n))))
    }

    #[inline(always)]
    fn store_int(self, x: Self::I, to: &mut [i32; LANES]) {
        proven!({
            let at = to.as_mut_ptr().cast::<__m256i>();
            _mm256_storeu_si256(at, x[0]);
            _mm256_storeu_si256(at.add(1), x[1]);
        });
    }

    #[inline(always)]
    fn to_float(self, x: Self::I) -> Self::F {
        both!(_mm256_cvtepi32_ps, x)
    }

    /// Uses the rounding mode, which Rust never changes: to nearest, ties to even.
    #[inline(always)]
    fn round(self, x: Self::F) -> Self::I {
        both!(_mm256_cvtps_epi32, x)
    }

    #[inline(always)]
    fn to_i8(self, x: Self::I) -> [u32; 4] {
        let mut words = [0; 4];
        proven!({
            // Packing works within 128 bits, in the order 0-3, 8-11, 4-7, 12-15; the permutation restores the order.
            let halves = _mm256_packs_epi32(x[0], x[1]);
            let ordered = _mm256_permute4x64_epi64::<0b11_01_10_00>(halves);
            let (low, high) = (_mm256_castsi256_si128(ordered), _mm256_extracti128_si256::<1>(ordered));
            _mm_storeu_si128(words.as_mut_ptr().cast(), _mm_packs_epi16(low, high));
        });
        words
    }

    #[inline(always)]
    fn to_bf16(self, x: Self::F) -> [u32; 8] {
        let mut words = [0; 8];
        proven!({
            let rounded = self.round_to_bf16(x).map(|x| _mm256_srli_epi32::<16>(x));
            let halves = _mm256_packus_epi32(rounded[0], rounded[1]);
            _mm256_storeu_si256(words.as_mut_ptr().cast(), _mm256_permute4x64_epi64::<0b11_01_10_00>(halves));
        });
        words
    }

    #[inline(always)]
    fn load_bf16(self, x: &[u16; LANES]) -> Self::F {
        proven!({
            let at = x.as_ptr().cast::<__m128i>();
            let wide = |x| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(x)));
            [wide(_mm_loadu_si128(at)), wide(_mm_loadu_si128(at.add(1)))]
        })
    }

    #[inline(always)]
    fn to_bf16_pairs(self, a: Self::F, b: Self::F) -> [u32; LANES] {
        let mut words = [0; LANES];
        let (a, b) = (self.round_to_bf16(a), self.round_to_bf16(b));
        for half in 0..2 {
            proven!({
                let low = _mm256_srli_epi32::<16>(a[half]);
                let high = _mm256_and_si256(b[half], _mm256_set1_epi32(0xffff_0000_u32 as i32));
                _mm256_storeu_si256(
                    words.as_mut_ptr().cast::<__m256i>().add(half),
                    _mm256_or_si256(low, high),
                );
            });
        }
        words
    }

    #[inline(always)]
    fn load_u8(self, x: &[u8; 64]) -> Self::W {
        proven!({
            let at = x.as_ptr().cast::<__m256i>();
            [_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))]
        })
    }

    #[inline(always)]
    fn load_bf16_pairs(self, x: &[u32; LANES]) -> Self::W {
        proven!({
            let at = x.as_ptr().cast::<__m256i>();
            [_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))]
        })
    }

    #[inline(always)]
    fn split_u4(self, w: Self::W) -> (Self::W, Self::W) {
        proven!({
            let low = _mm256_set1_epi8(15);
            (w.map(|w| _mm256_and_si256(w, low)), w.map(|w| _mm256_and_si256(_mm256_srli_epi16::<4>(w), low)))
        })
    }

    #[inline(always)]
    fn dot_bf16(self, w: Self::W, x: u32, sum: Self::F) -> Self::F {
        proven!({
            let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            let low = |v| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(v));
            let high = |v| _mm256_castsi256_ps(_mm256_and_si256(v, upper));
            let x = _mm256_set1_epi32(x as i32);
            let dot = |w, sum| _mm256_fmadd_ps(high(w), high(x), _mm256_fmadd_ps(low(w), low(x), sum));
            [dot(w[0], sum[0]), dot(w[1], sum[1])]
        })
    }

    /// Without AVX-VNNI, bytes are widened to 16 bits, whose products and sums fit into 32; `maddubs` would saturate.
    #[inline(always)]
    fn dot_u8_i8(self, w: Self::W, x: u32, sum: Self::I) -> Self::I {
        proven!({
            let x = _mm256_set1_epi32(x as i32);
            let dot = |w, sum| {
                if VNNI {
                    return _mm256_dpbusd_avx_epi32(sum, w, x);
                }
                let (x_odd, x_even) =
                    (_mm256_srai_epi16::<8>(x), _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(x)));
                let (w_odd, w_even) =
                    (_mm256_srli_epi16::<8>(w), _mm256_and_si256(w, _mm256_set1_epi16(0x00ff)));
                let even = _mm256_madd_epi16(w_even, x_even);
                _mm256_add_epi32(sum, _mm256_add_epi32(even, _mm256_madd_epi16(w_odd, x_odd)))
            };
            [dot(w[0], sum[0]), dot(w[1], sum[1])]
        })
    }
}
