//! Sixteen numbers side by side, for any width of the processor's registers.
//!
//! A kernel is written once over [`Lanes`] and compiled for every [`Level`] of instructions; the program detects the level when it runs.
//! A value of an implementing type proves that the processor has its instructions, so kernels are safe code. Every level but
//! [`Portable`] uses fused multiply-add in the same order: their results in f32 are equal to the bit.

#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "instructions of one processor family; each call has a proof that the processor has them"
)]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "instructions of one processor family; each call has a proof that the processor has them"
)]
mod avx512;
#[cfg(target_arch = "aarch64")]
#[expect(
    unsafe_code,
    reason = "instructions of one processor family; each call has a proof that the processor has them"
)]
mod neon;
mod portable;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use portable::Portable;

/// Numbers that every operation handles at once.
pub(in crate::inference) const LANES: usize = 16;

/// Operations on sixteen numbers. `f16` is IEEE binary16 as bits, `bf16` is bfloat16 as bits.
pub(in crate::inference) trait Lanes: Copy + Send + Sync {
    /// Sixteen f32.
    type F: Copy;
    /// Sixteen i32.
    type I: Copy;
    /// Sixty-four bytes of weights.
    type W: Copy;

    /// Rows of a tile in f32: their sums, of two `F` each, and two `F` of weights fit the registers.
    const FLOAT_ROWS: usize;
    /// Rows of a tile in 8 bits, whose sums are held twice: as i32 of one block and as f32 of all blocks before it.
    const INTEGER_ROWS: usize;

    fn splat(self, x: f32) -> Self::F;
    fn load(self, x: &[f32; LANES]) -> Self::F;
    fn store(self, x: Self::F, to: &mut [f32; LANES]);
    fn load_f16(self, x: &[u16; LANES]) -> Self::F;
    /// Rounds to nearest, ties to even; numbers that are too large become infinite.
    fn store_f16(self, x: Self::F, to: &mut [u16; LANES]);

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// The greater of each pair; `b` if either is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The lesser of each pair; `b` if either is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// a·b + c.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// 2^n of an integer n, given as n + 1.5·2^23.
    fn power_of_two(self, x: Self::F) -> Self::F;

    fn splat_int(self, x: i32) -> Self::I;
    fn add_int(self, a: Self::I, b: Self::I) -> Self::I;
    /// x·2^n.
    fn shift_left(self, x: Self::I, n: i32) -> Self::I;
    fn store_int(self, x: Self::I, to: &mut [i32; LANES]);
    fn to_float(self, x: Self::I) -> Self::F;
    /// Rounds to nearest, ties to even. Magnitudes must be below 2^31.
    fn round(self, x: Self::F) -> Self::I;
    /// Sixteen numbers from -128 to 127 as signed bytes, four in a word, the first one lowest.
    fn to_i8(self, x: Self::I) -> [u32; 4];
    /// Sixteen bf16, two in a word, rounded to nearest, ties to even.
    fn to_bf16(self, x: Self::F) -> [u32; 8];

    fn load_u8(self, x: &[u8; 64]) -> Self::W;
    /// Loads sixteen pairs of bf16.
    fn load_bf16_pairs(self, x: &[u32; LANES]) -> Self::W;
    /// The lower halves of all bytes, and the upper halves.
    fn split_u4(self, w: Self::W) -> (Self::W, Self::W);
    /// sum + Σ w·x in each lane over its two bf16 of `w` and the two of `x`.
    fn dot_bf16(self, w: Self::W, x: u32, sum: Self::F) -> Self::F;
    /// sum + Σ w·x in each lane over its four unsigned bytes of `w` and the four signed bytes of `x`.
    fn dot_u8_i8(self, w: Self::W, x: u32, sum: Self::I) -> Self::I;

    #[inline(always)]
    fn zero(self) -> Self::F {
        self.splat(0.0)
    }

    /// Loads and widens sixteen bf16.
    #[inline(always)]
    fn load_bf16(self, x: &[u16; LANES]) -> Self::F {
        let mut wide = [0.0; LANES];
        for i in 0..LANES {
            wide[i] = f32::from_bits(u32::from(x[i]) << 16);
        }
        self.load(&wide)
    }

    /// The bf16 of `a` in the lower and of `b` in the upper halves of words, rounded to nearest, ties to even.
    #[inline(always)]
    fn to_bf16_pairs(self, a: Self::F, b: Self::F) -> [u32; LANES] {
        let (a, b) = (self.to_bf16(a), self.to_bf16(b));
        let mut words = [0; LANES];
        for i in 0..LANES / 2 {
            words[2 * i] = a[i] & 0xffff | b[i] << 16;
            words[2 * i + 1] = a[i] >> 16 | b[i] & 0xffff_0000;
        }
        words
    }

    /// Lane i of row j becomes lane j of row i.
    #[inline(always)]
    fn transpose(self, rows: [Self::F; LANES]) -> [Self::F; LANES] {
        let mut from = [[0.0; LANES]; LANES];
        for i in 0..LANES {
            self.store(rows[i], &mut from[i]);
        }
        let mut out = [self.zero(); LANES];
        for i in 0..LANES {
            let mut column = [0.0; LANES];
            for j in 0..LANES {
                column[j] = from[j][i];
            }
            out[i] = self.load(&column);
        }
        out
    }

    /// The sum of all lanes, by halves.
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(x, &mut lanes);
        fold(lanes, |a, b| a + b)
    }

    /// The greatest lane; NaN may be ignored.
    #[inline(always)]
    fn greatest(self, x: Self::F) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(x, &mut lanes);
        fold(lanes, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn sum_int(self, x: Self::I) -> i32 {
        let mut lanes = [0; LANES];
        self.store_int(x, &mut lanes);
        fold(lanes, |a, b| a + b)
    }
}

#[inline(always)]
fn fold<T: Copy>(mut lanes: [T; LANES], join: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = join(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Work that is compiled for every level. `run` and every function that it calls with lanes must be `#[inline(always)]`: only then
/// does the compiler use the level's instructions.
pub(in crate::inference) trait Kernel {
    type Output;

    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// A level of instructions that this processor has.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) enum Level {
    /// Baseline instructions of the target.
    Portable,
    /// AVX-512 with VNNI and BF16: Zen 4, Sapphire Rapids and later.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16(avx512::Avx512<true>),
    /// AVX-512 with VNNI: Ice Lake and later.
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512<false>),
    /// AVX2 with AVX-VNNI: Alder Lake and later.
    #[cfg(target_arch = "x86_64")]
    Avx2Vnni(avx2::Avx2<true>),
    /// AVX2 with FMA and F16C: Haswell, Zen and later.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2<false>),
    /// NEON, which every 64-bit Arm processor has.
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon),
}

impl Level {
    /// The best level of this processor.
    pub(in crate::inference) fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Self::all().first().copied().unwrap_or(Self::Portable))
    }

    /// Every level that this processor has, the best first.
    pub(in crate::inference) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let special = [
            avx512::Avx512::detect().map(Self::Avx512Bf16),
            avx512::Avx512::detect().map(Self::Avx512),
            avx2::Avx2::detect().map(Self::Avx2Vnni),
            avx2::Avx2::detect().map(Self::Avx2),
        ];
        #[cfg(target_arch = "aarch64")]
        let special = [neon::Neon::detect().map(Self::Neon)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let special: [Option<Self>; 0] = [];
        special.into_iter().flatten().chain([Self::Portable]).collect()
    }

    /// The name that `bench` prints.
    pub(in crate::inference) fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16(_) => "AVX-512 with VNNI and BF16",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX-512 with VNNI",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Vnni(_) => "AVX2 with AVX-VNNI",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "NEON",
        }
    }

    /// Runs `kernel` with this level's instructions.
    #[inline(always)]
    pub(in crate::inference) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Self::Portable => kernel.run(Portable),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16(lanes) => lanes.compile(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(lanes) => lanes.compile(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Vnni(lanes) => lanes.compile(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(lanes) => lanes.compile(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(lanes) => lanes.compile(kernel),
        }
    }
}
