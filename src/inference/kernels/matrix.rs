//! Weights of a projection, packed once, and their product with activations.

use std::io;
use std::ops::Range;

use super::Ctx;
use super::activations::{PanelRow, panels};
use super::blocks::{Bf16Block, PANEL, PlainBlock, Q4Block, Q8Block, WeightBlock};
use super::functions::gelu;
use super::inputs::{Form, Inputs, TileInputs};
use super::lanes::{Kernel, LANES, Lanes, Level};
use super::memory::{Arena, Memory};
use super::pack::{Numbers, PackInputs, PackPanel, STRIP_INPUTS, Strip};
use crate::inference::Precision;

/// W, [outputs, inputs], in panels of 32 outputs.
#[derive(Debug)]
pub(in crate::inference) struct Panels<S> {
    inputs: usize,
    outputs: usize,
    /// Blocks of one panel.
    per_panel: usize,
    blocks: Memory<S>,
}

/// Weights in one of the formats of [`Precision`].
#[derive(Debug)]
pub(in crate::inference) enum Matrix {
    F32(Panels<PlainBlock<f32>>),
    F16(Panels<PlainBlock<u16>>),
    BF16(Panels<Bf16Block>),
    Q8(Panels<Q8Block>),
    Q4(Panels<Q4Block>),
}

/// Evaluates one expression for the panels of any format.
macro_rules! with_format {
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

/// The shape of a matrix.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Dims {
    pub(in crate::inference) inputs: usize,
    pub(in crate::inference) outputs: usize,
}

/// What a product does with its sums.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Epilogue<'a> {
    /// Added to the sums: [outputs] in panels, or empty.
    pub(in crate::inference) bias: &'a [PanelBias],
    pub(in crate::inference) after: After,
}

/// What happens to a sum after its bias is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inference) enum After {
    /// Store it.
    Store,
    /// Store its GELU.
    Gelu,
    /// Add it to the output.
    Add,
}

impl Matrix {
    /// Strips of inputs begin at multiples of this number.
    pub(in crate::inference) const STRIP_INPUTS: usize = STRIP_INPUTS;

    /// A matrix of zeros, to be packed strip by strip.
    ///
    /// # Errors
    /// `OutOfMemory` if `arena` has less space left than [`Self::room`].
    pub(in crate::inference) fn new(arena: &Arena, format: Precision, dims: Dims) -> io::Result<Self> {
        Ok(match format {
            Precision::F32 => Self::F32(Panels::new(arena, dims)?),
            Precision::F16 => Self::F16(Panels::new(arena, dims)?),
            Precision::BF16 => Self::BF16(Panels::new(arena, dims)?),
            Precision::Q8 => Self::Q8(Panels::new(arena, dims)?),
            Precision::Q4 => Self::Q4(Panels::new(arena, dims)?),
        })
    }

    /// Bytes that such a matrix takes of an arena; `None` if they overflow.
    pub(in crate::inference) fn room(format: Precision, dims: Dims) -> Option<usize> {
        match format {
            Precision::F32 => Panels::<PlainBlock<f32>>::room(dims),
            Precision::F16 => Panels::<PlainBlock<u16>>::room(dims),
            Precision::BF16 => Panels::<Bf16Block>::room(dims),
            Precision::Q8 => Panels::<Q8Block>::room(dims),
            Precision::Q4 => Panels::<Q4Block>::room(dims),
        }
    }

    /// The format of activations that it multiplies.
    pub(in crate::inference) fn form(&self) -> Form {
        with_format!(self, panels => panels.form())
    }

    /// Bytes in memory.
    pub(in crate::inference) fn bytes(&self) -> u64 {
        with_format!(self, panels => size_of_val(&*panels.blocks) as u64)
    }

    #[cfg(test)]
    fn inputs(&self) -> usize {
        with_format!(self, panels => panels.inputs)
    }

    pub(in crate::inference) fn outputs(&self) -> usize {
        with_format!(self, panels => panels.outputs)
    }

    /// Packs the inputs from `first` on, a multiple of [`Matrix::STRIP_INPUTS`]; `strip` is [inputs, outputs]. Returns false if a number
    /// is not finite as stored or in this format.
    pub(in crate::inference) fn pack_inputs(&mut self, first: usize, strip: Strip<'_>) -> bool {
        with_format!(self, panels => {
            let (blocks, per_panel) = (&mut *panels.blocks, panels.per_panel);
            Level::best().run(PackInputs { blocks, per_panel, first, strip })
        })
    }

    /// Packs all outputs on all threads, some panels at a time; `read` returns the rows of a range of outputs, [outputs, inputs], and
    /// may use the buffer.
    ///
    /// # Errors
    /// The errors of `read`, and `not_finite` of rows with a number that is not finite as stored or in this format.
    pub(in crate::inference) fn pack_outputs<B: Default + Send, E: Send>(
        &mut self,
        read: impl for<'b> Fn(Range<usize>, &'b mut B) -> Result<Numbers<'b>, E> + Sync,
        not_finite: impl Fn(Numbers<'_>) -> E + Sync,
    ) -> Result<(), E> {
        with_format!(self, panels => panels.pack_outputs(read, not_finite))
    }

    /// Copies the weights of one output from the input `first` on; `to` decides how many.
    pub(in crate::inference) fn copy_output(&self, output: usize, first: usize, to: &mut [f32]) {
        with_format!(self, panels => panels.copy_output(output, first, to));
    }

    /// y = x·Wᵀ + bias for every row of `x`; `y` is [panels, rows].
    pub(in crate::inference) fn product(
        &self,
        ctx: Ctx<'_>,
        x: &Inputs,
        epilogue: Epilogue<'_>,
        y: &mut [PanelRow],
    ) {
        with_format!(self, panels => panels.product(ctx, x, epilogue, y));
    }
}

/// The bias of a panel.
pub(in crate::inference) type PanelBias = PanelRow;

/// A bias, [outputs], padded to whole panels.
pub(in crate::inference) fn panel_bias(bias: &[f32]) -> Vec<PanelBias> {
    let mut out = vec![[[0.0; LANES]; 2]; panels(bias.len())];
    out.as_flattened_mut().as_flattened_mut()[..bias.len()].copy_from_slice(bias);
    out
}

impl<S: WeightBlock> Panels<S> {
    fn new(arena: &Arena, Dims { inputs, outputs }: Dims) -> io::Result<Self> {
        let per_panel = inputs.div_ceil(S::DEPTH);
        let blocks = per_panel.checked_mul(panels(outputs)).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { inputs, outputs, per_panel, blocks: arena.take(blocks)? })
    }

    fn room(Dims { inputs, outputs }: Dims) -> Option<usize> {
        Arena::bytes::<S>(inputs.div_ceil(S::DEPTH).checked_mul(panels(outputs))?)
    }

    fn form(&self) -> Form {
        S::FORM
    }

    fn pack_outputs<B: Default + Send, E: Send>(
        &mut self,
        read: impl for<'b> Fn(Range<usize>, &'b mut B) -> Result<Numbers<'b>, E> + Sync,
        not_finite: impl Fn(Numbers<'_>) -> E + Sync,
    ) -> Result<(), E> {
        use rayon::prelude::*;
        let (inputs, outputs, per_panel) = (self.inputs, self.outputs, self.per_panel);
        /// Panels read at a time.
        const AT_ONCE: usize = 8;
        self.blocks.par_chunks_mut(AT_ONCE * per_panel).enumerate().try_for_each_init(
            B::default,
            |buffer, (i, blocks)| {
                let first = i * AT_ONCE * PANEL;
                let rows = read(first..outputs.min(first + AT_ONCE * PANEL), buffer)?;
                for (panel, blocks) in blocks.chunks_exact_mut(per_panel).enumerate() {
                    let rows = rows.skip(panel * PANEL * inputs);
                    if !Level::best().run(PackPanel { blocks, strip: Strip { rows, columns: inputs } }) {
                        return Err(not_finite(rows));
                    }
                }
                Ok(())
            },
        )
    }

    fn copy_output(&self, output: usize, first: usize, to: &mut [f32]) {
        let blocks = &self.blocks[output / PANEL * self.per_panel..][..self.per_panel];
        for (input, to) in (first..).zip(to) {
            *to = blocks[input / S::DEPTH].decode(input % S::DEPTH, output % PANEL);
        }
    }

    fn product(&self, ctx: Ctx<'_>, x: &Inputs, Epilogue { bias, after }: Epilogue<'_>, y: &mut [PanelRow]) {
        let rows = x.rows();
        let count = ctx.team.share(panels(self.outputs));
        ctx.team.each_chunk(y, count * rows, |i, y| {
            let blocks = &self.blocks[i * count * self.per_panel..];
            let bias = bias.get(i * count..).unwrap_or_default();
            ctx.level.run(SomePanels { blocks, per_panel: self.per_panel, x, rows, bias, after, y });
        });
    }
}

/// The product of some panels.
struct SomePanels<'a, S> {
    blocks: &'a [S],
    per_panel: usize,
    x: &'a Inputs,
    rows: usize,
    bias: &'a [PanelBias],
    after: After,
    y: &'a mut [PanelRow],
}

impl<S: WeightBlock> Kernel for SomePanels<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { blocks, per_panel, x, rows, bias, after, y } = self;
        const NOTHING: PanelBias = [[0.0; LANES]; 2];
        for (panel, (blocks, y)) in blocks.chunks_exact(per_panel).zip(y.chunks_exact_mut(rows)).enumerate() {
            let bias = bias.get(panel).unwrap_or(&NOTHING);
            let mut first = 0;
            for tile in x.tiles() {
                let end = first + tile.rows;
                multiply_tile(l, Tile { blocks, x: tile, bias, after }, &mut y[first..end]);
                first = end;
            }
        }
    }
}

/// One panel, and the rows to multiply with it.
#[derive(Clone, Copy)]
struct Tile<'a, S> {
    blocks: &'a [S],
    x: TileInputs<'a>,
    bias: &'a PanelBias,
    after: After,
}

#[inline(always)]
fn multiply_tile<L: Lanes, S: WeightBlock>(l: L, tile: Tile<'_, S>, y: &mut [PanelRow]) {
    match tile.x.rows {
        1 => multiply_rows::<L, S, 1>(l, tile, y),
        2 => multiply_rows::<L, S, 2>(l, tile, y),
        3 => multiply_rows::<L, S, 3>(l, tile, y),
        4 => multiply_rows::<L, S, 4>(l, tile, y),
        5 => multiply_rows::<L, S, 5>(l, tile, y),
        6 => multiply_rows::<L, S, 6>(l, tile, y),
        7 => multiply_rows::<L, S, 7>(l, tile, y),
        8 => multiply_rows::<L, S, 8>(l, tile, y),
        9 => multiply_rows::<L, S, 9>(l, tile, y),
        10 => multiply_rows::<L, S, 10>(l, tile, y),
        11 => multiply_rows::<L, S, 11>(l, tile, y),
        _ => multiply_rows::<L, S, 12>(l, tile, y),
    }
}

#[inline(always)]
fn multiply_rows<L: Lanes, S: WeightBlock, const R: usize>(l: L, tile: Tile<'_, S>, y: &mut [PanelRow]) {
    let Tile { blocks, x, bias, after } = tile;
    let sums = S::dot::<L, R>(l, blocks, x);
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
    use super::super::team::Team;
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
        let dims = Dims { inputs, outputs };
        let room = Matrix::room(format, dims).unwrap();
        Matrix::new(&Arena::new(room).unwrap(), format, dims).unwrap()
    }

    /// W, [inputs, outputs], packed in strips of inputs.
    fn packed(format: Precision, w: &[f32], inputs: usize, outputs: usize) -> Matrix {
        let mut matrix = empty(format, inputs, outputs);
        for (i, rows) in w.chunks(STRIP_INPUTS * outputs).enumerate() {
            assert!(
                matrix.pack_inputs(i * STRIP_INPUTS, Strip { rows: Numbers::F32(rows), columns: outputs })
            );
        }
        matrix
    }

    fn product(matrix: &Matrix, x: &[f32], bias: &[f32], after: After, level: Level) -> Vec<f32> {
        let team = Team::new(2);
        let rows = x.len() / matrix.inputs();
        let mut inputs = Inputs::default();
        let x = Grouped::new(x, rows, matrix.inputs(), matrix.inputs());
        let ctx = Ctx { team: &team, level };
        inputs.fill(ctx, matrix.form(), Source { x, norm: None });
        let mut y = vec![[[0.25; LANES]; 2]; panels(matrix.outputs()) * rows];
        matrix.product(ctx, &inputs, Epilogue { bias: &panel_bias(bias), after }, &mut y);
        let y = Grouped::panels(&y, rows, matrix.outputs());
        let mut out = vec![0.0; rows * matrix.outputs()];
        out.chunks_exact_mut(matrix.outputs()).enumerate().for_each(|(row, out)| y.copy_row(row, out));
        out
    }

    /// The rows of some outputs of W, [inputs, outputs].
    fn transposed<'b>(
        w: &[f32],
        dims: Dims,
        range: Range<usize>,
        to: &'b mut Vec<f32>,
    ) -> Result<Numbers<'b>, ()> {
        to.clear();
        to.extend(range.flat_map(|o| (0..dims.inputs).map(move |i| w[i * dims.outputs + o])));
        Ok(Numbers::F32(to))
    }

    /// x·Wᵀ with the packed weights, in f64.
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
                    // A row does not depend on the other rows.
                    let last = product(&matrix, &x[(rows - 1) * inputs..], &[], After::Store, level);
                    prop_assert_eq!(&last[..], &y[(rows - 1) * outputs..], "{:?} {:?}", format, level);
                    if format == Precision::F32 && level.name() != "portable" {
                        prop_assert_eq!(&y, &best, "{:?}", level);
                    }
                }
            }
        }

        #[test]
        fn packed_weights_are_within_half_a_quantization_step(
            inputs in 1usize..150, outputs in 1usize..70, seed: u32, scale in 0.001f32..100.0,
        ) {
            let w: Vec<f32> = numbers(inputs * outputs, seed).into_iter().map(|w| w * scale).collect();
            for format in FORMATS {
                let matrix = packed(format, &w, inputs, outputs);
                let mut by_output = empty(format, inputs, outputs);
                let dims = Dims { inputs, outputs };
                by_output.pack_outputs(|range, to| transposed(&w, dims, range, to), |_| ()).unwrap();
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
                        // The range of the other sign is one step shorter.
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
    fn numbers_that_a_format_cannot_hold_are_reported() {
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
