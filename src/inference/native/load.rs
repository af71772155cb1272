//! Reads and packs the tensors of a checkpoint on all threads.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;

use rayon::prelude::*;

use super::{Block, Linear, NativeModel, team};
use crate::checkpoint::config::{Architecture, ModelConfig};
use crate::checkpoint::layout;
use crate::checkpoint::tensor_file::ElementType;
use crate::inference::kernels::activations::Norm;
use crate::inference::kernels::lanes::Level;
use crate::inference::kernels::matrix::{Dims, Matrix, panel_bias};
use crate::inference::kernels::memory::Arena;
use crate::inference::kernels::pack::Strip;
use crate::inference::source::{Buffer, TensorReader, TensorSource, require_all};
use crate::inference::{Error, Precision};
use crate::progress::Progress;

/// Numbers to read at a time. A thread needs a buffer of this size if chunks divide a strip.
const STRIP: usize = 1 << 18;

/// A loaded tensor.
enum LoadedTensor {
    Matrix(Matrix),
    Numbers(Vec<f32>),
}

/// The loaded weights of a checkpoint, from which a model takes its tensors one by one.
struct Weights(BTreeMap<String, LoadedTensor>);

/// How to load a model for the CPU.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference) struct Settings {
    pub(in crate::inference) precision: Precision,
    /// `None` for one thread per processor.
    pub(in crate::inference) threads: Option<usize>,
}

impl NativeModel {
    /// Reads and packs every weight.
    ///
    /// # Errors
    /// The errors of [`crate::inference::Model::load`].
    pub(in crate::inference) fn load(
        config: &ModelConfig,
        source: &dyn TensorSource,
        settings: Settings,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let Settings { precision, threads } = settings;
        let mut readers = require_all(config, source, progress)?;
        // In the order of the file: a chunk that is opened for one tensor serves the next.
        readers.sort_by_key(TensorReader::offset);
        let (tokens, positions) = layout::embedding_names(config.architecture);
        let kind = |reader: &TensorReader<'_>| Kind::classify(reader, tokens, positions);
        let arena = arena(&readers, kind, precision)?;
        let loaded = readers.par_iter().map(|reader| {
            let loaded = match kind(reader)? {
                Kind::Numbers => LoadedTensor::Numbers(reader.read_all(ElementType::F32)?),
                Kind::Embedding(dims) => {
                    LoadedTensor::Matrix(pack_embedding(reader, &arena, precision.for_embedding(), dims)?)
                }
                Kind::Projection(dims) => {
                    LoadedTensor::Matrix(pack_projection(reader, &arena, precision, dims)?)
                }
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
            activation: config.activation,
            attention_scale: config.attention_scale,
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
    fn take(&mut self, name: &str) -> Result<LoadedTensor, Error> {
        match self.0.entry(name.to_owned()) {
            Entry::Occupied(entry) => Ok(entry.remove()),
            Entry::Vacant(entry) => Err(Error::MissingTensor { name: entry.into_key() }),
        }
    }

    fn matrix(&mut self, name: &str) -> Result<Matrix, Error> {
        match self.take(name)? {
            LoadedTensor::Matrix(matrix) => Ok(matrix),
            LoadedTensor::Numbers(_) => Err(Error::MissingTensor { name: name.to_owned() }),
        }
    }

    fn numbers(&mut self, name: &str) -> Result<Vec<f32>, Error> {
        match self.take(name)? {
            LoadedTensor::Numbers(numbers) => Ok(numbers),
            LoadedTensor::Matrix(_) => Err(Error::MissingTensor { name: name.to_owned() }),
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

/// The kind of a tensor.
enum Kind {
    Numbers,
    /// Stored [outputs, inputs].
    Embedding(Dims),
    /// Stored [inputs, outputs].
    Projection(Dims),
}

impl Kind {
    fn classify(reader: &TensorReader<'_>, tokens: &str, positions: &str) -> Result<Self, Error> {
        match *reader.shape() {
            [_] => Ok(Self::Numbers),
            _ if reader.name() == positions => Ok(Self::Numbers),
            [outputs, inputs] if [tokens, layout::HEAD].contains(&reader.name()) => {
                Ok(Self::Embedding(Dims { inputs, outputs }))
            }
            [inputs, outputs] => Ok(Self::Projection(Dims { inputs, outputs })),
            _ => Err(Error::UnexpectedTensor { name: reader.name().to_owned() }),
        }
    }

    /// Bytes of the matrix in memory.
    fn room(&self, precision: Precision) -> Option<usize> {
        match *self {
            Self::Numbers => Some(0),
            Self::Embedding(dims) => Matrix::room(precision.for_embedding(), dims),
            Self::Projection(dims) => Matrix::room(precision, dims),
        }
    }
}

/// An arena for all matrices.
fn arena<'a>(
    readers: &[TensorReader<'a>],
    kind: impl Fn(&TensorReader<'a>) -> Result<Kind, Error>,
    precision: Precision,
) -> Result<Arena, Error> {
    let mut bytes = Some(0_usize);
    for reader in readers {
        bytes = bytes.zip(kind(reader)?.room(precision)).and_then(|(bytes, more)| bytes.checked_add(more));
    }
    let arena = bytes.map_or_else(|| Err(io::ErrorKind::OutOfMemory.into()), Arena::new);
    arena.map_err(|source| Error::Memory { precision, source })
}

/// Packs a matrix stored [inputs, outputs].
fn pack_projection(
    reader: &TensorReader<'_>,
    arena: &Arena,
    precision: Precision,
    dims: Dims,
) -> Result<Matrix, Error> {
    let Dims { inputs, outputs } = dims;
    let mut matrix =
        Matrix::new(arena, precision, dims).map_err(|source| Error::Memory { precision, source })?;
    let count = (STRIP / outputs / Matrix::STRIP_INPUTS).max(1) * Matrix::STRIP_INPUTS;
    let mut buffer = Buffer::default();
    for first in (0..inputs).step_by(count) {
        let rows = reader.read(first * outputs, count.min(inputs - first) * outputs, &mut buffer)?;
        if !matrix.pack_inputs(first, Strip { rows, columns: outputs }) {
            return Err(reader.not_finite_error(rows, precision));
        }
    }
    Ok(matrix)
}

/// Packs a matrix stored [outputs, inputs].
fn pack_embedding(
    reader: &TensorReader<'_>,
    arena: &Arena,
    precision: Precision,
    dims: Dims,
) -> Result<Matrix, Error> {
    let inputs = dims.inputs;
    let mut matrix =
        Matrix::new(arena, precision, dims).map_err(|source| Error::Memory { precision, source })?;
    matrix.pack_outputs(
        |rows, buffer| reader.read(rows.start * inputs, rows.len() * inputs, buffer),
        |rows| reader.not_finite_error(rows, precision),
    )?;
    Ok(matrix)
}
