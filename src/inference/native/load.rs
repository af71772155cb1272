//! Reads a checkpoint's tensors and packs them, each once, on all threads.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rayon::prelude::*;

use super::{Block, Linear, NativeModel, team};
use crate::checkpoint::config::{Architecture, ModelConfig};
use crate::checkpoint::layout;
use crate::inference::kernels::activations::Norm;
use crate::inference::kernels::lanes::Level;
use crate::inference::kernels::matrix::{Matrix, Strip, panel_bias};
use crate::inference::source::{TensorReader, TensorSource, require_all};
use crate::inference::{Error, Precision};
use crate::progress::Progress;

/// Numbers read at a time; a buffer for as many and their bytes is all that a thread needs beside the weights.
const STRIP: usize = 1 << 18;

/// A tensor as the model holds it.
enum Loaded {
    Matrix(Matrix),
    Numbers(Vec<f32>),
}

/// The weights of a checkpoint, to be taken one by one while a model is put together.
struct Weights(BTreeMap<String, Loaded>);

impl NativeModel {
    /// Reads and packs every weight in `precision`, for `threads` threads or as many as there are processors.
    ///
    /// # Errors
    /// As [`crate::inference::Model::load`].
    pub(in crate::inference) fn load(
        config: &ModelConfig,
        source: &dyn TensorSource,
        (precision, threads): (Precision, Option<usize>),
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let readers = require_all(config, (source, progress))?;
        let (tokens, positions) = layout::embedding_names(config.architecture);
        let loaded = readers.par_iter().map(|reader| {
            let loaded = match *reader.shape() {
                [_] => Loaded::Numbers(reader.whole(crate::checkpoint::tensor_file::ElementType::F32)?),
                _ if reader.name() == positions => {
                    Loaded::Numbers(reader.whole(crate::checkpoint::tensor_file::ElementType::F32)?)
                }
                [outputs, inputs] if [tokens, layout::HEAD].contains(&reader.name()) => {
                    Loaded::Matrix(embedding(reader, precision.of_embedding(), inputs, outputs)?)
                }
                [inputs, outputs] => Loaded::Matrix(projection(reader, precision, inputs, outputs)?),
                _ => return Err(Error::UnexpectedTensor { name: reader.name().to_owned() }),
            };
            Ok((reader.name().to_owned(), loaded))
        });
        let mut weights = Weights(loaded.collect::<Result<_, Error>>()?);
        let blocks = (0..config.layers).map(|layer| Block::take(&mut weights, config, layer));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let final_norm = match config.architecture {
            Architecture::Gpt2 => Some(weights.norm("ln_f", config.norm_epsilon)?),
            Architecture::Gpt1 => None,
        };
        let head = if config.tied_head { None } else { Some(weights.matrix(layout::HEAD)?) };
        Ok(Self {
            architecture: config.architecture,
            level: Level::best(),
            team: team(threads),
            tokens: weights.matrix(tokens)?,
            positions: weights.numbers(positions)?,
            blocks,
            final_norm,
            head,
            workspace: std::sync::Mutex::default(),
        })
    }
}

impl Block {
    fn take(weights: &mut Weights, config: &ModelConfig, layer: usize) -> Result<Self, Error> {
        let name = |part: &str| format!("h.{layer}.{part}");
        Ok(Self {
            norm_1: weights.norm(&name("ln_1"), config.norm_epsilon)?,
            qkv: weights.linear(&name("attn.c_attn"))?,
            output: weights.linear(&name("attn.c_proj"))?,
            norm_2: weights.norm(&name("ln_2"), config.norm_epsilon)?,
            up: weights.linear(&name("mlp.c_fc"))?,
            down: weights.linear(&name("mlp.c_proj"))?,
        })
    }
}

impl Weights {
    fn take(&mut self, name: &str) -> Result<Loaded, Error> {
        match self.0.entry(name.to_owned()) {
            Entry::Occupied(entry) => Ok(entry.remove()),
            Entry::Vacant(entry) => Err(Error::MissingTensor { name: entry.into_key() }),
        }
    }

    fn matrix(&mut self, name: &str) -> Result<Matrix, Error> {
        match self.take(name)? {
            Loaded::Matrix(matrix) => Ok(matrix),
            Loaded::Numbers(_) => Err(Error::MissingTensor { name: name.to_owned() }),
        }
    }

    fn numbers(&mut self, name: &str) -> Result<Vec<f32>, Error> {
        match self.take(name)? {
            Loaded::Numbers(numbers) => Ok(numbers),
            Loaded::Matrix(_) => Err(Error::MissingTensor { name: name.to_owned() }),
        }
    }

    /// Takes `{name}.weight` and `{name}.bias` as a projection.
    fn linear(&mut self, name: &str) -> Result<Linear, Error> {
        let bias = panel_bias(&self.numbers(&format!("{name}.bias"))?);
        Ok(Linear { matrix: self.matrix(&format!("{name}.weight"))?, bias })
    }

    /// Takes `{name}.weight` and `{name}.bias` as a layer norm.
    fn norm(&mut self, name: &str, epsilon: f64) -> Result<Norm, Error> {
        Ok(Norm {
            weight: self.numbers(&format!("{name}.weight"))?,
            bias: self.numbers(&format!("{name}.bias"))?,
            epsilon: epsilon as f32,
        })
    }
}

fn zeros(
    reader: &TensorReader<'_>,
    precision: Precision,
    inputs: usize,
    outputs: usize,
) -> Result<Matrix, Error> {
    let no_memory = |source| Error::Memory { name: reader.name().to_owned(), source };
    Matrix::new(precision, inputs, outputs).map_err(no_memory)
}

/// Packs a matrix stored [inputs, outputs].
fn projection(
    reader: &TensorReader<'_>,
    precision: Precision,
    inputs: usize,
    outputs: usize,
) -> Result<Matrix, Error> {
    let mut matrix = zeros(reader, precision, inputs, outputs)?;
    let depth = matrix.depth();
    let count = (STRIP / outputs / depth).max(1) * depth;
    let mut numbers = vec![0.0; count.min(inputs) * outputs];
    let mut bytes = Vec::new();
    for first in (0..inputs).step_by(count) {
        let rows = &mut numbers[..count.min(inputs - first) * outputs];
        reader.read(first * outputs, rows, &mut bytes)?;
        if !matrix.pack_inputs(first, Strip { rows, columns: outputs }) {
            return Err(reader.not_finite(precision));
        }
    }
    Ok(matrix)
}

/// Packs a matrix stored [outputs, inputs].
fn embedding(
    reader: &TensorReader<'_>,
    precision: Precision,
    inputs: usize,
    outputs: usize,
) -> Result<Matrix, Error> {
    let mut matrix = zeros(reader, precision, inputs, outputs)?;
    let read = |first: usize, rows: &mut [f32]| reader.read(first * inputs, rows, &mut Vec::new());
    matrix.pack_outputs(read, || reader.not_finite(precision))?;
    Ok(matrix)
}
