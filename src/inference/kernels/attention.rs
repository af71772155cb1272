//! Causal attention over pages of keys and values, head by head.
//!
//! Scores are the product of the keys, laid out as weights, with some queries; softmax follows; then the values are summed position by
//! position. The sums of a query do not depend on the queries computed with it.

use std::sync::Arc;

use super::Ctx;
use super::activations::Grouped;
use super::blocks::{PANEL, PlainBlock, Stored, WeightBlock as _};
use super::functions::exponentials;
use super::inputs::TileInputs;
use super::lanes::{Kernel, LANES, Lanes};
use super::pages::{PAGE, Page, Shape};
use super::team::Team;

/// One sequence of a call: its rows are contiguous.
#[derive(Debug)]
pub(in crate::inference) struct Sequence<'a, T> {
    pub(in crate::inference) pages: &'a [Arc<Page<T>>],
    /// The position of its first row.
    pub(in crate::inference) before: usize,
    /// The index of its first row in the call.
    pub(in crate::inference) row: usize,
    pub(in crate::inference) rows: usize,
}

/// The layer whose attention is computed, and its queries.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Queries<'a> {
    pub(in crate::inference) shape: &'a Shape,
    pub(in crate::inference) layer: usize,
    pub(in crate::inference) qkv: Grouped<'a>, // [rows, 3·C]
    /// Factor of the queries, such as 1 / √D.
    pub(in crate::inference) scale: f32,
}

/// Computes the attention of one layer, [H, rows, D], into `out`.
pub(in crate::inference) fn attend<T: Stored>(
    ctx: Ctx<'_>,
    queries: Queries<'_>,
    sequences: &[Sequence<'_, T>],
    out: &mut [f32],
) {
    let per_head = queries.qkv.rows() * queries.shape.head_width;
    let together = heads_together(ctx.team, queries.shape, sequences);
    ctx.team.each_chunk(out, together * per_head, |part, out| {
        let heads = Heads { first: part * together, count: out.len() / per_head.max(1) };
        for sequence in sequences {
            ctx.level.run(SomeHeads { queries, heads, sequence, out: &mut *out });
        }
    });
}

/// The number of heads that a thread takes at a time. The heads of a page are contiguous. A sequence that is being generated has few
/// rows and reads its cache once: several heads make long reads. A prompt has many rows and reads one head again and again: a single
/// head stays in the processor's cache.
fn heads_together<T>(team: &Team, shape: &Shape, sequences: &[Sequence<'_, T>]) -> usize {
    /// Rows that the widest registers handle at once.
    const MAX_GENERATING_ROWS: usize = 6;
    if sequences.iter().all(|sequence| sequence.rows <= MAX_GENERATING_ROWS) {
        shape.heads.div_ceil(team.threads())
    } else {
        1
    }
}

/// A contiguous range of heads.
#[derive(Debug, Clone, Copy)]
struct Heads {
    first: usize,
    count: usize,
}

/// The attention of one sequence in some heads.
struct SomeHeads<'a, 'b, T> {
    queries: Queries<'a>,
    heads: Heads,
    sequence: &'a Sequence<'b, T>,
    out: &'a mut [f32], // [heads, rows of all sequences, D]
}

impl<T: Stored> Kernel for SomeHeads<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let max = (L::FLOAT_ROWS / 2).clamp(1, self.sequence.rows.max(1));
        let longest = (self.sequence.before + self.sequence.rows).next_multiple_of(PAGE) / LANES;
        let heads = self.heads.count;
        let mut buffers = Buffers {
            queries: vec![0.0; heads * max * self.queries.shape.head_width],
            query: vec![0.0; self.queries.shape.head_width],
            scores: vec![[0.0; LANES]; heads * max * longest],
            mixed: vec![[0.0; LANES]; heads * max * self.queries.shape.groups()],
            totals: vec![0.0; heads * max],
            longest,
        };
        let out = std::mem::take(&mut self.out);
        for first in (0..self.sequence.rows).step_by(max) {
            match max.min(self.sequence.rows - first) {
                1 => self.attend_rows::<L, 1>(l, first, &mut buffers, out),
                2 => self.attend_rows::<L, 2>(l, first, &mut buffers, out),
                3 => self.attend_rows::<L, 3>(l, first, &mut buffers, out),
                4 => self.attend_rows::<L, 4>(l, first, &mut buffers, out),
                5 => self.attend_rows::<L, 5>(l, first, &mut buffers, out),
                _ => self.attend_rows::<L, 6>(l, first, &mut buffers, out),
            }
        }
    }
}

/// Buffers for `R` queries of every head.
struct Buffers {
    queries: Vec<f32>, // [heads, D, R]
    query: Vec<f32>,
    scores: Vec<[f32; LANES]>, // [heads, R, longest]
    mixed: Vec<[f32; LANES]>,  // [heads, R, groups]
    totals: Vec<f32>,          // [heads, R]
    longest: usize,
}

impl<T: Stored> SomeHeads<'_, '_, T> {
    /// Computes `R` queries from the sequence's row `first` on.
    #[inline(always)]
    fn attend_rows<L: Lanes, const R: usize>(
        &self,
        l: L,
        first: usize,
        buffers: &mut Buffers,
        out: &mut [f32],
    ) {
        let visible = self.sequence.before + first + 1;
        self.copy_queries::<R>(first, buffers);
        self.score::<L, R>(l, visible + R - 1, buffers);
        for head in 0..self.heads.count {
            for r in 0..R {
                let scores = &mut buffers.scores[(head * R + r) * buffers.longest..][..buffers.longest];
                buffers.totals[head * R + r] = exponentials(l, scores, visible + r);
            }
        }
        self.weigh::<L, R>(l, visible + R - 1, buffers);
        self.copy_out::<L, R>(l, first, buffers, out);
    }

    /// Copies the queries of every head, [D, R], multiplied by the scale.
    #[inline(always)]
    fn copy_queries<const R: usize>(&self, first: usize, Buffers { queries, query, .. }: &mut Buffers) {
        let d = self.queries.shape.head_width;
        let scale = self.queries.scale;
        for (head, queries) in queries.chunks_exact_mut(R * d).take(self.heads.count).enumerate() {
            for r in 0..R {
                let column = (self.heads.first + head) * d;
                self.queries.qkv.copy_columns(self.sequence.row + first + r, column, query);
                for (to, &x) in queries.iter_mut().skip(r).step_by(R).zip(&*query) {
                    *to = x * scale;
                }
            }
        }
    }

    /// Computes the scores of the queries against the first `seen` keys, in whole panels.
    #[inline(always)]
    fn score<L: Lanes, const R: usize>(&self, l: L, seen: usize, buffers: &mut Buffers) {
        let d = self.queries.shape.head_width;
        for (page, panels) in pages_before(seen) {
            for head in 0..self.heads.count {
                let keys = self.sequence.pages[page].keys(
                    self.queries.shape,
                    self.queries.layer,
                    self.heads.first + head,
                );
                let queries = TileInputs::from_f32(R, &buffers.queries[head * R * d..][..R * d]);
                for panel in 0..panels {
                    let sums = PlainBlock::<T>::dot::<L, R>(l, &keys[panel * d..][..d], queries);
                    for (r, sums) in sums.iter().enumerate() {
                        let at = (head * R + r) * buffers.longest + 2 * (2 * page + panel);
                        let to = &mut buffers.scores[at..][..2];
                        l.store(sums[0], &mut to[0]);
                        l.store(sums[1], &mut to[1]);
                    }
                }
            }
        }
    }

    /// Computes Σ probability·value over the first `seen` positions for the queries of every head.
    #[inline(always)]
    fn weigh<L: Lanes, const R: usize>(&self, l: L, seen: usize, buffers: &mut Buffers) {
        let groups = self.queries.shape.groups();
        buffers.mixed.fill([0.0; LANES]);
        for (page, _) in pages_before(seen) {
            let count = PAGE.min(seen - page * PAGE);
            for head in 0..self.heads.count {
                let values = self.sequence.pages[page].values(
                    self.queries.shape,
                    self.queries.layer,
                    self.heads.first + head,
                );
                let mut powers: [&[f32]; R] = [&[]; R];
                for (r, powers) in powers.iter_mut().enumerate() {
                    let scores = &buffers.scores[(head * R + r) * buffers.longest..][..buffers.longest];
                    *powers = &scores.as_flattened()[page * PAGE..][..count];
                }
                let mixed = &mut buffers.mixed[head * R * groups..][..R * groups];
                if groups == 4 {
                    weigh_page::<L, T, R, 4>(l, &powers, Values { values, groups: 4, group: 0 }, mixed);
                } else {
                    for group in 0..groups {
                        weigh_page::<L, T, R, 1>(l, &powers, Values { values, groups, group }, mixed);
                    }
                }
            }
        }
    }

    /// Divides the sums by the totals of their weights and copies them into `out`.
    #[inline(always)]
    fn copy_out<L: Lanes, const R: usize>(&self, l: L, first: usize, buffers: &Buffers, out: &mut [f32]) {
        let (d, groups) = (self.queries.shape.head_width, self.queries.shape.groups());
        for (head, out) in out.chunks_exact_mut(self.queries.qkv.rows() * d).enumerate() {
            let rows = out[(self.sequence.row + first) * d..][..R * d].chunks_exact_mut(d);
            for (r, row) in rows.enumerate() {
                let scale = l.splat(1.0 / buffers.totals[head * R + r]);
                let mixed = &buffers.mixed[(head * R + r) * groups..][..groups];
                for (to, sum) in row.chunks_mut(LANES).zip(mixed) {
                    let mut whole = [0.0; LANES];
                    l.store(l.mul(l.load(sum), scale), &mut whole);
                    to.copy_from_slice(&whole[..to.len()]);
                }
            }
        }
    }
}

/// The pages of the first `seen` positions, each with the number of panels to read.
fn pages_before(seen: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..seen.div_ceil(PAGE)).map(move |page| (page, (seen - page * PAGE).div_ceil(PANEL).min(PAGE / PANEL)))
}

/// The values of one head in one page, [positions, groups], and the first group of columns to sum.
#[derive(Clone, Copy)]
struct Values<'a, T> {
    values: &'a [[T; LANES]],
    groups: usize,
    group: usize,
}

/// Adds Σ probability·value over the positions of one page to the sums of `R` queries, [R, groups], for `G` groups of columns.
#[inline(always)]
fn weigh_page<L: Lanes, T: Stored, const R: usize, const G: usize>(
    l: L,
    powers: &[&[f32]; R],
    values: Values<'_, T>,
    mixed: &mut [[f32; LANES]],
) {
    let Values { values, groups, group } = values;
    let mut sums = [[l.zero(); G]; R];
    for r in 0..R {
        for (g, sum) in sums[r].iter_mut().enumerate() {
            *sum = l.load(&mixed[r * groups + group + g]);
        }
    }
    let count = powers[0].len();
    for (t, value) in values[..count * groups].chunks_exact(groups).enumerate() {
        let value = &value[group..group + G];
        for (g, value) in value.iter().enumerate() {
            let value = T::load(l, value);
            for r in 0..R {
                sums[r][g] = l.mul_add(l.splat(powers[r][t]), value, sums[r][g]);
            }
        }
    }
    for r in 0..R {
        for (g, &sum) in sums[r].iter().enumerate() {
            l.store(sum, &mut mixed[r * groups + group + g]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Level;
    use super::super::pages::{Pages, append};
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed)) as f32 / 2f32.powi(31) - 1.0)
            .collect()
    }

    /// Attention of one sequence by its definition, in f64: `qkv` is [positions, 3·C], all of them.
    fn exact(shape: &Shape, qkv: &[f32], positions: usize) -> Vec<f64> {
        let (d, c) = (shape.head_width, shape.width());
        let at = |t: usize, which: usize, head: usize, k: usize| {
            f64::from(qkv[t * 3 * c + which * c + head * d + k])
        };
        let mut out = vec![0.0; positions * c];
        for row in 0..positions {
            for head in 0..shape.heads {
                let weights: Vec<f64> = (0..=row)
                    .map(|t| {
                        let dot: f64 = (0..d).map(|k| at(row, 0, head, k) * at(t, 1, head, k)).sum();
                        (dot / (d as f64).sqrt()).exp()
                    })
                    .collect();
                let sum: f64 = weights.iter().sum();
                for k in 0..d {
                    out[row * c + head * d + k] =
                        (0..=row).map(|t| weights[t] / sum * at(t, 2, head, k)).sum::<f64>();
                }
            }
        }
        out
    }

    /// Reads positions in `pieces` and returns attention, [positions, C], of layer 1 of 2.
    fn read<T: Stored>(level: Level, shape: &Shape, qkv: &[f32], pieces: &[usize]) -> Vec<f32> {
        let team = Team::new(2);
        let (d, c) = (shape.head_width, shape.width());
        let mut pages = Pages::<T>::new(*shape);
        let mut all = Vec::new();
        let mut before = 0;
        for &rows in pieces {
            let part = &qkv[before * 3 * c..(before + rows) * 3 * c];
            let part = Grouped::new(part, rows, 3 * c, 3 * c);
            pages.reserve(before, before + rows).unwrap();
            append(Ctx { team: &team, level }, 1, part, &mut pages.writers(before, 0, rows));
            let mut out = vec![f32::NAN; rows * c];
            let sequence = [Sequence { pages: pages.pages(), before, row: 0, rows }];
            let scale = 1.0 / (shape.head_width as f32).sqrt();
            let queries = Queries { shape, layer: 1, qkv: part, scale };
            attend(Ctx { team: &team, level }, queries, &sequence, &mut out);
            for row in 0..rows {
                for head in 0..shape.heads {
                    all.extend(&out[(head * rows + row) * d..][..d]);
                }
            }
            before += rows;
        }
        all
    }

    #[test]
    fn agrees_with_the_definition_for_every_shape_level_and_type() {
        for (heads, head_width, pieces) in [
            (1, 8, &[1, 1][..]),
            (2, 64, &[70, 1, 1, 7]),
            (3, 20, &[5, 3]),
            (2, 64, &[37, 30, 64]),
            (5, 16, &[31, 33]),
            (1, 40, &[90, 6]),
        ] {
            let shape = Shape { layers: 2, heads, head_width };
            let positions: usize = pieces.iter().sum();
            let qkv = numbers(positions * 3 * shape.width(), 5);
            let exact = exact(&shape, &qkv, positions);
            for level in Level::all() {
                let wide = read::<f32>(level, &shape, &qkv, pieces);
                let narrow = read::<u16>(level, &shape, &qkv, pieces);
                for ((x, half), exact) in wide.iter().zip(narrow).zip(&exact) {
                    assert!((f64::from(*x) - exact).abs() < 1e-5, "{level:?} {shape:?}: {x} for {exact}");
                    assert!(
                        (f64::from(half) - exact).abs() < 2e-3,
                        "{level:?} {shape:?}: {half} for {exact}"
                    );
                }
                // The same bits for every division into calls.
                assert_eq!(read::<f32>(level, &shape, &qkv, &[positions]), wide);
                assert_eq!(read::<f32>(level, &shape, &qkv, &vec![1; positions]), wide);
            }
        }
    }

    #[test]
    fn sequences_that_share_pages_do_not_see_each_others_writes() {
        let shape = Shape { layers: 1, heads: 1, head_width: 16 };
        let mut first = Pages::<f32>::new(shape);
        let team = Team::new(1);
        let write = |pages: &mut Pages<f32>, before: usize, rows: usize, x: f32| {
            let qkv = vec![x; rows * 48];
            pages.reserve(before, before + rows).unwrap();
            let mut to = pages.writers(before, 0, rows);
            append(Ctx { team: &team, level: Level::best() }, 0, Grouped::new(&qkv, rows, 48, 48), &mut to);
        };
        write(&mut first, 0, 100, 1.0);
        let mut second = first.share(80);
        assert!(Arc::ptr_eq(&first.pages()[0], &second.pages()[0]));
        write(&mut second, 80, 5, 2.0);
        write(&mut first, 100, 1, 3.0);
        assert!(Arc::ptr_eq(&first.pages()[0], &second.pages()[0]));
        let value = |pages: &Pages<f32>, t: usize| pages.pages()[t / PAGE].values(&shape, 0, 0)[t % PAGE][0];
        assert_eq!((value(&first, 80), value(&second, 80)), (1.0, 2.0));
        assert_eq!((value(&first, 79), value(&second, 79)), (1.0, 1.0));
        assert_eq!(value(&first, 100), 3.0);
    }
}
