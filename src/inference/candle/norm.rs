//! Layer norm (Ba et al. 2016): each row centred, divided by its standard deviation, scaled and shifted.

use candle_core::Tensor;

use crate::inference::Error;

/// A layer norm over the width C.
#[derive(Debug)]
pub(super) struct LayerNorm {
    pub(super) weight: Tensor, // [C]
    pub(super) bias: Tensor,   // [C]
    pub(super) epsilon: f64,
}

impl LayerNorm {
    /// The norm of every row of `x`, [N, C].
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let x = x.contiguous()?;
        Ok(candle_nn::ops::layer_norm(&x, &self.weight, &self.bias, self.epsilon as f32)?)
    }
}
