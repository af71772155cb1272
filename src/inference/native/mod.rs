//! The forward pass on the processor, in this room's own kernels.
//!
//! Rows of several texts go through the projections side by side and part only for attention, so texts that are written at the
//! same time share one reading of the weights. A text's numbers are the same to the bit whatever is read beside it.

mod load;
mod pass;

use std::sync::{Arc, Mutex};

use self::pass::Workspace;
use super::kernels::activations::Norm;
use super::kernels::lanes::Level;
use super::kernels::matrix::{Matrix, PanelBias};
use super::kernels::team::Team;
use crate::checkpoint::config::{Activation, Architecture, AttentionScale, ModelConfig};

pub(super) use self::pass::Part;

/// A model whose weights are packed for the processor.
#[derive(Debug)]
pub(super) struct NativeModel {
    architecture: Architecture,
    activation: Activation,
    attention_scale: AttentionScale,
    level: Level,
    team: Arc<Team>,
    tokens: Matrix,      // [V, C]
    positions: Vec<f32>, // [T, C]
    blocks: Vec<Block>,
    final_norm: Option<Norm>,
    /// Where it is not the embedding.
    head: Option<Matrix>, // [V, C]
    workspace: Mutex<Workspace>,
}

/// One transformer block.
#[derive(Debug)]
struct Block {
    norm_1: Norm,
    qkv: Linear,    // [3·C, C]
    output: Linear, // [C, C]
    norm_2: Norm,
    up: Linear,   // [inner, C]
    down: Linear, // [C, inner]
}

/// A projection with its bias.
#[derive(Debug)]
struct Linear {
    matrix: Matrix,
    bias: Vec<PanelBias>,
}

impl NativeModel {
    /// Bytes of the weights in memory.
    pub(super) fn weight_bytes(&self) -> u64 {
        let linears =
            self.blocks.iter().flat_map(|block| [&block.qkv, &block.output, &block.up, &block.down]);
        let linears: u64 = linears.map(|linear| linear.matrix.bytes()).sum();
        let head = self.head.as_ref().map_or(0, Matrix::bytes);
        linears + self.tokens.bytes() + head + size_of_val(self.positions.as_slice()) as u64
    }

    /// Threads that it computes with.
    pub(super) fn threads(&self) -> usize {
        self.team.threads()
    }

    /// What a person calls the instructions that it uses.
    pub(super) fn instructions(&self) -> &'static str {
        self.level.name()
    }
}

/// The team for a model: the process's, or one of its own where a number of threads is asked for.
fn team(threads: Option<usize>) -> Arc<Team> {
    threads.map_or_else(Team::of_this_process, |threads| Arc::new(Team::new(threads)))
}

/// Heads and widths as the kernels want them.
fn shape(config: &ModelConfig) -> super::kernels::pages::Shape {
    super::cache::shape_of(config)
}
