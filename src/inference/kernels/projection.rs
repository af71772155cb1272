//! y = x·Wᵀ: activations in f32 against weights as they are stored.
//!
//! For few rows of x the time goes into reading W, so each weight is read once, widened in a register and used for every
//! row. For many rows the time goes into arithmetic, so W is widened panel by panel and candle's matrix product does the rest.

use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, Layout};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::element::Element;
use super::lanes::{Input, dot_rows, vectorized};
use crate::inference::Error;

/// From how many rows of x on the matrix product wins.
const MANY_ROWS: usize = 12;

/// Rows of W that share one pass over x.
const BLOCK: usize = 4;

/// Bytes of weights that one task reads: enough to be worth handing to a thread.
const TASK_BYTES: usize = 128 << 10;

/// Bytes of the widest panel of weights in f32; about a core's second cache.
const PANEL_BYTES: usize = 4 << 20;

/// Weights of one projection: `rows` is W, [outputs, inputs], row by row.
pub(in crate::inference) struct Weights<'a, T> {
    /// The storage that `rows` is all of.
    pub(in crate::inference) storage: &'a CpuStorage,
    /// The numbers.
    pub(in crate::inference) rows: &'a [T],
    /// Width of x.
    pub(in crate::inference) inputs: usize,
    /// Width of y.
    pub(in crate::inference) outputs: usize,
}

impl<T: Element> Weights<'_, T> {
    /// y, [N, outputs], of `x`, [N, inputs].
    ///
    /// # Errors
    /// [`Error::Tensor`] where `x` is not f32 or the matrix product fails.
    pub(in crate::inference) fn apply(&self, x: &CpuStorage) -> Result<Vec<f32>, Error> {
        let numbers = x.as_slice::<f32>()?;
        let n = numbers.len() / self.inputs;
        match n {
            0 => Ok(Vec::new()),
            1 => Ok(self.few_rows(numbers, 1)),
            2..MANY_ROWS => Ok(transposed(&self.few_rows(numbers, n), n)),
            _ => self.many_rows(x, n),
        }
    }

    /// yᵀ, [outputs, n].
    fn few_rows(&self, x: &[f32], n: usize) -> Vec<f32> {
        let row_bytes = self.inputs * size_of::<T>();
        let rows = (TASK_BYTES / row_bytes.max(1) / BLOCK).max(1) * BLOCK;
        let mut y = vec![0.0; self.outputs * n];
        let x: Vec<Input<'_>> = x.chunks_exact(self.inputs).map(Input::new::<T>).collect();
        let parts = self.rows.par_chunks(rows * self.inputs);
        y.par_chunks_mut(rows * n).zip(parts).for_each(|(y, weights)| {
            pulp::Arch::new().dispatch(SomeRows { weights, inputs: self.inputs, x: &x, y });
        });
        y
    }

    fn many_rows(&self, x: &CpuStorage, n: usize) -> Result<Vec<f32>, Error> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let x_layout = Layout::contiguous((n, inputs));
        let panel = (PANEL_BYTES / 4 / inputs).clamp(1, outputs);
        let mut y = Vec::new();
        for first in (0..outputs).step_by(panel) {
            let width = panel.min(outputs - first);
            let widened;
            let (weights, offset) = if let CpuStorage::F32(_) = self.storage {
                (self.storage, first * inputs)
            } else {
                widened = self.widen(first * inputs..(first + width) * inputs);
                (&widened, 0)
            };
            // The panel is [width, inputs]; read with these strides it is its transpose.
            let layout = Layout::new((inputs, width).into(), vec![1, inputs], offset);
            let part = x.matmul(weights, (1, n, width, inputs), &x_layout, &layout)?;
            if width == outputs
                && let CpuStorage::F32(whole) = part
            {
                return Ok(whole);
            }
            let part = part.as_slice::<f32>()?;
            y.resize(n * outputs, 0.0);
            for (y, part) in y.chunks_exact_mut(outputs).zip(part.chunks_exact(width)) {
                y[first..first + width].copy_from_slice(part);
            }
        }
        Ok(y)
    }

    fn widen(&self, range: std::ops::Range<usize>) -> CpuStorage {
        const PART: usize = 64 << 10;
        let mut wide = vec![0.0; range.len()];
        wide.par_chunks_mut(PART).zip(self.rows[range].par_chunks(PART)).for_each(|(wide, narrow)| {
            vectorized(
                #[inline(always)]
                || {
                    for (wide, &narrow) in wide.iter_mut().zip(narrow) {
                        *wide = narrow.widen();
                    }
                },
            );
        });
        CpuStorage::F32(wide)
    }
}

/// Part of yᵀ: `y` is [rows of `weights`, N].
struct SomeRows<'a, T> {
    weights: &'a [T],
    inputs: usize,
    x: &'a [Input<'a>],
    y: &'a mut [f32],
}

impl<T: Element> WithSimd for SomeRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (inputs, n) = (self.inputs, self.x.len());
        let mut blocks = self.weights.chunks_exact(BLOCK * inputs);
        let mut outputs = self.y.chunks_exact_mut(BLOCK * n);
        for (block, y) in (&mut blocks).zip(&mut outputs) {
            let (ab, cd) = block.split_at(2 * inputs);
            let ((a, b), (c, d)) = (ab.split_at(inputs), cd.split_at(inputs));
            for (i, x) in self.x.iter().enumerate() {
                let dots = dot_rows(simd, [a, b, c, d], x);
                for (r, dot) in dots.into_iter().enumerate() {
                    y[r * n + i] = dot;
                }
            }
        }
        let rest = blocks.remainder().chunks_exact(inputs);
        for (row, y) in rest.zip(outputs.into_remainder().chunks_exact_mut(n)) {
            for (x, y) in self.x.iter().zip(y) {
                [*y] = dot_rows(simd, [row], x);
            }
        }
    }
}

/// `x`, [rows, columns], as [columns, rows].
fn transposed(x: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| x.iter().skip(column).step_by(columns).copied()).collect()
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    fn numbers(n: usize, seed: u32) -> impl Iterator<Item = f32> {
        (0..n as u32).map(move |i| (i.wrapping_mul(2_654_435_761) ^ seed) as f32 / 2f32.powi(32) - 0.5)
    }

    fn agrees_with_f64<T: Element>(round: impl Fn(f32) -> T) {
        for (n, inputs, outputs) in [(1, 37, 9), (3, 64, 50), (12, 40, 7), (40, 33, 1 << 15)] {
            let x: Vec<f32> = numbers(n * inputs, 1).collect();
            let w: Vec<T> = numbers(outputs * inputs, 77).map(&round).collect();
            let storage = T::to_cpu_storage_owned(w.clone());
            let weights = Weights { storage: &storage, rows: &w, inputs, outputs };
            let y = weights.apply(&CpuStorage::F32(x.clone())).unwrap();
            for (i, y) in y.chunks(outputs).enumerate() {
                for (o, &y) in y.iter().enumerate() {
                    let exact: f64 = (0..inputs)
                        .map(|k| f64::from(x[i * inputs + k]) * f64::from(w[o * inputs + k].widen()))
                        .sum();
                    assert!((f64::from(y) - exact).abs() < 1e-5, "{n}x{inputs}x{outputs}: {y} for {exact}");
                }
            }
        }
    }

    #[test]
    fn every_shape_and_type_agrees_with_sums_in_f64() {
        agrees_with_f64(|x| x);
        agrees_with_f64(f16::from_f32);
        agrees_with_f64(bf16::from_f32);
    }
}
