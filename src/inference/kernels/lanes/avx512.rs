//! Lanes as one register of AVX-512 with VNNI, and with BF16 if the processor has it.

use std::arch::x86_64::*;

use super::{Kernel, LANES, Lanes};

/// Proof that the processor has AVX-512 F, BW, DQ, VL and VNNI, FMA and F16C, and AVX-512 BF16 if `BF16`.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Avx512<const BF16: bool>(());

impl<const BF16: bool> Avx512<BF16> {
    pub(super) fn detect() -> Option<Self> {
        let basic = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        (basic && (!BF16 || is_x86_feature_detected!("avx512bf16"))).then_some(Self(()))
    }

    /// Runs `kernel` compiled with these instructions.
    pub(super) fn compile<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")]
        fn with_bf16<K: Kernel, L: Lanes>(kernel: K, lanes: L) -> K::Output {
            kernel.run(lanes)
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn without<K: Kernel, L: Lanes>(kernel: K, lanes: L) -> K::Output {
            kernel.run(lanes)
        }
        // SAFETY: `self` proves that the processor has the instructions: only `detect` makes it.
        unsafe { if BF16 { with_bf16(kernel, self) } else { without(kernel, self) } }
    }
}

/// Calls instructions from a method of the proof.
macro_rules! proven {
    ($instructions:expr) => {
        // SAFETY: `self` proves that the processor has the instructions. Pointers that are read or written here come from
        // references to arrays of exactly the size of a register; the instructions need no alignment.
        unsafe { $instructions }
    };
}

impl<const BF16: bool> Avx512<BF16> {
    /// Rounds to sixteen bf16, to nearest, ties to even.
    #[inline(always)]
    fn narrow(self, x: __m512) -> __m256i {
        proven!({
            if BF16 {
                std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x))
            } else {
                // Round half to even: add 0x7fff and the lowest bit that stays. NaN may change its bits; the caller refuses it later.
                let bits = _mm512_castps_si512(x);
                let lowest = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
                let half = _mm512_add_epi32(lowest, _mm512_set1_epi32(0x7fff));
                _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(_mm512_add_epi32(bits, half)))
            }
        })
    }
}

impl<const BF16: bool> Lanes for Avx512<BF16> {
    type F = __m512;
    type I = __m512i;
    type W = __m512i;

    const FLOAT_ROWS: usize = 12;
    const INTEGER_ROWS: usize = 6;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        proven!(_mm512_set1_ps(x))
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> __m512 {
        proven!(_mm512_loadu_ps(x.as_ptr()))
    }

    #[inline(always)]
    fn store(self, x: __m512, to: &mut [f32; LANES]) {
        proven!(_mm512_storeu_ps(to.as_mut_ptr(), x));
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; LANES]) -> __m512 {
        proven!(_mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast())))
    }

    #[inline(always)]
    fn store_f16(self, x: __m512, to: &mut [u16; LANES]) {
        proven!(_mm256_storeu_si256(to.as_mut_ptr().cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)));
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        proven!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn power_of_two(self, x: __m512) -> __m512 {
        proven!({
            let shifted = _mm512_slli_epi32::<23>(_mm512_castps_si512(x));
            _mm512_castsi512_ps(_mm512_add_epi32(shifted, _mm512_set1_epi32(127 << 23)))
        })
    }

    #[inline(always)]
    fn splat_int(self, x: i32) -> __m512i {
        proven!(_mm512_set1_epi32(x))
    }

    #[inline(always)]
    fn add_int(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_add_epi32(a, b))
    }

    #[inline(always)]
    fn shift_left(self, x: __m512i, n: i32) -> __m512i {
        proven!(_mm512_sll_epi32(x, _mm_cvtsi32_si128(n)))
    }

    #[inline(always)]
    fn store_int(self, x: __m512i, to: &mut [i32; LANES]) {
        proven!(_mm512_storeu_si512(to.as_mut_ptr().cast(), x));
    }

    #[inline(always)]
    fn to_float(self, x: __m512i) -> __m512 {
        proven!(_mm512_cvtepi32_ps(x))
    }

    #[inline(always)]
    fn round(self, x: __m512) -> __m512i {
        proven!(_mm512_cvt_roundps_epi32::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x))
    }

    #[inline(always)]
    fn to_i8(self, x: __m512i) -> [u32; 4] {
        let mut words = [0; 4];
        proven!(_mm_storeu_si128(words.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(x)));
        words
    }

    #[inline(always)]
    fn to_bf16(self, x: __m512) -> [u32; 8] {
        let mut words = [0; 8];
        proven!(_mm256_storeu_si256(words.as_mut_ptr().cast(), self.narrow(x)));
        words
    }

    #[inline(always)]
    fn load_bf16(self, x: &[u16; LANES]) -> __m512 {
        proven!({
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        })
    }

    #[inline(always)]
    fn to_bf16_pairs(self, a: __m512, b: __m512) -> [u32; LANES] {
        let mut words = [0; LANES];
        proven!({
            let low = _mm512_cvtepu16_epi32(self.narrow(a));
            let high = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(self.narrow(b)));
            _mm512_storeu_si512(words.as_mut_ptr().cast(), _mm512_or_si512(low, high));
        });
        words
    }

    /// Transposes squares of two and of four numbers, then exchanges groups of four by two and by four.
    #[inline(always)]
    fn transpose(self, rows: [__m512; LANES]) -> [__m512; LANES] {
        proven!({
            let zero = _mm512_setzero_ps();
            let (mut a, mut b) = ([zero; LANES], [zero; LANES]);
            for i in 0..8 {
                a[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
                a[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
            }
            let of = |x| _mm512_castps_pd(x);
            for i in 0..4 {
                for half in 0..2 {
                    let (x, y) = (of(a[4 * i + half]), of(a[4 * i + 2 + half]));
                    b[4 * i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
                    b[4 * i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
                }
            }
            // b[4·i + k] holds, in its quarter q, column 4·q + k of the rows from 4·i on.
            for k in 0..4 {
                let low = |x, y| _mm512_shuffle_f32x4::<0b10_00_10_00>(x, y);
                let high = |x, y| _mm512_shuffle_f32x4::<0b11_01_11_01>(x, y);
                let even = [low(b[k], b[4 + k]), low(b[8 + k], b[12 + k])];
                let odd = [high(b[k], b[4 + k]), high(b[8 + k], b[12 + k])];
                a[k] = low(even[0], even[1]);
                a[4 + k] = low(odd[0], odd[1]);
                a[8 + k] = high(even[0], even[1]);
                a[12 + k] = high(odd[0], odd[1]);
            }
            a
        })
    }

    #[inline(always)]
    fn load_u8(self, x: &[u8; 64]) -> __m512i {
        proven!(_mm512_loadu_si512(x.as_ptr().cast()))
    }

    #[inline(always)]
    fn load_bf16_pairs(self, x: &[u32; LANES]) -> __m512i {
        proven!(_mm512_loadu_si512(x.as_ptr().cast()))
    }

    #[inline(always)]
    fn split_u4(self, w: __m512i) -> (__m512i, __m512i) {
        proven!({
            let low = _mm512_set1_epi8(15);
            (_mm512_and_si512(w, low), _mm512_and_si512(_mm512_srli_epi16::<4>(w), low))
        })
    }

    #[inline(always)]
    fn dot_bf16(self, w: __m512i, x: u32, sum: __m512) -> __m512 {
        proven!({
            let x = _mm512_set1_epi32(x as i32);
            if BF16 {
                let of = |v| std::mem::transmute::<__m512i, __m512bh>(v);
                _mm512_dpbf16_ps(sum, of(w), of(x))
            } else {
                let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
                let low = |v| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(v));
                let high = |v| _mm512_castsi512_ps(_mm512_and_si512(v, upper));
                _mm512_fmadd_ps(high(w), high(x), _mm512_fmadd_ps(low(w), low(x), sum))
            }
        })
    }

    #[inline(always)]
    fn dot_u8_i8(self, w: __m512i, x: u32, sum: __m512i) -> __m512i {
        proven!(_mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(x as i32)))
    }
}
