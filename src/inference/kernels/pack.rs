//! Weights on their way from a checkpoint's numbers to steps of panels: widened, transposed where they lie by outputs, rounded.

use half::{bf16, f16};

use super::lanes::{Kernel, LANES, Lanes};
use super::steps::{PANEL, Step};

/// Inputs that are packed at a time: a multiple of every step's depth.
pub(super) const BLOCK: usize = 64;

/// Some inputs of a panel, [BLOCK, PANEL].
type Block = [[[f32; LANES]; 2]; BLOCK];

const ZEROS: Block = [[[0.0; LANES]; 2]; BLOCK];

/// Most inputs of a step that are packed by themselves, in registers: 1.4 times as fast as by way of a block.
const FEW: usize = 2;

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
    /// Widens all of them into `to`.
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

    /// Those from the `first` on.
    pub(super) fn from(self, first: usize) -> Self {
        match self {
            Self::F32(numbers) => Self::F32(&numbers[first..]),
            Self::F16(bits) => Self::F16(&bits[first..]),
            Self::BF16(bits) => Self::BF16(&bits[first..]),
        }
    }

    /// Whether none is infinite or NaN.
    pub(in crate::inference) fn are_finite(self) -> bool {
        match self {
            Self::F32(numbers) => numbers.iter().all(|x| x.is_finite()),
            Self::F16(bits) => bits.iter().all(|&bits| f16::from_bits(bits).is_finite()),
            Self::BF16(bits) => bits.iter().all(|&bits| bf16::from_bits(bits).is_finite()),
        }
    }
}

/// Rows of weights that wait to be packed, each [columns].
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Strip<'a> {
    pub(in crate::inference) rows: Numbers<'a>,
    pub(in crate::inference) columns: usize,
}

/// A stored number and how sixteen of them are widened.
trait Number {
    type Bits: Copy + Default;
    /// The greatest that is finite.
    const GREATEST: f32;

    fn load<L: Lanes>(l: L, bits: &[Self::Bits; LANES]) -> L::F;
}

impl Number for f32 {
    type Bits = f32;
    const GREATEST: f32 = Self::MAX;

    #[inline(always)]
    fn load<L: Lanes>(l: L, bits: &[f32; LANES]) -> L::F {
        l.load(bits)
    }
}

impl Number for f16 {
    type Bits = u16;
    const GREATEST: f32 = Self::MAX.to_f32_const();

    #[inline(always)]
    fn load<L: Lanes>(l: L, bits: &[u16; LANES]) -> L::F {
        l.load_half(bits)
    }
}

impl Number for bf16 {
    type Bits = u16;
    const GREATEST: f32 = Self::MAX.to_f32_const();

    #[inline(always)]
    fn load<L: Lanes>(l: L, bits: &[u16; LANES]) -> L::F {
        l.load_brain(bits)
    }
}

/// Up to sixteen numbers, zeros behind them.
#[inline(always)]
fn load_some<L: Lanes, N: Number>(l: L, bits: &[N::Bits]) -> L::F {
    if let Some(bits) = bits.first_chunk() {
        return N::load(l, bits);
    }
    let mut padded = [N::Bits::default(); LANES];
    padded[..bits.len()].copy_from_slice(bits);
    N::load(l, &padded)
}

/// Packs some inputs of every panel: `strip` is [inputs, outputs]. False where a number is not finite, as it was stored or as it
/// is packed.
pub(super) struct PackInputs<'a, S> {
    /// All steps, `each` of them to a panel.
    pub(super) steps: &'a mut [S],
    pub(super) each: usize,
    /// The first input, a multiple of [`BLOCK`].
    pub(super) first: usize,
    pub(super) strip: Strip<'a>,
}

impl<S: Step> Kernel for PackInputs<'_, S> {
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

impl<S: Step> PackInputs<'_, S> {
    #[inline(always)]
    fn pack<L: Lanes, N: Number>(self, l: L, rows: &[N::Bits]) -> bool {
        let Self { steps, each, first, strip: Strip { columns, .. } } = self;
        let at_once = if S::DEPTH <= FEW { S::DEPTH } else { BLOCK };
        let mut many = ZEROS;
        let mut check = l.zero();
        let mut finite = true;
        for (panel, steps) in steps.chunks_exact_mut(each).enumerate() {
            let from = panel * PANEL;
            let end = from + PANEL.min(columns - from);
            let middle = end.min(from + LANES);
            let steps = steps[first / S::DEPTH..].chunks_mut(at_once / S::DEPTH);
            for (steps, rows) in steps.zip(rows.chunks(at_once * columns)) {
                let mut few = [[[0.0; LANES]; 2]; FEW];
                let block = if S::DEPTH <= FEW { &mut few[..S::DEPTH] } else { &mut many[..] };
                if S::DEPTH > FEW && rows.len() < at_once * columns {
                    block.fill(ZEROS[0]);
                }
                for (to, row) in block.iter_mut().zip(rows.chunks_exact(columns)) {
                    for (to, bits) in to.iter_mut().zip([&row[from..middle], &row[middle..end]]) {
                        let x = load_some::<L, N>(l, bits);
                        check = l.mul_add(x, l.zero(), check);
                        l.store(x, to);
                    }
                }
                finite &= encode::<L, S, N>(l, steps, block);
            }
        }
        // Zero times what is finite is zero; times anything else, NaN.
        finite && l.sum(check) == 0.0
    }
}

/// Packs all inputs of one panel: `strip` is [≤ 32 outputs, inputs]. False as for [`PackInputs`].
pub(super) struct PackPanel<'a, S> {
    pub(super) steps: &'a mut [S],
    pub(super) strip: Strip<'a>,
}

impl<S: Step> Kernel for PackPanel<'_, S> {
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

impl<S: Step> PackPanel<'_, S> {
    #[inline(always)]
    fn pack<L: Lanes, N: Number>(self, l: L, rows: &[N::Bits]) -> bool {
        let Self { steps, strip: Strip { columns: inputs, .. } } = self;
        let mut block = ZEROS;
        let mut check = l.zero();
        let mut finite = true;
        for (steps, first) in steps.chunks_mut(BLOCK / S::DEPTH).zip((0..inputs).step_by(BLOCK)) {
            let end = inputs.min(first + BLOCK);
            for (half, outputs) in [0, 1].into_iter().zip(rows.chunks(LANES * inputs)) {
                for (group, from) in (first..first + BLOCK).step_by(LANES).enumerate() {
                    let mut square = [l.zero(); LANES];
                    for (to, row) in square.iter_mut().zip(outputs.chunks_exact(inputs)) {
                        *to = load_some::<L, N>(l, &row[from.min(end)..end.min(from + LANES)]);
                        check = l.mul_add(*to, l.zero(), check);
                    }
                    for (to, x) in block[group * LANES..].iter_mut().zip(l.transpose(square)) {
                        l.store(x, &mut to[half]);
                    }
                }
            }
            finite &= encode::<L, S, N>(l, steps, &block);
        }
        finite && l.sum(check) == 0.0
    }
}

/// Encodes the block's steps, of which the last may be left out; whether all that they store is finite.
#[inline(always)]
fn encode<L: Lanes, S: Step, N: Number>(l: L, steps: &mut [S], block: &[[[f32; LANES]; 2]]) -> bool {
    let mut finite = true;
    for (step, weights) in steps.iter_mut().zip(block.chunks_exact(S::DEPTH)) {
        *step = S::encode(l, weights);
        if N::GREATEST > S::HOLDS {
            finite &= step.is_finite();
        }
    }
    finite
}
