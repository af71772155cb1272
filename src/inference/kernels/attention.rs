//! Causal attention of one block over its cache, head by head, without ever holding all scores.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::functions::softmax;
use super::lanes::{Input, dot_rows};

/// Queries that share one pass over keys and values.
const QUERIES: usize = 4;

/// Keys side by side: two of the widest registers; with [`QUERIES`], sums that fit into registers.
const TILE: usize = 32;

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
            let qkv = &qkv[head * d..];
            pulp::Arch::new().dispatch(OneHead { shape: self, qkv, keys, values, out });
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
}

/// Attention of one head.
struct OneHead<'a> {
    shape: &'a Shape,
    qkv: &'a [f32],     // from this head's first query on
    keys: &'a [f32],    // [seen, D]
    values: &'a [f32],  // [seen, D]
    out: &'a mut [f32], // [N, D]
}

impl WithSimd for OneHead<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.shape.rows < QUERIES {
            self.one_by_one(simd);
        } else {
            self.in_tiles(simd);
        }
    }
}

impl OneHead<'_> {
    fn query(&self, i: usize) -> &[f32] {
        &self.qkv[i * 3 * self.shape.width()..][..self.shape.head_width]
    }

    #[inline(always)]
    fn one_by_one<S: Simd>(self, simd: S) {
        let d = self.shape.head_width;
        for i in 0..self.shape.rows {
            let seen = self.shape.before + i + 1;
            let mut scores = vec![0.0; seen];
            score_rows(simd, self.query(i), &self.keys[..seen * d], &mut scores);
            softmax(&mut scores);
            weigh(simd, [&scores], self.values, &mut self.out[i * d..][..d]);
        }
    }

    #[inline(always)]
    fn in_tiles<S: Simd>(self, simd: S) {
        let (n, d) = (self.shape.rows, self.shape.head_width);
        let room = (self.shape.before + n).next_multiple_of(TILE);
        let tiles = Tiles::of(self.keys, d);
        let mut scores = [const { Vec::new() }; QUERIES];
        scores.iter_mut().for_each(|scores| scores.resize(room, 0.0));
        let mut weighed = vec![0.0; QUERIES * d];
        for first in (0..n).step_by(QUERIES) {
            let rows = QUERIES.min(n - first);
            // Rows past the end repeat the last query; what they give is not copied out.
            let row = |r: usize| first + r.min(rows - 1);
            let queries = [self.query(row(0)), self.query(row(1)), self.query(row(2)), self.query(row(3))];
            let longest = self.shape.before + row(QUERIES) + 1;
            tiles.score(simd, queries, longest, &mut scores);
            for (r, scores) in scores.iter_mut().enumerate() {
                let visible = self.shape.before + row(r) + 1;
                softmax(&mut scores[..visible]);
                scores[visible..longest].fill(0.0);
            }
            let [a, b, c, d_] = &scores;
            let probabilities = [&a[..longest], &b[..longest], &c[..longest], &d_[..longest]];
            weigh(simd, probabilities, self.values, &mut weighed);
            self.out[first * d..][..rows * d].copy_from_slice(&weighed[..rows * d]);
        }
    }
}

fn scale(d: usize) -> f32 {
    1.0 / (d as f32).sqrt()
}

/// Scores of one query against `keys`, [seen, D].
#[inline(always)]
fn score_rows<S: Simd>(simd: S, query: &[f32], keys: &[f32], scores: &mut [f32]) {
    let d = query.len();
    let scale = scale(d);
    let query = Input::new::<f32>(query);
    let mut blocks = keys.chunks_exact(4 * d);
    let mut outputs = scores.chunks_exact_mut(4);
    for (block, scores) in (&mut blocks).zip(&mut outputs) {
        let (ab, cd) = block.split_at(2 * d);
        let ((a, b), (c, e)) = (ab.split_at(d), cd.split_at(d));
        let dots = dot_rows(simd, [a, b, c, e], &query);
        for (score, dot) in scores.iter_mut().zip(dots) {
            *score = dot * scale;
        }
    }
    let rest = blocks.remainder().chunks_exact(d);
    for (key, score) in rest.zip(outputs.into_remainder()) {
        let [dot] = dot_rows(simd, [key], &query);
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
    fn score<S: Simd>(
        &self,
        simd: S,
        queries: [&[f32]; QUERIES],
        seen: usize,
        scores: &mut [Vec<f32>; QUERIES],
    ) {
        let d = self.head_width;
        let scale = simd.splat_f32s(scale(d));
        for (t, tile) in self.tiles.chunks_exact(TILE * d).take(seen.div_ceil(TILE)).enumerate() {
            for at in (0..TILE).step_by(2 * S::F32_LANES) {
                let mut sums = [[simd.splat_f32s(0.0); 2]; QUERIES];
                for (i, column) in tile.chunks_exact(TILE).enumerate() {
                    let keys = S::as_simd_f32s(&column[at..]).0;
                    for r in 0..QUERIES {
                        let q = simd.splat_f32s(queries[r][i]);
                        sums[r][0] = simd.mul_add_e_f32s(q, keys[0], sums[r][0]);
                        sums[r][1] = simd.mul_add_e_f32s(q, keys[1], sums[r][1]);
                    }
                }
                for r in 0..QUERIES {
                    let scores = S::as_mut_simd_f32s(&mut scores[r][t * TILE + at..]).0;
                    scores[0] = simd.mul_f32s(sums[r][0], scale);
                    scores[1] = simd.mul_f32s(sums[r][1], scale);
                }
            }
        }
    }
}

/// Σ probability·value for `R` queries: `values` is [seen or more, D], `out` is [R, D].
#[inline(always)]
fn weigh<S: Simd, const R: usize>(simd: S, probabilities: [&[f32]; R], values: &[f32], out: &mut [f32]) {
    let d = out.len() / R;
    let seen = probabilities[0].len();
    let whole = d / S::F32_LANES * S::F32_LANES;
    for column in (0..whole).step_by(S::F32_LANES) {
        let mut sums = [simd.splat_f32s(0.0); R];
        for (t, value) in values.chunks_exact(d).take(seen).enumerate() {
            let value = S::as_simd_f32s(&value[column..]).0[0];
            for r in 0..R {
                sums[r] = simd.mul_add_e_f32s(simd.splat_f32s(probabilities[r][t]), value, sums[r]);
            }
        }
        for r in 0..R {
            S::as_mut_simd_f32s(&mut out[r * d + column..]).0[0] = sums[r];
        }
    }
    for column in whole..d {
        for (out, p) in out.chunks_exact_mut(d).zip(probabilities) {
            out[column] = p.iter().zip(values.chunks_exact(d)).map(|(p, v)| p * v[column]).sum();
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
