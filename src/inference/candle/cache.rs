//! Keys and values as tensors of the full capacity, written in place.

use candle_core::{DType, Device, Tensor};

use crate::checkpoint::config::ModelConfig;
use crate::inference::Error;

/// Keys and values of each block, [H, capacity, D] each.
#[derive(Debug)]
pub(in crate::inference) struct TensorCache {
    layers: Vec<(Tensor, Tensor)>,
}

/// Keys and values of one block, [H, capacity, D] each, and the number of positions in them.
#[derive(Debug)]
pub(super) struct LayerCache<'a> {
    pub(super) keys: &'a Tensor,
    pub(super) values: &'a Tensor,
    pub(super) before: usize,
}

impl TensorCache {
    pub(super) fn new(
        config: &ModelConfig,
        capacity: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, Error> {
        let zeros = || Tensor::zeros((config.heads, capacity, config.head_width()), dtype, device);
        let layers = (0..config.layers).map(|_| Ok((zeros()?, zeros()?))).collect::<Result<_, Error>>()?;
        Ok(Self { layers })
    }

    pub(super) fn layer(&self, layer: usize, before: usize) -> LayerCache<'_> {
        let (keys, values) = &self.layers[layer];
        LayerCache { keys, values, before }
    }

    /// A copy that shares no memory.
    pub(in crate::inference) fn duplicate(&self) -> Result<Self, Error> {
        let copies = self.layers.iter().map(|(keys, values)| Ok((keys.copy()?, values.copy()?)));
        Ok(Self { layers: copies.collect::<Result<_, Error>>()? })
    }
}
