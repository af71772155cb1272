//! Keys and values of a sequence, in pages of 64 positions that sequences with the same prefix share.

use std::io;
use std::sync::Arc;

use super::Ctx;
use super::activations::Grouped;
use super::blocks::{PANEL, PlainBlock, Stored};
use super::lanes::{Kernel, LANES, Lanes};
use super::memory::Memory;

/// Positions of a page: two panels of keys.
pub(in crate::inference) const PAGE: usize = 2 * PANEL;

/// The shape of the keys and values of one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inference) struct Shape {
    pub(in crate::inference) layers: usize,
    /// H: heads of a layer.
    pub(in crate::inference) heads: usize,
    /// D: width of a head.
    pub(in crate::inference) head_width: usize,
}

impl Shape {
    /// C: width of all heads together.
    pub(in crate::inference) fn width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Registers that hold a head's value.
    pub(in crate::inference) fn groups(&self) -> usize {
        self.head_width.div_ceil(LANES)
    }
}

/// Keys and values of 64 positions in every layer. Keys have the layout of weights whose outputs are the positions; values lie position
/// by position, each padded to whole registers.
#[derive(Debug)]
pub(in crate::inference) struct Page<T> {
    keys: Memory<PlainBlock<T>>, // [layers, H, 2, D]
    values: Memory<[T; LANES]>,  // [layers, H, 64, groups]
}

impl<T: Stored> Page<T> {
    fn new(shape: &Shape) -> io::Result<Self> {
        let heads = shape.layers * shape.heads;
        Ok(Self {
            keys: Memory::zeroed(heads * 2 * shape.head_width)?,
            values: Memory::zeroed(heads * PAGE * shape.groups())?,
        })
    }

    fn duplicate(&self) -> io::Result<Self> {
        Ok(Self { keys: self.keys.duplicate()?, values: self.values.duplicate()? })
    }

    /// The keys of one head, [2, D].
    #[inline(always)]
    pub(in crate::inference) fn keys(&self, shape: &Shape, layer: usize, head: usize) -> &[PlainBlock<T>] {
        let count = 2 * shape.head_width;
        &self.keys[(layer * shape.heads + head) * count..][..count]
    }

    /// The values of one head, [64, groups].
    #[inline(always)]
    pub(in crate::inference) fn values(&self, shape: &Shape, layer: usize, head: usize) -> &[[T; LANES]] {
        let count = PAGE * shape.groups();
        &self.values[(layer * shape.heads + head) * count..][..count]
    }
}

/// The pages of one sequence.
#[derive(Debug)]
pub(in crate::inference) struct Pages<T> {
    shape: Shape,
    pages: Vec<Arc<Page<T>>>,
}

impl<T: Stored> Pages<T> {
    pub(in crate::inference) fn new(shape: Shape) -> Self {
        Self { shape, pages: Vec::new() }
    }

    pub(in crate::inference) fn pages(&self) -> &[Arc<Page<T>>] {
        &self.pages
    }

    /// The pages of the first `length` positions, shared until one of the sequences writes into them.
    pub(in crate::inference) fn share(&self, length: usize) -> Self {
        let pages = self.pages.iter().take(length.div_ceil(PAGE)).cloned().collect();
        Self { shape: self.shape, pages }
    }

    /// Releases the pages after `length` positions.
    pub(in crate::inference) fn truncate(&mut self, length: usize) {
        self.pages.truncate(length.div_ceil(PAGE));
    }

    /// Prepares writes to the positions from `before` up to `end`: adds missing pages and copies shared ones.
    ///
    /// # Errors
    /// The system's error if it has no memory.
    pub(in crate::inference) fn reserve(&mut self, before: usize, end: usize) -> io::Result<()> {
        for page in before / PAGE..end.div_ceil(PAGE) {
            let Some(page) = self.pages.get_mut(page) else {
                self.pages.push(Arc::new(Page::new(&self.shape)?));
                continue;
            };
            if Arc::get_mut(page).is_none() {
                *page = Arc::new(page.duplicate()?);
            }
        }
        Ok(())
    }

    /// Splits the writes of `rows` positions from `before` on by page; `row` is the first row of the call to write. The positions were
    /// reserved.
    pub(in crate::inference) fn writers(
        &mut self,
        before: usize,
        row: usize,
        rows: usize,
    ) -> Vec<Append<'_, T>> {
        let shape = self.shape;
        let pages = self.pages.iter_mut().enumerate().skip(before / PAGE);
        let appends = pages.filter_map(|(p, page)| {
            let first = before.max(p * PAGE);
            let end = (before + rows).min((p + 1) * PAGE);
            let page = Arc::get_mut(page)?;
            (first < end).then(|| Append {
                shape,
                page,
                row: row + first - before,
                slot: first % PAGE,
                count: end - first,
            })
        });
        appends.collect()
    }
}

/// The rows whose keys and values go into one page.
#[derive(Debug)]
pub(in crate::inference) struct Append<'a, T> {
    shape: Shape,
    page: &'a mut Page<T>,
    /// The first row of the call.
    row: usize,
    /// Its position in the page.
    slot: usize,
    count: usize,
}

/// Writes the keys and values of one layer from `qkv`, [rows, 3·C].
pub(in crate::inference) fn append<T: Stored>(
    ctx: Ctx<'_>,
    layer: usize,
    qkv: Grouped<'_>,
    to: &mut [Append<'_, T>],
) {
    ctx.team.each(to, |_, append| ctx.level.run(WritePage { layer, qkv, append }));
}

struct WritePage<'a, 'b, T> {
    layer: usize,
    qkv: Grouped<'a>,
    append: &'a mut Append<'b, T>,
}

impl<T: Stored> Kernel for WritePage<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { layer, qkv, append: Append { shape, page, row, slot, count } } = self;
        let (d, groups) = (shape.head_width, shape.groups());
        let mut number = vec![0.0; groups * LANES];
        let mut stored = vec![[T::zeroed(); LANES]; groups];
        for i in 0..*count {
            let (row, slot) = (*row + i, *slot + i);
            for head in 0..shape.heads {
                let at = layer * shape.heads + head;
                qkv.copy_columns(row, shape.width() + head * d, &mut number[..d]);
                for (x, to) in number.as_chunks::<LANES>().0.iter().zip(&mut stored) {
                    T::store(l, l.load(x), to);
                }
                let keys = &mut page.keys[(at * 2 + slot / PANEL) * d..][..d];
                let (half, lane) = (slot % PANEL / LANES, slot % LANES);
                for (key, &x) in keys.iter_mut().zip(stored.as_flattened()) {
                    key.0[half][lane] = x;
                }
                qkv.copy_columns(row, 2 * shape.width() + head * d, &mut number[..d]);
                let values = &mut page.values[(at * PAGE + slot) * groups..][..groups];
                for (x, to) in number.as_chunks::<LANES>().0.iter().zip(values) {
                    T::store(l, l.load(x), to);
                }
            }
        }
    }
}
