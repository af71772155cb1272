//! Prepares activations for a product: applies the norm, rounds to the format that the weights need, and lays out tiles of rows.

use super::Ctx;
use super::activations::{Grouped, Norm, PanelRow};
use super::blocks::PANEL;
use super::lanes::{Kernel, LANES, Lanes, Level};

/// The format of activations that a format of weights needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inference) enum Form {
    F32,
    /// bfloat16, two inputs in a word.
    Bf16,
    /// Signed 8 bits, four inputs in a word, with one scale for each `depth` inputs of a row.
    Q8 {
        depth: usize,
    },
}

impl Form {
    /// Rows are padded with zeros to a multiple of this many inputs.
    fn depth(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Q8 { depth } => depth,
        }
    }

    /// The number of rows in a tile at this level.
    pub(in crate::inference) fn tile_rows(self, level: Level) -> usize {
        struct Rows(Form);
        impl Kernel for Rows {
            type Output = usize;

            #[inline(always)]
            fn run<L: Lanes>(self, _: L) -> usize {
                if let Form::Q8 { .. } = self.0 { L::INTEGER_ROWS } else { L::FLOAT_ROWS }
            }
        }
        level.run(Rows(self))
    }
}

/// The activations of a product, and the norm to apply to each row.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Source<'a> {
    pub(in crate::inference) x: Grouped<'a>,
    pub(in crate::inference) norm: Option<&'a Norm>,
}

/// Rows of activations in tiles: the numbers of one word of inputs for all rows of a tile lie side by side.
#[derive(Debug, Default)]
pub(in crate::inference) struct Inputs {
    tiles: Vec<Tile>,
    rows: usize,
}

/// The activations of some rows. Buffers are reused from product to product.
#[derive(Debug, Default)]
struct Tile {
    rows: usize,
    /// One row in f32, padded.
    row: Vec<f32>,
    floats: Vec<f32>,
    words: Vec<u32>,
    scales: Vec<f32>,
    totals: Vec<i32>,
}

/// A tile of R rows as a product reads it: `floats` is [inputs, R], `words` [inputs / 2 or inputs / 4, R], `scales` [blocks, R], and
/// `totals`, the sums of the bytes of each block, [blocks, R].
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct TileInputs<'a> {
    pub(in crate::inference) rows: usize,
    pub(in crate::inference) floats: &'a [f32],
    pub(in crate::inference) words: &'a [u32],
    pub(in crate::inference) scales: &'a [f32],
    pub(in crate::inference) totals: &'a [i32],
}

impl<'a> TileInputs<'a> {
    pub(in crate::inference) fn from_f32(rows: usize, floats: &'a [f32]) -> Self {
        Self { rows, floats, words: &[], scales: &[], totals: &[] }
    }
}

impl Inputs {
    /// Prepares `source` in `form`, in tiles of `ctx.level`.
    pub(in crate::inference) fn fill(&mut self, ctx: Ctx<'_>, form: Form, source: Source<'_>) {
        let max = form.tile_rows(ctx.level);
        let rows = source.x.rows();
        self.rows = rows;
        let count = rows.div_ceil(max);
        if self.tiles.len() < count {
            self.tiles.resize_with(count, Tile::default);
        }
        let tiles = &mut self.tiles[..count];
        ctx.team.each(tiles, |i, tile| {
            tile.rows = max.min(rows - i * max);
            ctx.level.run(Fill { tile, form, source, first: i * max });
        });
    }

    /// Normalizes every row of `x`, [panels, rows], in place.
    pub(in crate::inference) fn normalize(
        &mut self,
        ctx: Ctx<'_>,
        norm: &Norm,
        x: &mut [PanelRow],
        rows: usize,
    ) {
        let columns = norm.weight.len();
        let source = Source { x: Grouped::panels(x, rows, columns), norm: Some(norm) };
        self.fill(ctx, Form::F32, source);
        let mut first = 0;
        for tile in self.tiles() {
            for (column, numbers) in tile.floats.chunks_exact(tile.rows).enumerate() {
                for (row, &number) in (first..).zip(numbers) {
                    x[column / PANEL * rows + row].as_flattened_mut()[column % PANEL] = number;
                }
            }
            first += tile.rows;
        }
    }

    /// The number of rows that were prepared.
    pub(in crate::inference) fn rows(&self) -> usize {
        self.rows
    }

    /// The tiles, in the order of their rows.
    pub(in crate::inference) fn tiles(&self) -> impl Iterator<Item = TileInputs<'_>> {
        let mut left = self.rows;
        self.tiles.iter().map_while(move |tile| {
            if left == 0 {
                return None;
            }
            left -= tile.rows;
            let Tile { rows, floats, words, scales, totals, .. } = tile;
            Some(TileInputs { rows: *rows, floats, words, scales, totals })
        })
    }
}

struct Fill<'a> {
    tile: &'a mut Tile,
    form: Form,
    source: Source<'a>,
    first: usize,
}

impl Kernel for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { tile, form, source: Source { x, norm }, first } = self;
        let padded = x.columns().next_multiple_of(form.depth().max(LANES));
        let (rows, depth) = (tile.rows, form.depth());
        let width = x.columns().next_multiple_of(depth);
        tile.row.clear();
        tile.row.resize(padded, 0.0);
        match form {
            Form::F32 => tile.floats.resize(rows * width, 0.0),
            Form::Bf16 => tile.words.resize(rows * width / 2, 0),
            Form::Q8 { .. } => {
                tile.words.resize(rows * width / 4, 0);
                tile.scales.resize(rows * width / depth, 0.0);
                tile.totals.resize(rows * width / depth, 0);
            }
        }
        for r in 0..rows {
            x.copy_row(first + r, &mut tile.row);
            if let Some(norm) = norm {
                norm.apply(l, &mut tile.row);
            }
            match form {
                Form::F32 if rows == 1 => tile.floats.copy_from_slice(&tile.row[..width]),
                Form::F32 => {
                    for (to, &x) in tile.floats.iter_mut().skip(r).step_by(rows).zip(&tile.row) {
                        *to = x;
                    }
                }
                Form::Bf16 => store_bf16(l, &tile.row, &mut tile.words, RowOfTile { row: r, rows }),
                Form::Q8 { depth } => {
                    let blocks =
                        tile.row.chunks_exact(depth).zip(tile.words.chunks_exact_mut(rows * depth / 4));
                    for (b, (x, words)) in blocks.enumerate() {
                        let (scale, total) = store_q8(l, x, words, RowOfTile { row: r, rows });
                        tile.scales[b * rows + r] = scale;
                        tile.totals[b * rows + r] = total;
                    }
                }
            }
        }
    }
}

/// One row among the rows of a tile.
#[derive(Clone, Copy)]
struct RowOfTile {
    row: usize,
    rows: usize,
}

/// Stores a row as bfloat16, two inputs in a word.
#[inline(always)]
fn store_bf16<L: Lanes>(l: L, x: &[f32], words: &mut [u32], at: RowOfTile) {
    let RowOfTile { row, rows } = at;
    for (x, words) in x.as_chunks::<LANES>().0.iter().zip(words.chunks_mut(rows * LANES / 2)) {
        let pairs = l.to_bf16(l.load(x));
        for (word, pair) in words.iter_mut().skip(row).step_by(rows).zip(pairs) {
            *word = pair;
        }
    }
}

/// Stores one block of a row as signed bytes; returns its scale and the sum of the bytes.
#[inline(always)]
fn store_q8<L: Lanes>(l: L, x: &[f32], words: &mut [u32], at: RowOfTile) -> (f32, i32) {
    let RowOfTile { row, rows } = at;
    let x = x.as_chunks::<LANES>().0;
    let mut max = l.zero();
    for x in x {
        let x = l.load(x);
        max = l.max(max, l.max(x, l.sub(l.zero(), x)));
    }
    let max = l.greatest(max);
    let inverse = l.splat(if max > 0.0 { 127.0 / max } else { 0.0 });
    let mut total = l.splat_int(0);
    for (x, words) in x.iter().zip(words.chunks_exact_mut(rows * LANES / 4)) {
        let bytes = l.round(l.mul(l.load(x), inverse));
        total = l.add_int(total, bytes);
        let quads = l.to_i8(bytes);
        for i in 0..4 {
            words[i * rows + row] = quads[i];
        }
    }
    (max / 127.0, l.sum_int(total))
}
