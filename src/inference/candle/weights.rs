//! Reads a checkpoint's tensors onto a device, each once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::candle_type;
use super::linear::Linear;
use super::norm::LayerNorm;
use crate::checkpoint::config::ModelConfig;
use crate::checkpoint::tensor_file::ElementType;
use crate::inference::Error;
use crate::inference::source::{TensorSource, require_all};
use crate::progress::Progress;

/// The weights of a checkpoint, to be taken one by one while a model is put together.
pub(super) struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// Checks and reads every tensor that `config` demands.
    pub(super) fn load(
        config: &ModelConfig,
        source: &dyn TensorSource,
        (dtype, device): (ElementType, &Device),
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let readers = require_all(config, (source, progress))?;
        let tensors = readers
            .par_iter()
            .map(|reader| {
                let numbers = reader.whole(dtype)?;
                let tensor = Tensor::from_vec(numbers, reader.shape(), &Device::Cpu)?;
                let tensor = tensor.to_dtype(candle_type(dtype))?.to_device(device)?;
                Ok((reader.name().to_owned(), tensor))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { tensors })
    }

    /// Takes a tensor out.
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
