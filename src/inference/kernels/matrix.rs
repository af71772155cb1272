//! Weights of a projection, packed once, and their product with activations.

use std::io;

use super::activations::{PanelRow, panels};
use super::functions::gelu;
use super::inputs::{Form, Inputs, TileInputs};
use super::lanes::{Kernel, LANES, Lanes, Level};
use super::memory::{Arena, Memory};
use super::pack::{BLOCK, Numbers, PackInputs, PackPanel, Strip};
use super::steps::{BrainStep, ByteStep, NibbleStep, PANEL, PlainStep, Step};
use super::team::Team;
use crate::inference::Precision;

/// W, [outputs, inputs], in panels of 32 outputs.
#[derive(Debug)]
pub(in crate::inference) struct Panels<S> {
    inputs: usize,
    outputs: usize,
    /// Steps of one panel.
    each: usize,
    steps: Memory<S>,
}

/// Weights in one of the formats of [`Precision`].
#[derive(Debug)]
pub(in crate::inference) enum Matrix {
    F32(Panels<PlainStep<f32>>),
    F16(Panels<PlainStep<u16>>),
    BF16(Panels<BrainStep>),
    Q8(Panels<ByteStep>),
    Q4(Panels<NibbleStep>),
}

/// Runs one expression for whichever format it is.
macro_rules! of_any_format {
    ($matrix:expr, $panels:ident => $result:expr) => {
        match $matrix {
            Matrix::F32($panels) => $result,
            Matrix::F16($panels) => $result,
            Matrix::BF16($panels) => $result,
            Matrix::Q8($panels) => $result,
            Matrix::Q4($panels) => $result,
        }
    };
}

/// What becomes of a sum, its bias added, before it leaves the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inference) enum After {
    /// It is stored.
    Store,
    /// GELU of it is stored.
    Gelu,
    /// It is added to what is there.
    Add,
}

impl Matrix {
    /// Strips of inputs begin at multiples of this many.
    pub(in crate::inference) const BLOCK: usize = BLOCK;

    /// A matrix of zeros, to be packed strip by strip.
    ///
    /// # Errors
    /// `OutOfMemory` where `arena` has less left than [`Self::room`] says.
    pub(in crate::inference) fn new(
        arena: &Arena,
        format: Precision,
        (inputs, outputs): (usize, usize),
    ) -> io::Result<Self> {
        Ok(match format {
            Precision::F32 => Self::F32(Panels::new(arena, inputs, outputs)?),
            Precision::F16 => Self::F16(Panels::new(arena, inputs, outputs)?),
            Precision::BF16 => Self::BF16(Panels::new(arena, inputs, outputs)?),
            Precision::Q8 => Self::Q8(Panels::new(arena, inputs, outputs)?),
            Precision::Q4 => Self::Q4(Panels::new(arena, inputs, outputs)?),
        })
    }

    /// Bytes that such a matrix takes of an arena; none where they cannot be counted.
    pub(in crate::inference) fn room(format: Precision, (inputs, outputs): (usize, usize)) -> Option<usize> {
        match format {
            Precision::F32 => Panels::<PlainStep<f32>>::room(inputs, outputs),
            Precision::F16 => Panels::<PlainStep<u16>>::room(inputs, outputs),
            Precision::BF16 => Panels::<BrainStep>::room(inputs, outputs),
            Precision::Q8 => Panels::<ByteStep>::room(inputs, outputs),
            Precision::Q4 => Panels::<NibbleStep>::room(inputs, outputs),
        }
    }

    /// How it wants its activations.
    pub(in crate::inference) fn form(&self) -> Form {
        match self {
            Self::F32(_) | Self::F16(_) => Form::Floats,
            Self::BF16(_) => Form::Brains,
            Self::Q8(_) => Form::Blocks(ByteStep::DEPTH),
            Self::Q4(_) => Form::Blocks(NibbleStep::DEPTH),
        }
    }

    /// Bytes in memory.
    pub(in crate::inference) fn bytes(&self) -> u64 {
        of_any_format!(self, panels => size_of_val(&*panels.steps) as u64)
    }

    #[cfg(test)]
    fn inputs(&self) -> usize {
        of_any_format!(self, panels => panels.inputs)
    }

    pub(in crate::inference) fn outputs(&self) -> usize {
        of_any_format!(self, panels => panels.outputs)
    }

    /// Packs inputs from the `first` on, a multiple of [`Matrix::BLOCK`]: `strip` is [inputs, outputs]. False where a number is
    /// not finite, as it is stored or in this format.
    pub(in crate::inference) fn pack_inputs(&mut self, first: usize, strip: Strip<'_>) -> bool {
        of_any_format!(self, panels => {
            let (steps, each) = (&mut *panels.steps, panels.each);
            Level::best().run(PackInputs { steps, each, first, strip })
        })
    }

    /// Packs all outputs, some panels at a time and on all threads: `read` brings [outputs, inputs] from an output on, so many
    /// of them, into a buffer.
    ///
    /// # Errors
    /// What `read` returns; and what `infinite` makes of rows with a number that is not finite, as it is stored or in this
    /// format.
    pub(in crate::inference) fn pack_outputs<B: Default + Send, E: Send>(
        &mut self,
        read: impl for<'b> Fn((usize, usize), &'b mut B) -> Result<Numbers<'b>, E> + Sync,
        infinite: impl Fn(Numbers<'_>) -> E + Sync,
    ) -> Result<(), E> {
        of_any_format!(self, panels => panels.pack_outputs(read, infinite))
    }

    /// Copies weights of one output, from the input `first` on.
    pub(in crate::inference) fn copy_output(&self, output: usize, first: usize, to: &mut [f32]) {
        of_any_format!(self, panels => panels.copy_output(output, first, to));
    }

    /// y = x·Wᵀ + bias for every row of `x`: `y` is [panels, rows], `bias` is [outputs] or nothing.
    pub(in crate::inference) fn product(
        &self,
        (team, level): (&Team, Level),
        (x, rows): (&Inputs, usize),
        (bias, after): (&[PanelBias], After),
        y: &mut [PanelRow],
    ) {
        of_any_format!(self, panels => panels.product((team, level), (x, rows), (bias, after), y));
    }
}

/// What is added to the sums of a panel.
pub(in crate::inference) type PanelBias = PanelRow;

/// A bias, [outputs], filled up to whole panels.
pub(in crate::inference) fn panel_bias(bias: &[f32]) -> Vec<PanelBias> {
    let mut out = vec![[[0.0; LANES]; 2]; panels(bias.len())];
    out.as_flattened_mut().as_flattened_mut()[..bias.len()].copy_from_slice(bias);
    out
}

impl<S: Step> Panels<S> {
    fn new(arena: &Arena, inputs: usize, outputs: usize) -> io::Result<Self> {
        let each = inputs.div_ceil(S::DEPTH);
        let steps = each.checked_mul(panels(outputs)).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { inputs, outputs, each, steps: arena.take(steps)? })
    }

    fn room(inputs: usize, outputs: usize) -> Option<usize> {
        Arena::bytes::<S>(inputs.div_ceil(S::DEPTH).checked_mul(panels(outputs))?)
    }

    fn pack_outputs<B: Default + Send, E: Send>(
        &mut self,
        read: impl for<'b> Fn((usize, usize), &'b mut B) -> Result<Numbers<'b>, E> + Sync,
        infinite: impl Fn(Numbers<'_>) -> E + Sync,
    ) -> Result<(), E> {
        use rayon::prelude::*;
        let (inputs, outputs, each) = (self.inputs, self.outputs, self.each);
        /// Panels read at a time.
        const AT_ONCE: usize = 8;
        self.steps.par_chunks_mut(AT_ONCE * each).enumerate().try_for_each_init(
            B::default,
            |buffer, (i, steps)| {
                let first = i * AT_ONCE * PANEL;
                let rows = read((first, (AT_ONCE * PANEL).min(outputs - first)), buffer)?;
                for (panel, steps) in steps.chunks_exact_mut(each).enumerate() {
                    let rows = rows.from(panel * PANEL * inputs);
                    if !Level::best().run(PackPanel { steps, strip: Strip { rows, columns: inputs } }) {
                        return Err(infinite(rows));
                    }
                }
                Ok(())
            },
        )
    }

    fn copy_output(&self, output: usize, first: usize, to: &mut [f32]) {
        let steps = &self.steps[output / PANEL * self.each..][..self.each];
        for (input, to) in (first..).zip(to) {
            *to = steps[input / S::DEPTH].decode(input % S::DEPTH, output % PANEL);
        }
    }

    fn product(
        &self,
        (team, level): (&Team, Level),
        (x, rows): (&Inputs, usize),
        (bias, after): (&[PanelBias], After),
        y: &mut [PanelRow],
    ) {
        let count = team.share(panels(self.outputs));
        team.each_chunk(y, count * rows, |i, y| {
            let steps = &self.steps[i * count * self.each..];
            let bias = bias.get(i * count..).unwrap_or_default();
            level.run(SomePanels { steps, each: self.each, x, rows, bias, after, y });
        });
    }
}

/// The product of some panels.
struct SomePanels<'a, S> {
    steps: &'a [S],
    each: usize,
    x: &'a Inputs,
    rows: usize,
    bias: &'a [PanelBias],
    after: After,
    y: &'a mut [PanelRow],
}

impl<S: Step> Kernel for SomePanels<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { steps, each, x, rows, bias, after, y } = self;
        const NOTHING: PanelBias = [[0.0; LANES]; 2];
        for (panel, (steps, y)) in steps.chunks_exact(each).zip(y.chunks_exact_mut(rows)).enumerate() {
            let bias = bias.get(panel).unwrap_or(&NOTHING);
            let mut first = 0;
            for tile in x.tiles() {
                let (end, of) = (first + tile.rows, (steps, tile, bias, after));
                tile_of_rows(l, of, &mut y[first..end]);
                first = end;
            }
        }
    }
}

type OneTile<'a, S> = (&'a [S], TileInputs<'a>, &'a PanelBias, After);

#[inline(always)]
fn tile_of_rows<L: Lanes, S: Step>(l: L, of: OneTile<'_, S>, y: &mut [PanelRow]) {
    match of.1.rows {
        1 => tile::<L, S, 1>(l, of, y),
        2 => tile::<L, S, 2>(l, of, y),
        3 => tile::<L, S, 3>(l, of, y),
        4 => tile::<L, S, 4>(l, of, y),
        5 => tile::<L, S, 5>(l, of, y),
        6 => tile::<L, S, 6>(l, of, y),
        7 => tile::<L, S, 7>(l, of, y),
        8 => tile::<L, S, 8>(l, of, y),
        9 => tile::<L, S, 9>(l, of, y),
        10 => tile::<L, S, 10>(l, of, y),
        11 => tile::<L, S, 11>(l, of, y),
        _ => tile::<L, S, 12>(l, of, y),
    }
}

#[inline(always)]
fn tile<L: Lanes, S: Step, const R: usize>(
    l: L,
    (steps, x, bias, after): OneTile<'_, S>,
    y: &mut [PanelRow],
) {
    let sums = S::dot::<L, R>(l, steps, x);
    for (y, sums) in y.iter_mut().zip(sums) {
        for half in 0..2 {
            let sum = l.add(sums[half], l.load(&bias[half]));
            let out = match after {
                After::Store => sum,
                After::Gelu => gelu(l, sum),
                After::Add => l.add(l.load(&y[half]), sum),
            };
            l.store(out, &mut y[half]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::activations::Grouped;
    use super::super::inputs::Source;
    use super::*;

    const FORMATS: [Precision; 5] =
        [Precision::F32, Precision::F16, Precision::BF16, Precision::Q8, Precision::Q4];

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mix = |i: u32| i.wrapping_add(seed).wrapping_mul(2_654_435_761);
        (0..n as u32).map(|i| (mix(i) ^ mix(i) >> 15) as f32 / 2f32.powi(32) - 0.5).collect()
    }

    fn empty(format: Precision, inputs: usize, outputs: usize) -> Matrix {
        let room = Matrix::room(format, (inputs, outputs)).unwrap();
        Matrix::new(&Arena::new(room).unwrap(), format, (inputs, outputs)).unwrap()
    }

    /// W, [inputs, outputs], packed in strips of inputs.
    fn packed(format: Precision, w: &[f32], inputs: usize, outputs: usize) -> Matrix {
        let mut matrix = empty(format, inputs, outputs);
        for (i, rows) in w.chunks(BLOCK * outputs).enumerate() {
            assert!(matrix.pack_inputs(i * BLOCK, Strip { rows: Numbers::F32(rows), columns: outputs }));
        }
        matrix
    }

    fn product(matrix: &Matrix, x: &[f32], bias: &[f32], after: After, level: Level) -> Vec<f32> {
        let team = Team::new(2);
        let rows = x.len() / matrix.inputs();
        let mut inputs = Inputs::default();
        let x = Grouped::new(x, rows, matrix.inputs(), matrix.inputs());
        inputs.fill((&team, level), matrix.form(), Source { x, norm: None });
        let mut y = vec![[[0.25; LANES]; 2]; panels(matrix.outputs()) * rows];
        matrix.product((&team, level), (&inputs, rows), (&panel_bias(bias), after), &mut y);
        let y = Grouped::panels(&y, rows, matrix.outputs());
        let mut out = vec![0.0; rows * matrix.outputs()];
        out.chunks_exact_mut(matrix.outputs()).enumerate().for_each(|(row, out)| y.copy_row(row, out));
        out
    }

    /// Rows of W, [inputs, outputs], by output: so many from the `first` on.
    fn transposed<'b>(
        (w, inputs, outputs): (&[f32], usize, usize),
        (first, count): (usize, usize),
        to: &'b mut Vec<f32>,
    ) -> Result<Numbers<'b>, ()> {
        to.clear();
        to.extend((first..first + count).flat_map(|o| (0..inputs).map(move |i| w[i * outputs + o])));
        Ok(Numbers::F32(to))
    }

    /// x·Wᵀ with the weights as the matrix holds them, in f64.
    fn exact(matrix: &Matrix, x: &[f32]) -> Vec<f64> {
        let mut w = vec![0.0; matrix.inputs()];
        let rows = x.len() / matrix.inputs();
        let mut out = vec![0.0; rows * matrix.outputs()];
        for output in 0..matrix.outputs() {
            matrix.copy_output(output, 0, &mut w);
            for (row, x) in x.chunks_exact(matrix.inputs()).enumerate() {
                let dot = x.iter().zip(&w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
                out[row * matrix.outputs() + output] = dot;
            }
        }
        out
    }

    /// What rounding of activations and sums may add to one sum of `inputs` products of numbers up to a half.
    fn tolerance(format: Precision, inputs: usize) -> f64 {
        let of_one = match format {
            Precision::F32 | Precision::F16 => 1e-7,
            Precision::BF16 => 1.0 / 1024.0,
            Precision::Q8 | Precision::Q4 => 1.0 / 1000.0,
        };
        of_one * inputs as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn products_agree_with_a_naive_loop_for_odd_sizes(
            inputs in 1usize..150, outputs in 1usize..140, rows in 1usize..27, seed: u32,
        ) {
            let (w, x) = (numbers(inputs * outputs, seed), numbers(inputs * rows, seed ^ 77));
            for format in FORMATS {
                let matrix = packed(format, &w, inputs, outputs);
                let exact = exact(&matrix, &x);
                let best = product(&matrix, &x, &[], After::Store, Level::best());
                for level in Level::all() {
                    let y = product(&matrix, &x, &[], After::Store, level);
                    for (y, exact) in y.iter().zip(&exact) {
                        let error = (f64::from(*y) - exact).abs();
                        prop_assert!(error <= tolerance(format, inputs), "{format:?} {level:?}: {y} for {exact}");
                    }
                    // A row does not depend on those beside it.
                    let last = product(&matrix, &x[(rows - 1) * inputs..], &[], After::Store, level);
                    prop_assert_eq!(&last[..], &y[(rows - 1) * outputs..], "{:?} {:?}", format, level);
                    if format == Precision::F32 && level.name() != "portable" {
                        prop_assert_eq!(&y, &best, "{:?}", level);
                    }
                }
            }
        }

        #[test]
        fn what_is_packed_is_what_is_held_within_half_a_step(
            inputs in 1usize..150, outputs in 1usize..70, seed: u32, scale in 0.001f32..100.0,
        ) {
            let w: Vec<f32> = numbers(inputs * outputs, seed).into_iter().map(|w| w * scale).collect();
            for format in FORMATS {
                let matrix = packed(format, &w, inputs, outputs);
                let mut by_output = empty(format, inputs, outputs);
                by_output.pack_outputs(|of, to| transposed((&w, inputs, outputs), of, to), |_| ()).unwrap();
                let (mut held, mut other) = (vec![0.0; inputs], vec![0.0; inputs]);
                for output in 0..outputs {
                    matrix.copy_output(output, 0, &mut held);
                    by_output.copy_output(output, 0, &mut other);
                    prop_assert_eq!(&held, &other);
                    let half_a_step = match format {
                        Precision::F32 => 0.0,
                        Precision::F16 => 0.5 * scale / 2048.0,
                        Precision::BF16 => 0.5 * scale / 256.0,
                        Precision::Q8 => 0.5 * scale / 127.0 * 0.502,
                        // The side that the largest weight is not on reaches one step less far.
                        Precision::Q4 => 0.5 * scale / 8.0 * 1.01,
                    };
                    for (input, held) in held.iter().enumerate() {
                        let error = (held - w[input * outputs + output]).abs();
                        prop_assert!(error <= half_a_step + 1e-6 * scale, "{format:?}: off by {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn bias_gelu_and_residual_follow_the_sum() {
        let (inputs, outputs, rows) = (40, 45, 5);
        let (w, x) = (numbers(inputs * outputs, 1), numbers(inputs * rows, 2));
        let bias = numbers(outputs, 3);
        let matrix = packed(Precision::F32, &w, inputs, outputs);
        let exact = exact(&matrix, &x);
        let gelu = |x: f64| {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        };
        for level in Level::all() {
            for after in [After::Store, After::Gelu, After::Add] {
                let y = product(&matrix, &x, &bias, after, level);
                for (i, y) in y.into_iter().enumerate() {
                    let sum = exact[i] + f64::from(bias[i % outputs]);
                    let exact = match after {
                        After::Store => sum,
                        After::Gelu => gelu(sum),
                        After::Add => 0.25 + sum,
                    };
                    assert!((f64::from(y) - exact).abs() < 1e-5, "{after:?}: {y} for {exact}");
                }
            }
        }
    }

    #[test]
    fn numbers_that_a_format_cannot_hold_are_told() {
        let pack = |format, x: f32| {
            let rows = [0.5, x, 1.0];
            empty(format, 1, 3).pack_inputs(0, Strip { rows: Numbers::F32(&rows), columns: 3 })
        };
        for format in FORMATS {
            assert!(pack(format, 60_000.0), "{format:?}");
            assert!(!pack(format, f32::INFINITY), "{format:?}");
            assert!(!pack(format, f32::NAN), "{format:?}");
            assert_eq!(pack(format, 1e5), format != Precision::F16, "{format:?}");
            assert_eq!(pack(format, 1e30), matches!(format, Precision::F32 | Precision::BF16), "{format:?}");
            assert_eq!(pack(format, f32::MAX), format == Precision::F32, "{format:?}");
        }
    }
}
