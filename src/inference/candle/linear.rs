//! A projection: x·W + b.

use candle_core::Tensor;

use crate::inference::Error;

/// A projection, in the stored orientation.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) weight: Tensor, // [inputs, outputs]
    pub(super) bias: Tensor,   // [outputs]
}

impl Linear {
    /// The product, [N, outputs], of `x`, [N, inputs].
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.matmul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}
