//! One forward pass of some rows through all blocks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Block, Linear, NativeModel};
use crate::checkpoint::config::{Activation, Architecture, ModelConfig};
use crate::inference::activation;
use crate::inference::cache::cache_shape;
use crate::inference::kernels::activations::{Grouped, PanelRow, panels};
use crate::inference::kernels::attention::{Queries, Sequence, attend};
use crate::inference::kernels::blocks::{PANEL, Stored};
use crate::inference::kernels::inputs::{Inputs, Source};
use crate::inference::kernels::lanes::LANES;
use crate::inference::kernels::matrix::{After, Epilogue, Matrix};
use crate::inference::kernels::pages::{Pages, Shape, append};
use crate::inference::{BatchVisitor, Error};

/// Maximum number of rows whose logits are held at a time.
const LOGIT_ROWS: usize = 64;

/// The tokens of one sequence in a forward pass.
#[derive(Debug)]
pub(in crate::inference) struct Part<'a, T> {
    /// The caller's index of the sequence.
    pub(in crate::inference) sequence: usize,
    pub(in crate::inference) tokens: &'a [u32],
    pub(in crate::inference) pages: &'a mut Pages<T>,
    /// Number of positions in the pages.
    pub(in crate::inference) before: usize,
    /// The index of the first token whose logits are needed; the number of tokens for none.
    pub(in crate::inference) first: usize,
}

/// Buffers that forward passes reuse.
#[derive(Debug, Default)]
pub(in crate::inference) struct Workspace {
    x: Vec<PanelRow>,    // the residual stream, [C / 32, N, 32]
    wide: Vec<PanelRow>, // queries, keys and values, or the hidden layer: [3·C or inner / 32, N, 32]
    mixed: Vec<f32>,     // the output of attention, [H, N, D]
    inputs: Inputs,
    chosen: Vec<PanelRow>, // the rows whose logits are needed, [C / 32, rows, 32]
    logits: Vec<PanelRow>, // [V / 32, rows, 32]
    row: Vec<f32>,         // the logits of one row, [V]
}

/// The first `count` elements of a buffer, with any contents.
fn room<T: Copy>(buffer: &mut Vec<T>, count: usize, filler: T) -> &mut [T] {
    if buffer.len() < count {
        buffer.resize(count, filler);
    }
    &mut buffer[..count]
}

const NOTHING: PanelRow = [[0.0; LANES]; 2];

/// The sizes of one forward pass.
#[derive(Clone, Copy)]
struct Pass<'a> {
    config: &'a ModelConfig,
    shape: Shape,
    /// N: rows of all parts.
    rows: usize,
}

impl NativeModel {
    /// Reads the tokens of all parts, and calls `visit` with the logits, \[V\], that each part needs: the index of the sequence, the
    /// index of the token in the part, and the logits of the next token.
    ///
    /// # Errors
    /// [`Error::CacheMemory`], and the errors of `visit`.
    pub(in crate::inference) fn forward<T: Stored>(
        &self,
        config: &ModelConfig,
        parts: &mut [Part<'_, T>],
        visit: &mut BatchVisitor<'_>,
    ) -> Result<(), Error> {
        for part in parts.iter_mut() {
            let end = part.before + part.tokens.len();
            part.pages.reserve(part.before, end).map_err(Error::CacheMemory)?;
        }
        let rows = parts.iter().map(|part| part.tokens.len()).sum();
        let pass = Pass { config, shape: cache_shape(config), rows };
        let mut workspace = lock(&self.workspace);
        let workspace = &mut *workspace;
        self.embed(workspace, pass, parts);
        for (layer, block) in self.blocks.iter().enumerate() {
            self.run_block(workspace, pass, layer, block, parts);
        }
        self.compute_logits(workspace, pass, parts, visit)
    }

    fn embed<T>(&self, workspace: &mut Workspace, pass: Pass<'_>, parts: &[Part<'_, T>]) {
        let (width, rows) = (pass.config.width, pass.rows);
        let x = room(&mut workspace.x, panels(width) * rows, NOTHING);
        let at: Vec<(usize, usize)> = parts
            .iter()
            .flat_map(|part| {
                (part.before..).zip(part.tokens).map(|(position, &token)| (position, token as usize))
            })
            .collect();
        self.team.each_chunk(x, rows, |panel, x| {
            let first = panel * PANEL;
            let count = PANEL.min(width - first);
            for (x, &(position, token)) in x.iter_mut().zip(&at) {
                let x = x.as_flattened_mut();
                self.tokens.copy_output(token, first, &mut x[..count]);
                let position = &self.positions[position * width + first..][..count];
                x.iter_mut().zip(position).for_each(|(x, position)| *x += position);
                x[count..].fill(0.0);
            }
        });
    }

    fn run_block<T: Stored>(
        &self,
        workspace: &mut Workspace,
        pass: Pass<'_>,
        layer: usize,
        block: &Block,
        parts: &mut [Part<'_, T>],
    ) {
        let Workspace { x, wide, mixed, inputs, .. } = workspace;
        let Pass { shape, rows, .. } = pass;
        let (ctx, width, gpt2) = (self.ctx(), shape.width(), self.architecture == Architecture::Gpt2);
        let x = room(x, panels(width) * rows, NOTHING);
        let before = |norm| if gpt2 { Some(norm) } else { None };

        let source = Source { x: Grouped::panels(x, rows, width), norm: before(&block.norm_1) };
        let qkv = room(wide, panels(3 * width) * rows, NOTHING);
        self.project(&block.qkv, After::Store, inputs, source, qkv);
        let qkv = Grouped::panels(qkv, rows, 3 * width);
        let mut first = 0;
        let mut to_write = Vec::with_capacity(parts.len());
        for part in parts.iter_mut() {
            to_write.extend(part.pages.writers(part.before, first, part.tokens.len()));
            first += part.tokens.len();
        }
        append(ctx, layer, qkv, &mut to_write);
        let mixed = room(mixed, width * rows, 0.0);
        let scale = self.attention_scale.factor(shape.head_width, layer);
        attend(ctx, Queries { shape: &shape, layer, qkv, scale }, &sequences(parts), mixed);
        let source = Source { x: Grouped::new(mixed, rows, width, shape.head_width), norm: None };
        self.project(&block.output, After::Add, inputs, source, x);
        if !gpt2 {
            inputs.normalize(ctx, &block.norm_1, x, rows);
        }

        let source = Source { x: Grouped::panels(x, rows, width), norm: before(&block.norm_2) };
        let inner = block.up.matrix.outputs();
        let hidden = room(wide, panels(inner) * rows, NOTHING);
        if self.activation == Activation::GeluTanh {
            self.project(&block.up, After::Gelu, inputs, source, hidden);
        } else {
            self.project(&block.up, After::Store, inputs, source, hidden);
            ctx.team.each_chunk(hidden, rows, |_, hidden| {
                let numbers = hidden.as_flattened_mut().as_flattened_mut();
                numbers.iter_mut().for_each(|x| *x = activation::apply(self.activation, *x));
            });
        }
        let source = Source { x: Grouped::panels(hidden, rows, inner), norm: None };
        self.project(&block.down, After::Add, inputs, source, x);
        if !gpt2 {
            inputs.normalize(ctx, &block.norm_2, x, rows);
        }
    }

    fn project(
        &self,
        linear: &Linear,
        after: After,
        inputs: &mut Inputs,
        source: Source<'_>,
        y: &mut [PanelRow],
    ) {
        inputs.fill(self.ctx(), linear.matrix.form(), source);
        linear.matrix.product(self.ctx(), inputs, Epilogue { bias: &linear.bias, after }, y);
    }

    fn compute_logits<T>(
        &self,
        workspace: &mut Workspace,
        pass: Pass<'_>,
        parts: &[Part<'_, T>],
        visit: &mut BatchVisitor<'_>,
    ) -> Result<(), Error> {
        let Workspace { x, inputs, chosen, logits, row: one, .. } = workspace;
        let head: &Matrix = self.head.as_ref().unwrap_or(&self.tokens);
        let (width, vocabulary) = (pass.config.width, pass.config.vocabulary);
        let mut wanted = Vec::new(); // (row, sequence, token)
        let mut first = 0;
        for part in parts {
            wanted.extend((part.first..part.tokens.len()).map(|token| (first + token, part.sequence, token)));
            first += part.tokens.len();
        }
        for wanted in wanted.chunks(LOGIT_ROWS) {
            let count = wanted.len();
            let chosen = room(chosen, panels(width) * count, NOTHING);
            for (to, from) in chosen.chunks_exact_mut(count).zip(x.chunks_exact(pass.rows)) {
                to.iter_mut().zip(wanted).for_each(|(to, &(row, ..))| *to = from[row]);
            }
            let source = Source { x: Grouped::panels(chosen, count, width), norm: self.final_norm.as_ref() };
            let logits = room(logits, panels(vocabulary) * count, NOTHING);
            inputs.fill(self.ctx(), head.form(), source);
            head.product(self.ctx(), inputs, Epilogue { bias: &[], after: After::Store }, logits);
            let logits = Grouped::panels(logits, count, vocabulary);
            for (i, &(_, sequence, token)) in wanted.iter().enumerate() {
                let one = room(one, vocabulary, 0.0);
                logits.copy_row(i, one);
                visit(sequence, token, one)?;
            }
        }
        Ok(())
    }
}

/// The sequences of the parts, for attention.
fn sequences<'a, T: Stored>(parts: &'a [Part<'_, T>]) -> Vec<Sequence<'a, T>> {
    let mut row = 0;
    let sequence = |part: &'a Part<'_, T>| {
        let rows = part.tokens.len();
        row += rows;
        Sequence { pages: part.pages.pages(), before: part.before, row: row - rows, rows }
    };
    parts.iter().map(sequence).collect()
}

/// Locks the workspace; a forward pass overwrites what a panic left in it.
fn lock(workspace: &Mutex<Workspace>) -> MutexGuard<'_, Workspace> {
    workspace.lock().unwrap_or_else(PoisonError::into_inner)
}
