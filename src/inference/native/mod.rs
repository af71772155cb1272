//! The forward pass on the CPU with the functions in `kernels`.
//!
//! The rows of several sequences go through the projections together and separate only for attention, so sequences in one batch share
//! one reading of the weights. The results of a sequence are equal to the bit for any batch.

mod forward;
mod load;

use std::sync::{Arc, Mutex};

use self::forward::Workspace;
use super::kernels::Ctx;
use super::kernels::activations::Norm;
use super::kernels::lanes::Level;
use super::kernels::matrix::{Matrix, PanelBias};
use super::kernels::team::Team;
use crate::checkpoint::config::{Activation, Architecture, AttentionScale};

pub(super) use self::forward::Part;
pub(super) use self::load::Settings;

/// A model whose weights are packed for the CPU.
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
    head: Option<Matrix>, // [V, C]; `None` if it is the token embedding
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
    fn ctx(&self) -> Ctx<'_> {
        Ctx { team: &self.team, level: self.level }
    }

    /// Bytes of the weights in memory.
    pub(super) fn weight_bytes(&self) -> u64 {
        let linears =
            self.blocks.iter().flat_map(|block| [&block.qkv, &block.output, &block.up, &block.down]);
        let linears: u64 = linears.map(|linear| linear.matrix.bytes()).sum();
        let head = self.head.as_ref().map_or(0, Matrix::bytes);
        linears + self.tokens.bytes() + head + size_of_val(self.positions.as_slice()) as u64
    }

    pub(super) fn threads(&self) -> usize {
        self.team.threads()
    }

    pub(super) fn instructions(&self) -> &'static str {
        self.level.name()
    }
}

/// The team for a model: its own if a number of threads is given, otherwise the team of the process.
fn team(threads: Option<usize>) -> Arc<Team> {
    threads.map_or_else(Team::global, |threads| Arc::new(Team::new(threads)))
}
