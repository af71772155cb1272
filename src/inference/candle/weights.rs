//! Loads the tensors of a checkpoint onto a device.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::linear::Linear;
use super::norm::LayerNorm;
use super::{Placement, candle_type};
use crate::checkpoint::config::ModelConfig;
use crate::inference::Error;
use crate::inference::source::{TensorSource, require_all};
use crate::progress::Progress;

/// The loaded weights of a checkpoint, from which a model takes its tensors one by one.
pub(super) struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// Checks and loads every tensor that `config` requires.
    pub(super) fn load(
        config: &ModelConfig,
        source: &dyn TensorSource,
        placement: &Placement,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let Placement { dtype, device } = placement;
        let readers = require_all(config, source, progress)?;
        let tensors = readers
            .par_iter()
            .map(|reader| {
                let numbers = reader.read_all(*dtype)?;
                let tensor = Tensor::from_vec(numbers, reader.shape(), &Device::Cpu)?;
                let tensor = tensor.to_dtype(candle_type(*dtype))?.to_device(device)?;
                Ok((reader.name().to_owned(), tensor))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { tensors })
    }

    /// Takes a tensor.
    pub(super) fn take(&mut self, name: &str) -> Result<Tensor, Error> {
        match self.tensors.entry(name.to_owned()) {
            Entry::Occupied(entry) => Ok(entry.remove()),
            Entry::Vacant(entry) => Err(Error::MissingTensor { name: entry.into_key() }),
        }
    }

    /// Takes `{name}.weight` and `{name}.bias` as a projection.
    pub(super) fn linear(&mut self, name: &str) -> Result<Linear, Error> {
        Ok(Linear {
            weight: self.take(&format!("{name}.weight"))?,
            bias: self.take(&format!("{name}.bias"))?,
        })
    }

    /// Takes `{name}.weight` and `{name}.bias` as a layer norm.
    pub(super) fn norm(&mut self, name: &str, epsilon: f64) -> Result<LayerNorm, Error> {
        Ok(LayerNorm {
            weight: self.take(&format!("{name}.weight"))?,
            bias: self.take(&format!("{name}.bias"))?,
            epsilon,
        })
    }
}
