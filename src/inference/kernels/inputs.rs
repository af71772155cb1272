//! Activations made ready for a product: normed, rounded to what the weights want, and laid out for tiles of rows.

use super::activations::{Grouped, Norm, PanelRow};
use super::lanes::{Kernel, LANES, Lanes, Level};
use super::steps::PANEL;
use super::team::Team;

/// What weights want their activations as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inference) enum Form {
    /// f32.
    Floats,
    /// bfloat16, two inputs to a word.
    Brains,
    /// 8 bits, four inputs to a word, with a scale for each so many inputs of a row.
    Blocks(usize),
}

impl Form {
    /// Inputs of which every row is a multiple.
    fn depth(self) -> usize {
        match self {
            Self::Floats => 1,
            Self::Brains => 2,
            Self::Blocks(depth) => depth,
        }
    }

    /// Rows of a tile at this level.
    pub(in crate::inference) fn tile_rows(self, level: Level) -> usize {
        struct Rows(Form);
        impl Kernel for Rows {
            type Output = usize;

            #[inline(always)]
            fn run<L: Lanes>(self, _: L) -> usize {
                if let Form::Blocks(_) = self.0 { L::INTEGER_ROWS } else { L::FLOAT_ROWS }
            }
        }
        level.run(Rows(self))
    }
}

/// What a product's activations come from: rows, and a norm for each.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Source<'a> {
    pub(in crate::inference) x: Grouped<'a>,
    pub(in crate::inference) norm: Option<&'a Norm>,
}

/// Rows of activations in tiles: of each input, or few of them, those of all rows of the tile side by side.
#[derive(Debug, Default)]
pub(in crate::inference) struct Inputs {
    tiles: Vec<Tile>,
    rows: usize,
}

/// The activations of some rows; a buffer that serves one product after another.
#[derive(Debug, Default)]
struct Tile {
    rows: usize,
    /// The row in f32, while it is made.
    row: Vec<f32>,
    floats: Vec<f32>,
    words: Vec<u32>,
    scales: Vec<f32>,
    totals: Vec<i32>,
}

/// A tile as a product reads it. For R rows: `floats` are [inputs, R]; `words` [inputs / 2 or 4, R]; `scales` and `totals`,
/// the sums of a block's bytes, [blocks, R].
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct TileInputs<'a> {
    pub(in crate::inference) rows: usize,
    pub(in crate::inference) floats: &'a [f32],
    pub(in crate::inference) words: &'a [u32],
    pub(in crate::inference) scales: &'a [f32],
    pub(in crate::inference) totals: &'a [i32],
}

impl<'a> TileInputs<'a> {
    /// One tile of f32.
    pub(in crate::inference) fn of_floats(rows: usize, floats: &'a [f32]) -> Self {
        Self { rows, floats, words: &[], scales: &[], totals: &[] }
    }
}

impl Inputs {
    /// Makes `source` ready in `form`, for tiles of this level.
    pub(in crate::inference) fn fill(
        &mut self,
        (team, level): (&Team, Level),
        form: Form,
        source: Source<'_>,
    ) {
        let max = form.tile_rows(level);
        let rows = source.x.rows();
        self.rows = rows;
        let count = rows.div_ceil(max);
        if self.tiles.len() < count {
            self.tiles.resize_with(count, Tile::default);
        }
        let tiles = &mut self.tiles[..count];
        team.each(tiles, |i, tile| {
            tile.rows = max.min(rows - i * max);
            level.run(Fill { tile, form, source, first: i * max });
        });
    }

    /// Norms every row of `x`, [panels, rows], in place.
    pub(in crate::inference) fn norm(
        &mut self,
        (team, level): (&Team, Level),
        norm: &Norm,
        x: &mut [PanelRow],
        rows: usize,
    ) {
        let columns = norm.weight.len();
        let source = Source { x: Grouped::panels(x, rows, columns), norm: Some(norm) };
        self.fill((team, level), Form::Floats, source);
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
            Form::Floats => tile.floats.resize(rows * width, 0.0),
            Form::Brains => tile.words.resize(rows * width / 2, 0),
            Form::Blocks(_) => {
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
                Form::Floats if rows == 1 => tile.floats.copy_from_slice(&tile.row[..width]),
                Form::Floats => {
                    for (to, &x) in tile.floats.iter_mut().skip(r).step_by(rows).zip(&tile.row) {
                        *to = x;
                    }
                }
                Form::Brains => brains(l, &tile.row, &mut tile.words, (r, rows)),
                Form::Blocks(depth) => {
                    let blocks =
                        tile.row.chunks_exact(depth).zip(tile.words.chunks_exact_mut(rows * depth / 4));
                    for (b, (x, words)) in blocks.enumerate() {
                        let (scale, total) = block(l, x, words, (r, rows));
                        tile.scales[b * rows + r] = scale;
                        tile.totals[b * rows + r] = total;
                    }
                }
            }
        }
    }
}

/// Row `r` of `rows` as bfloat16.
#[inline(always)]
fn brains<L: Lanes>(l: L, row: &[f32], words: &mut [u32], (r, rows): (usize, usize)) {
    for (x, words) in row.as_chunks::<LANES>().0.iter().zip(words.chunks_mut(rows * LANES / 2)) {
        let pairs = l.to_brains(l.load(x));
        for (word, pair) in words.iter_mut().skip(r).step_by(rows).zip(pairs) {
            *word = pair;
        }
    }
}

/// One block of row `r` of `rows` in bytes: its scale and the sum of the bytes.
#[inline(always)]
fn block<L: Lanes>(l: L, x: &[f32], words: &mut [u32], (r, rows): (usize, usize)) -> (f32, i32) {
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
        let quads = l.to_bytes(bytes);
        for i in 0..4 {
            words[i * rows + r] = quads[i];
        }
    }
    (max / 127.0, l.sum_int(total))
}
