//! Packs a checkpoint's numbers into the blocks of panels: widens them, transposes matrices stored by output, and rounds.

use half::{bf16, f16};

use super::blocks::{PANEL, WeightBlock};
use super::lanes::{Kernel, LANES, Lanes};

/// Inputs that are packed at a time: a multiple of the depth of every block.
pub(super) const STRIP_INPUTS: usize = 64;

/// Some inputs of a panel in f32, [STRIP_INPUTS, PANEL].
type StagedInputs = [[[f32; LANES]; 2]; STRIP_INPUTS];

const ZEROS: StagedInputs = [[[0.0; LANES]; 2]; STRIP_INPUTS];

/// Blocks of at most this many inputs are packed directly from registers, which is 1.4 times as fast as through a buffer.
const MAX_DIRECT_DEPTH: usize = 2;

/// Numbers as a checkpoint stores them.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) enum Numbers<'a> {
    F32(&'a [f32]),
    /// Binary16 as bits.
    F16(&'a [u16]),
    /// bfloat16 as bits.
    BF16(&'a [u16]),
}

impl Numbers<'_> {
    /// Widens the numbers into `to`.
    pub(in crate::inference) fn widen(self, to: &mut [f32]) {
        fn each<T: Copy>(from: &[T], to: &mut [f32], widen: impl Fn(T) -> f32) {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = widen(from));
        }
        match self {
            Self::F32(numbers) => each(numbers, to, |x| x),
            Self::F16(bits) => each(bits, to, |bits| f16::from_bits(bits).to_f32()),
            Self::BF16(bits) => each(bits, to, |bits| bf16::from_bits(bits).to_f32()),
        }
    }

    /// The numbers from index `first` on.
    pub(super) fn skip(self, first: usize) -> Self {
        match self {
            Self::F32(numbers) => Self::F32(&numbers[first..]),
            Self::F16(bits) => Self::F16(&bits[first..]),
            Self::BF16(bits) => Self::BF16(&bits[first..]),
        }
    }

    /// Whether no number is infinite or NaN.
    pub(in crate::inference) fn are_finite(self) -> bool {
        match self {
            Self::F32(numbers) => numbers.iter().all(|x| x.is_finite()),
            Self::F16(bits) => bits.iter().all(|&bits| f16::from_bits(bits).is_finite()),
            Self::BF16(bits) => bits.iter().all(|&bits| bf16::from_bits(bits).is_finite()),
        }
    }
}

/// Rows of weights to pack, [rows, columns].
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Strip<'a> {
    pub(in crate::inference) rows: Numbers<'a>,
    pub(in crate::inference) columns: usize,
}

/// A type of stored numbers, and how sixteen of them are widened.
trait Number {
    type Bits: Copy + Default;
    /// The greatest finite number.
    const MAX_FINITE: f32;

    fn load<L: Lanes>(l: L, bits: &[Self::Bits; LANES]) -> L::F;
}

impl Number for f32 {
    type Bits = f32;
    const MAX_FINITE: f32 = Self::MAX;

    #[inline(always)]
    fn load<L: Lanes>(l: L, bits: &[f32; LANES]) -> L::F {
        l.load(bits)
    }
}

impl Number for f16 {
    type Bits = u16;
    const MAX_FINITE: f32 = Self::MAX.to_f32_const();

    #[inline(always)]
    fn load<L: Lanes>(l: L, bits: &[u16; LANES]) -> L::F {
        l.load_f16(bits)
    }
}

impl Number for bf16 {
    type Bits = u16;
    const MAX_FINITE: f32 = Self::MAX.to_f32_const();

    #[inline(always)]
    fn load<L: Lanes>(l: L, bits: &[u16; LANES]) -> L::F {
        l.load_bf16(bits)
    }
}

/// Loads up to sixteen numbers and pads them with zeros.
#[inline(always)]
fn load_some<L: Lanes, N: Number>(l: L, bits: &[N::Bits]) -> L::F {
    if let Some(bits) = bits.first_chunk() {
        return N::load(l, bits);
    }
    let mut padded = [N::Bits::default(); LANES];
    padded[..bits.len()].copy_from_slice(bits);
    N::load(l, &padded)
}

/// Packs some inputs of every panel; `strip` is [inputs, outputs]. Returns false if a number is not finite as stored or as packed.
pub(super) struct PackInputs<'a, S> {
    /// The blocks of all panels, `per_panel` each.
    pub(super) blocks: &'a mut [S],
    pub(super) per_panel: usize,
    /// The first input, a multiple of [`STRIP_INPUTS`].
    pub(super) first: usize,
    pub(super) strip: Strip<'a>,
}

impl<S: WeightBlock> Kernel for PackInputs<'_, S> {
    type Output = bool;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> bool {
        match self.strip.rows {
            Numbers::F32(rows) => self.pack::<L, f32>(l, rows),
            Numbers::F16(rows) => self.pack::<L, f16>(l, rows),
            Numbers::BF16(rows) => self.pack::<L, bf16>(l, rows),
        }
    }
}

impl<S: WeightBlock> PackInputs<'_, S> {
    #[inline(always)]
    fn pack<L: Lanes, N: Number>(self, l: L, rows: &[N::Bits]) -> bool {
        let Self { blocks, per_panel, first, strip: Strip { columns, .. } } = self;
        let depth_at_once = if S::DEPTH <= MAX_DIRECT_DEPTH { S::DEPTH } else { STRIP_INPUTS };
        let mut buffer = ZEROS;
        let mut check = l.zero();
        let mut finite = true;
        for (panel, blocks) in blocks.chunks_exact_mut(per_panel).enumerate() {
            let from = panel * PANEL;
            let end = from + PANEL.min(columns - from);
            let middle = end.min(from + LANES);
            let blocks = blocks[first / S::DEPTH..].chunks_mut(depth_at_once / S::DEPTH);
            for (blocks, rows) in blocks.zip(rows.chunks(depth_at_once * columns)) {
                let mut direct = [[[0.0; LANES]; 2]; MAX_DIRECT_DEPTH];
                let staged =
                    if S::DEPTH <= MAX_DIRECT_DEPTH { &mut direct[..S::DEPTH] } else { &mut buffer[..] };
                if S::DEPTH > MAX_DIRECT_DEPTH && rows.len() < depth_at_once * columns {
                    staged.fill(ZEROS[0]);
                }
                for (to, row) in staged.iter_mut().zip(rows.chunks_exact(columns)) {
                    for (to, bits) in to.iter_mut().zip([&row[from..middle], &row[middle..end]]) {
                        let x = load_some::<L, N>(l, bits);
                        check = l.mul_add(x, l.zero(), check);
                        l.store(x, to);
                    }
                }
                finite &= encode::<L, S, N>(l, blocks, staged);
            }
        }
        // Zero times a finite number is zero; zero times NaN or infinity is NaN.
        finite && l.sum(check) == 0.0
    }
}

/// Packs all inputs of one panel; `strip` is [≤ 32 outputs, inputs]. Returns false under the conditions of [`PackInputs`].
pub(super) struct PackPanel<'a, S> {
    pub(super) blocks: &'a mut [S],
    pub(super) strip: Strip<'a>,
}

impl<S: WeightBlock> Kernel for PackPanel<'_, S> {
    type Output = bool;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> bool {
        match self.strip.rows {
            Numbers::F32(rows) => self.pack::<L, f32>(l, rows),
            Numbers::F16(rows) => self.pack::<L, f16>(l, rows),
            Numbers::BF16(rows) => self.pack::<L, bf16>(l, rows),
        }
    }
}

impl<S: WeightBlock> PackPanel<'_, S> {
    #[inline(always)]
    fn pack<L: Lanes, N: Number>(self, l: L, rows: &[N::Bits]) -> bool {
        let Self { blocks, strip: Strip { columns: inputs, .. } } = self;
        let mut staged = ZEROS;
        let mut check = l.zero();
        let mut finite = true;
        for (blocks, first) in
            blocks.chunks_mut(STRIP_INPUTS / S::DEPTH).zip((0..inputs).step_by(STRIP_INPUTS))
        {
            let end = inputs.min(first + STRIP_INPUTS);
            for (half, outputs) in [0, 1].into_iter().zip(rows.chunks(LANES * inputs)) {
                for (group, from) in (first..first + STRIP_INPUTS).step_by(LANES).enumerate() {
                    let mut square = [l.zero(); LANES];
                    for (to, row) in square.iter_mut().zip(outputs.chunks_exact(inputs)) {
                        *to = load_some::<L, N>(l, &row[from.min(end)..end.min(from + LANES)]);
                        check = l.mul_add(*to, l.zero(), check);
                    }
                    for (to, x) in staged[group * LANES..].iter_mut().zip(l.transpose(square)) {
                        l.store(x, &mut to[half]);
                    }
                }
            }
            finite &= encode::<L, S, N>(l, blocks, &staged);
        }
        finite && l.sum(check) == 0.0
    }
}

/// Encodes staged inputs as blocks; returns whether everything that they store is finite.
#[inline(always)]
fn encode<L: Lanes, S: WeightBlock, N: Number>(l: L, blocks: &mut [S], staged: &[[[f32; LANES]; 2]]) -> bool {
    let mut finite = true;
    for (block, weights) in blocks.iter_mut().zip(staged.chunks_exact(S::DEPTH)) {
        *block = S::encode(l, weights);
        if N::MAX_FINITE > S::MAX_SAFE {
            finite &= block.is_finite();
        }
    }
    finite
}
