//! Activations between operations, and the layer norm of one row.

use super::blocks::PANEL;
use super::lanes::{LANES, Lanes};

/// A matrix [rows, columns] in groups of columns: [columns / group, rows, group], so that a thread that computes some columns
/// of every row writes its own memory.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Grouped<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    group: usize,
}

impl<'a> Grouped<'a> {
    /// The columns that pad the last group may hold anything.
    pub(in crate::inference) fn new(numbers: &'a [f32], rows: usize, columns: usize, group: usize) -> Self {
        Self { numbers, rows, columns, group }
    }

    /// A matrix in the layout of a product's output: groups of one panel.
    pub(in crate::inference) fn panels(numbers: &'a [PanelRow], rows: usize, columns: usize) -> Self {
        Self::new(numbers.as_flattened().as_flattened(), rows, columns, PANEL)
    }

    pub(in crate::inference) fn rows(&self) -> usize {
        self.rows
    }

    pub(in crate::inference) fn columns(&self) -> usize {
        self.columns
    }

    /// `count` columns of a row from `first` on; they must lie in one group.
    #[inline(always)]
    pub(in crate::inference) fn part(&self, row: usize, first: usize, count: usize) -> &'a [f32] {
        let at = (first / self.group * self.rows + row) * self.group + first % self.group;
        &self.numbers[at..at + count]
    }

    /// Copies a row into the beginning of `to`.
    #[inline(always)]
    pub(in crate::inference) fn copy_row(&self, row: usize, to: &mut [f32]) {
        self.copy_columns(row, 0, &mut to[..self.columns]);
    }

    /// Copies the columns of a row from `first` on; `to` decides how many.
    #[inline(always)]
    pub(in crate::inference) fn copy_columns(&self, row: usize, first: usize, to: &mut [f32]) {
        let mut done = 0;
        while done < to.len() {
            let at = first + done;
            let count = (self.group - at % self.group).min(to.len() - done);
            to[done..done + count].copy_from_slice(self.part(row, at, count));
            done += count;
        }
    }
}

/// The 32 numbers of one row in one panel: two registers.
pub(in crate::inference) type PanelRow = [[f32; LANES]; 2];

/// The number of panels that hold `columns`.
pub(in crate::inference) fn panels(columns: usize) -> usize {
    columns.div_ceil(PANEL)
}

/// The parameters of a layer norm (Ba et al. 2016) over the width C.
#[derive(Debug)]
pub(in crate::inference) struct Norm {
    pub(in crate::inference) weight: Vec<f32>, // [C]
    pub(in crate::inference) bias: Vec<f32>,   // [C]
    pub(in crate::inference) epsilon: f32,
}

impl Norm {
    /// Normalizes the first C numbers of `row`: subtracts the mean, divides by the (biased) standard deviation, scales and shifts.
    #[inline(always)]
    pub(in crate::inference) fn apply<L: Lanes>(&self, l: L, row: &mut [f32]) {
        let width = self.weight.len();
        let row = &mut row[..width];
        let per_number = 1.0 / width as f32;
        let mean = sum_mapped(
            l,
            row,
            #[inline(always)]
            |x| x,
        ) * per_number;
        let centre = l.splat(mean);
        let variance = sum_mapped(
            l,
            row,
            #[inline(always)]
            |x| {
                let x = l.sub(x, centre);
                l.mul(x, x)
            },
        );
        let scale = 1.0 / (variance * per_number + self.epsilon).sqrt();
        let lanes = l.splat(scale);
        let (whole, rest) = row.as_chunks_mut::<LANES>();
        let (weights, last_weights) = self.weight.as_chunks::<LANES>();
        let (biases, last_biases) = self.bias.as_chunks::<LANES>();
        for ((x, weight), bias) in whole.iter_mut().zip(weights).zip(biases) {
            let y = l.mul(l.sub(l.load(x), centre), lanes);
            l.store(l.mul_add(y, l.load(weight), l.load(bias)), x);
        }
        for ((x, weight), bias) in rest.iter_mut().zip(last_weights).zip(last_biases) {
            *x = (*x - mean) * scale * weight + bias;
        }
    }
}

/// Σ `map`(x). The last `x.len() % 16` numbers are mapped one by one, as every lane of a register.
#[inline(always)]
fn sum_mapped<L: Lanes>(l: L, x: &[f32], map: impl Fn(L::F) -> L::F) -> f32 {
    let (whole, rest) = x.as_chunks::<LANES>();
    let mut sum = l.zero();
    for x in whole {
        sum = l.add(sum, map(l.load(x)));
    }
    let mut total = l.sum(sum);
    for &x in rest {
        let mut lanes = [0.0; LANES];
        l.store(map(l.splat(x)), &mut lanes);
        total += lanes[0];
    }
    total
}

#[cfg(test)]
mod tests {
    use super::super::lanes::{Kernel, Level};
    use super::*;

    #[test]
    fn layer_norm_centres_and_scales_each_row() {
        struct Apply<'a>(&'a Norm, Vec<f32>);
        impl Kernel for Apply<'_> {
            type Output = Vec<f32>;

            #[inline(always)]
            fn run<L: Lanes>(mut self, l: L) -> Vec<f32> {
                self.0.apply(l, &mut self.1);
                self.1
            }
        }
        for width in [1, 7, 16, 40, 64] {
            let norm = Norm { weight: vec![2.0; width], bias: vec![0.5; width], epsilon: 1e-5 };
            let x: Vec<f32> = (0..width).map(|i| ((i * i) % 17) as f32).collect();
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / width as f64;
            let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / width as f64;
            for level in Level::all() {
                let normed = level.run(Apply(&norm, x.clone()));
                for (y, x) in normed.into_iter().zip(&x) {
                    let exact = (f64::from(*x) - mean) / (variance + 1e-5).sqrt() * 2.0 + 0.5;
                    assert!((f64::from(y) - exact).abs() < 1e-5, "{}: {y} for {exact}", level.name());
                }
            }
        }
    }

    #[test]
    fn a_row_comes_out_of_its_groups() {
        let (rows, columns, group) = (3, 10, 4);
        let mut numbers = vec![-1.0; rows * 12];
        for row in 0..rows {
            for column in 0..columns {
                numbers[(column / group * rows + row) * group + column % group] = (row * 100 + column) as f32;
            }
        }
        let grouped = Grouped::new(&numbers, rows, columns, group);
        let mut row = vec![0.0; 12];
        grouped.copy_row(2, &mut row);
        assert_eq!(row[..columns], [200., 201., 202., 203., 204., 205., 206., 207., 208., 209.]);
        assert_eq!(grouped.part(1, 4, 3), [104., 105., 106.]);
        let mut some = [0.0; 4];
        grouped.copy_columns(1, 3, &mut some);
        assert_eq!(some, [103., 104., 105., 106.]);
    }
}
