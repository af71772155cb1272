//! Causal attention of one block over its cache, head by head, without ever holding all scores.

use rayon::prelude::*;

use super::functions::softmax;
use super::lanes::{LANES, Lanes, add_product, dot_rows};

/// Queries that share one pass over keys and values.
const QUERIES: usize = 4;

/// Keys or columns of values side by side: with [`QUERIES`], what fits into registers.
const TILE: usize = 2 * LANES;

/// Cached numbers below which a second thread costs more than it helps.
const WORTH_A_THREAD: usize = 64 << 10;

/// The shape of one call.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Shape {
    /// H: heads.
    pub(in crate::inference) heads: usize,
    /// D: width of a head.
    pub(in crate::inference) head_width: usize,
    /// N: positions computed now.
    pub(in crate::inference) rows: usize,
    /// Positions that were in the cache before; row i sees `before + i + 1`.
    pub(in crate::inference) before: usize,
    /// Positions for which the cache has room.
    pub(in crate::inference) capacity: usize,
}

impl Shape {
    fn width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Copies keys and values of the new rows from `qkv`, [N, 3, H, D], into the cache, [H, capacity, D] each.
    pub(in crate::inference) fn append(&self, qkv: &[f32], which: usize, cache: &mut [f32]) {
        let (c, d) = (self.width(), self.head_width);
        for (i, row) in qkv.chunks_exact(3 * c).enumerate() {
            for (head, x) in row[which * c..][..c].chunks_exact(d).enumerate() {
                let at = (head * self.capacity + self.before + i) * d;
                cache[at..at + d].copy_from_slice(x);
            }
        }
    }

    /// Attention, [N, H, D], of the queries in `qkv`, [N, 3, H, D], over `keys` and `values`, [H, capacity, D].
    pub(in crate::inference) fn attend(&self, qkv: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
        let (n, d) = (self.rows, self.head_width);
        let seen = self.before + n;
        // [H, N, D] first, so that each head owns what it writes.
        let mut by_head = vec![0.0; self.heads * n * d];
        let one = |(head, out): (usize, &mut [f32])| {
            let cached = head * self.capacity * d..(head * self.capacity + seen) * d;
            let (keys, values) = (&keys[cached.clone()], &values[cached]);
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || self.one_head(&qkv[head * d..], (keys, values), out),
            );
        };
        if seen * n * self.width() < WORTH_A_THREAD {
            by_head.chunks_exact_mut(n * d).enumerate().for_each(one);
        } else {
            by_head.par_chunks_exact_mut(n * d).enumerate().for_each(one);
        }
        if n == 1 {
            return by_head;
        }
        let mut out = vec![0.0; by_head.len()];
        for (head, from) in by_head.chunks_exact(n * d).enumerate() {
            for (row, from) in out.chunks_exact_mut(self.width()).zip(from.chunks_exact(d)) {
                row[head * d..][..d].copy_from_slice(from);
            }
        }
        out
    }

    /// `qkv` begins at this head's first query; `cached` are its keys and values, [seen, D]; `out` is [N, D].
    #[inline(always)]
    fn one_head(&self, qkv: &[f32], cached: (&[f32], &[f32]), out: &mut [f32]) {
        let (d, stride) = (self.head_width, 3 * self.width());
        let (keys, values) = cached;
        let query = |i: usize| &qkv[i * stride..][..d];
        if self.rows < QUERIES {
            for (i, out) in out.chunks_exact_mut(d).enumerate() {
                let seen = self.before + i + 1;
                let mut scores = [vec![0.0; seen]];
                score_rows(query(i), &keys[..seen * d], &mut scores[0]);
                softmax(&mut scores[0]);
                weigh(&scores, values, d, out);
            }
            return;
        }
        let seen = self.before + self.rows;
        let tiles = Tiles::of(keys, d);
        let mut scores: [Vec<f32>; QUERIES] = std::array::from_fn(|_| vec![0.0; seen.next_multiple_of(TILE)]);
        for first in (0..self.rows).step_by(QUERIES) {
            let rows = QUERIES.min(self.rows - first);
            // Rows past the end repeat the last query; what they give is not copied out.
            let queries = std::array::from_fn(|r| query(first + r.min(rows - 1)));
            let visible = |r: usize| self.before + first + r.min(rows - 1) + 1;
            let longest = visible(rows - 1);
            tiles.score(queries, longest, &mut scores);
            for (r, scores) in scores.iter_mut().enumerate() {
                softmax(&mut scores[..visible(r)]);
                scores[visible(r)..longest].fill(0.0);
            }
            let part: [&[f32]; QUERIES] = std::array::from_fn(|r| &scores[r][..longest]);
            let mut weighed = vec![0.0; QUERIES * d];
            weigh(&part, values, d, &mut weighed);
            out[first * d..][..rows * d].copy_from_slice(&weighed[..rows * d]);
        }
    }
}

fn scale(d: usize) -> f32 {
    1.0 / (d as f32).sqrt()
}

/// Scores of one query against `keys`, [seen, D].
#[inline(always)]
fn score_rows(query: &[f32], keys: &[f32], scores: &mut [f32]) {
    let d = query.len();
    let scale = scale(d);
    let mut blocks = keys.chunks_exact(4 * d);
    let mut outputs = scores.chunks_exact_mut(4);
    for (block, scores) in (&mut blocks).zip(&mut outputs) {
        let rows: [&[f32]; 4] = std::array::from_fn(|r| &block[r * d..][..d]);
        for (score, dot) in scores.iter_mut().zip(dot_rows(rows, query)) {
            *score = dot * scale;
        }
    }
    let rest = blocks.remainder().chunks_exact(d);
    for (key, score) in rest.zip(outputs.into_remainder()) {
        let [dot] = dot_rows([key], query);
        *score = dot * scale;
    }
}

/// Keys of one head, transposed in tiles: [tiles, D, TILE], the last filled up with zeros.
struct Tiles {
    tiles: Vec<f32>,
    head_width: usize,
}

impl Tiles {
    fn of(keys: &[f32], d: usize) -> Self {
        let seen = keys.len() / d;
        let mut tiles = vec![0.0; seen.next_multiple_of(TILE) * d];
        for (tile, keys) in tiles.chunks_exact_mut(TILE * d).zip(keys.chunks(TILE * d)) {
            for (t, key) in keys.chunks_exact(d).enumerate() {
                for (column, &x) in tile.chunks_exact_mut(TILE).zip(key) {
                    column[t] = x;
                }
            }
        }
        Self { tiles, head_width: d }
    }

    /// Scores of several queries against the first `seen` keys, a whole tile at a time.
    #[inline(always)]
    fn score(&self, queries: [&[f32]; QUERIES], seen: usize, scores: &mut [Vec<f32>; QUERIES]) {
        let d = self.head_width;
        let scale = scale(d);
        let tiles = self.tiles.chunks_exact(TILE * d);
        for (t, tile) in tiles.take(seen.div_ceil(TILE)).enumerate() {
            let mut sums = [[[0.0; LANES]; 2]; QUERIES];
            for (i, column) in tile.as_chunks::<TILE>().0.iter().enumerate() {
                let halves = halves(column);
                for (sums, query) in sums.iter_mut().zip(&queries) {
                    let q = [query[i]; LANES];
                    add_product(&mut sums[0], &q, &halves[0]);
                    add_product(&mut sums[1], &q, &halves[1]);
                }
            }
            for (sums, scores) in sums.iter().zip(scores.iter_mut()) {
                let scores = &mut scores[t * TILE..][..TILE];
                for (score, sum) in scores.iter_mut().zip(sums.as_flattened()) {
                    *score = sum * scale;
                }
            }
        }
    }
}

#[inline(always)]
fn halves(tile: &[f32; TILE]) -> &[Lanes] {
    tile.as_chunks::<LANES>().0
}

/// Σ probability·value for `R` queries: `values` is [seen or more, D], `out` is [R, D].
#[inline(always)]
fn weigh<const R: usize, P: AsRef<[f32]>>(probabilities: &[P; R], values: &[f32], d: usize, out: &mut [f32]) {
    let whole = d / LANES * LANES;
    for column in (0..whole).step_by(LANES) {
        let mut sums = [[0.0; LANES]; R];
        for (t, value) in values.chunks_exact(d).enumerate().take(probabilities[0].as_ref().len()) {
            let Some(value) = value[column..].first_chunk::<LANES>() else {
                break;
            };
            for (sum, p) in sums.iter_mut().zip(probabilities) {
                add_product(sum, &[p.as_ref()[t]; LANES], value);
            }
        }
        for (out, sum) in out.chunks_exact_mut(d).zip(&sums) {
            out[column..column + LANES].copy_from_slice(sum);
        }
    }
    for column in whole..d {
        for (out, p) in out.chunks_exact_mut(d).zip(probabilities) {
            out[column] = p.as_ref().iter().zip(values.chunks_exact(d)).map(|(p, v)| p * v[column]).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed)) as f32 / 2f32.powi(31) - 1.0)
            .collect()
    }

    /// Attention as the definition has it, in f64.
    fn exact(shape: &Shape, qkv: &[f32], keys: &[f32], values: &[f32]) -> Vec<f64> {
        let (d, c) = (shape.head_width, shape.width());
        let mut out = Vec::new();
        for row in 0..shape.rows {
            for head in 0..shape.heads {
                let at =
                    |cache: &[f32], t: usize, k: usize| f64::from(cache[(head * shape.capacity + t) * d + k]);
                let seen = shape.before + row + 1;
                let weights: Vec<f64> = (0..seen)
                    .map(|t| {
                        let dot: f64 =
                            (0..d).map(|k| f64::from(qkv[row * 3 * c + head * d + k]) * at(keys, t, k)).sum();
                        (dot / (d as f64).sqrt()).exp()
                    })
                    .collect();
                let sum: f64 = weights.iter().sum();
                out.extend(
                    (0..d).map(|k| (0..seen).map(|t| weights[t] / sum * at(values, t, k)).sum::<f64>()),
                );
            }
        }
        out
    }

    #[test]
    fn agrees_with_the_definition_for_every_shape() {
        for (heads, head_width, rows, before) in
            [(1, 8, 1, 0), (2, 64, 1, 70), (3, 20, 3, 5), (2, 64, 37, 0), (5, 8, 33, 31), (1, 40, 6, 90)]
        {
            let shape = Shape { heads, head_width, rows, before, capacity: before + rows + 3 };
            let c = heads * head_width;
            let qkv = numbers(rows * 3 * c, 5);
            let mut keys = numbers(shape.capacity * c, 6);
            let mut values = numbers(shape.capacity * c, 7);
            shape.append(&qkv, 1, &mut keys);
            shape.append(&qkv, 2, &mut values);
            let out = shape.attend(&qkv, &keys, &values);
            let exact = exact(&shape, &qkv, &keys, &values);
            assert_eq!(out.len(), exact.len());
            for (x, exact) in out.iter().zip(exact) {
                assert!((f64::from(*x) - exact).abs() < 1e-5, "{shape:?}: {x} for {exact}");
            }
        }
    }
}
