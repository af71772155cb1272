//! One pass of some rows through all blocks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Block, Linear, NativeModel};
use crate::checkpoint::config::{Activation, Architecture, ModelConfig};
use crate::inference::activation;
use crate::inference::kernels::activations::{Grouped, Norm, PanelRow, panels};
use crate::inference::kernels::attention::{Text, attend};
use crate::inference::kernels::inputs::{Inputs, Source};
use crate::inference::kernels::lanes::LANES;
use crate::inference::kernels::matrix::{After, Matrix};
use crate::inference::kernels::pages::{Pages, Shape, append};
use crate::inference::kernels::steps::{PANEL, Stored};
use crate::inference::{Error, VisitEach};

/// Rows whose logits are held at a time, [64, V] each.
const LOGITS: usize = 64;

/// The tokens of one text that a pass reads.
#[derive(Debug)]
pub(in crate::inference) struct Part<'a, T> {
    /// Which text of the caller's.
    pub(in crate::inference) text: usize,
    pub(in crate::inference) tokens: &'a [u32],
    pub(in crate::inference) pages: &'a mut Pages<T>,
    /// Positions already read.
    pub(in crate::inference) before: usize,
    /// The first token whose logits are wanted; the number of tokens for none.
    pub(in crate::inference) first: usize,
}

/// Buffers of a pass, kept for the next.
#[derive(Debug, Default)]
pub(in crate::inference) struct Workspace {
    /// The residual stream, [C / 32, N, 32].
    x: Vec<PanelRow>,
    /// What a wide projection makes, [3·C or inner, …].
    wide: Vec<PanelRow>,
    /// What attention makes, [H, N, D].
    mixed: Vec<f32>,
    inputs: Inputs,
    /// The rows whose logits are wanted, and the logits.
    chosen: Vec<PanelRow>,
    logits: Vec<PanelRow>,
    row: Vec<f32>,
}

/// Room for `count`, whatever is in it.
fn room<T: Copy>(buffer: &mut Vec<T>, count: usize, filler: T) -> &mut [T] {
    if buffer.len() < count {
        buffer.resize(count, filler);
    }
    &mut buffer[..count]
}

const NOTHING: PanelRow = [[0.0; LANES]; 2];

impl NativeModel {
    /// Reads the tokens of all parts and shows `visit` the logits, \[V\], that are wanted: of which text, after which token
    /// of the part.
    ///
    /// # Errors
    /// [`Error::CacheMemory`], and what `visit` returns.
    pub(in crate::inference) fn pass<T: Stored>(
        &self,
        config: &ModelConfig,
        parts: &mut [Part<'_, T>],
        visit: &mut VisitEach<'_>,
    ) -> Result<(), Error> {
        for part in parts.iter_mut() {
            let end = part.before + part.tokens.len();
            part.pages.reserve(part.before, end).map_err(Error::CacheMemory)?;
        }
        let rows = parts.iter().map(|part| part.tokens.len()).sum();
        let mut workspace = lock(&self.workspace);
        let workspace = &mut *workspace;
        self.embed(workspace, parts, (config.width, rows));
        let shape = super::shape(config);
        for (layer, block) in self.blocks.iter().enumerate() {
            self.block(workspace, (layer, block), (&shape, rows), parts);
        }
        self.logits(workspace, (config, rows), parts, visit)
    }

    fn embed<T>(&self, workspace: &mut Workspace, parts: &[Part<'_, T>], (width, rows): (usize, usize)) {
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

    fn block<T: Stored>(
        &self,
        workspace: &mut Workspace,
        (layer, block): (usize, &Block),
        (shape, rows): (&Shape, usize),
        parts: &mut [Part<'_, T>],
    ) {
        let Workspace { x, wide, mixed, inputs, .. } = workspace;
        let (team, width, gpt2) = (&*self.team, shape.width(), self.architecture == Architecture::Gpt2);
        let x = room(x, panels(width) * rows, NOTHING);
        let before = |norm| if gpt2 { Some(norm) } else { None };

        let source = Source { x: Grouped::panels(x, rows, width), norm: before(&block.norm_1) };
        let qkv = room(wide, panels(3 * width) * rows, NOTHING);
        self.linear((&block.qkv, After::Store), inputs, (source, rows), qkv);
        let qkv = Grouped::panels(qkv, rows, 3 * width);
        let mut first = 0;
        let mut to_write = Vec::with_capacity(parts.len());
        for part in parts.iter_mut() {
            to_write.extend(part.pages.writers(part.before, first, part.tokens.len()));
            first += part.tokens.len();
        }
        append((team, self.level), layer, qkv, &mut to_write);
        let mixed = room(mixed, width * rows, 0.0);
        let scale = self.attention_scale.factor(shape.head_width, layer);
        attend((team, self.level), (shape, layer), scale, (qkv, &texts(parts)), mixed);
        let source = Source { x: Grouped::new(mixed, rows, width, shape.head_width), norm: None };
        self.linear((&block.output, After::Add), inputs, (source, rows), x);
        if !gpt2 {
            self.norm(&block.norm_1, inputs, x, rows);
        }

        let source = Source { x: Grouped::panels(x, rows, width), norm: before(&block.norm_2) };
        let inner = block.up.matrix.outputs();
        let hidden = room(wide, panels(inner) * rows, NOTHING);
        if self.activation == Activation::GeluTanh {
            self.linear((&block.up, After::Gelu), inputs, (source, rows), hidden);
        } else {
            self.linear((&block.up, After::Store), inputs, (source, rows), hidden);
            team.each_chunk(hidden, rows, |_, hidden| {
                let numbers = hidden.as_flattened_mut().as_flattened_mut();
                numbers.iter_mut().for_each(|x| *x = activation::apply(self.activation, *x));
            });
        }
        let source = Source { x: Grouped::panels(hidden, rows, inner), norm: None };
        self.linear((&block.down, After::Add), inputs, (source, rows), x);
        if !gpt2 {
            self.norm(&block.norm_2, inputs, x, rows);
        }
    }

    fn linear(
        &self,
        (linear, after): (&Linear, After),
        inputs: &mut Inputs,
        (source, rows): (Source<'_>, usize),
        y: &mut [PanelRow],
    ) {
        inputs.fill((&self.team, self.level), linear.matrix.form(), source);
        linear.matrix.product((&self.team, self.level), (inputs, rows), (&linear.bias, after), y);
    }

    /// Norms every row of `x` in place.
    fn norm(&self, norm: &Norm, inputs: &mut Inputs, x: &mut [PanelRow], rows: usize) {
        inputs.norm((&self.team, self.level), norm, x, rows);
    }

    fn logits<T>(
        &self,
        workspace: &mut Workspace,
        (config, rows): (&ModelConfig, usize),
        parts: &[Part<'_, T>],
        visit: &mut VisitEach<'_>,
    ) -> Result<(), Error> {
        let Workspace { x, inputs, chosen, logits, row: one, .. } = workspace;
        let head: &Matrix = self.head.as_ref().unwrap_or(&self.tokens);
        let (width, vocabulary) = (config.width, config.vocabulary);
        let mut wanted = Vec::new(); // row, text, token
        let mut first = 0;
        for part in parts {
            wanted.extend((part.first..part.tokens.len()).map(|token| (first + token, part.text, token)));
            first += part.tokens.len();
        }
        for wanted in wanted.chunks(LOGITS) {
            let count = wanted.len();
            let chosen = room(chosen, panels(width) * count, NOTHING);
            for (to, from) in chosen.chunks_exact_mut(count).zip(x.chunks_exact(rows)) {
                to.iter_mut().zip(wanted).for_each(|(to, &(row, ..))| *to = from[row]);
            }
            let source = Source { x: Grouped::panels(chosen, count, width), norm: self.final_norm.as_ref() };
            let logits = room(logits, panels(vocabulary) * count, NOTHING);
            inputs.fill((&self.team, self.level), head.form(), source);
            head.product((&self.team, self.level), (inputs, count), (&[], After::Store), logits);
            let logits = Grouped::panels(logits, count, vocabulary);
            for (i, &(_, text, token)) in wanted.iter().enumerate() {
                let one = room(one, vocabulary, 0.0);
                logits.copy_row(i, one);
                visit(text, token, one)?;
            }
        }
        Ok(())
    }
}

/// The parts as attention reads them.
fn texts<'a, T: Stored>(parts: &'a [Part<'_, T>]) -> Vec<Text<'a, T>> {
    let mut row = 0;
    let text = |part: &'a Part<'_, T>| {
        let rows = part.tokens.len();
        row += rows;
        Text { pages: part.pages.pages(), before: part.before, row: row - rows, rows }
    };
    parts.iter().map(text).collect()
}

/// What a panic left in a workspace is overwritten by the next pass.
fn lock(workspace: &Mutex<Workspace>) -> MutexGuard<'_, Workspace> {
    workspace.lock().unwrap_or_else(PoisonError::into_inner)
}
