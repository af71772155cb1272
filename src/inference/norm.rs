//! Layer norm (Ba et al. 2016): each row centred, divided by its standard deviation, scaled and shifted.

use candle_core::Tensor;

use super::borrow::{matrix, to_numbers, with_numbers};
use super::kernels::rows;
use super::{Arithmetic, Error};

/// A layer norm over the width C.
#[derive(Debug)]
pub(super) struct LayerNorm {
    pub(super) weight: Tensor, // [C]
    pub(super) bias: Tensor,   // [C]
    pub(super) epsilon: f64,
    pub(super) arithmetic: Arithmetic,
}

impl LayerNorm {
    /// The norm of every row of `x`, [N, C].
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let epsilon = self.epsilon as f32;
        if self.arithmetic == Arithmetic::Candle {
            return Ok(candle_nn::ops::layer_norm(x, &self.weight, &self.bias, epsilon)?);
        }
        let mut y = to_numbers(x)?;
        with_numbers(&self.weight, |weight| {
            with_numbers(&self.bias, |bias| {
                rows::layer_norm(&mut y, weight, bias, epsilon);
                Ok(())
            })
        })?;
        matrix(y, x.dim(1)?)
    }
}
