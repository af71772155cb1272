//! A projection, and the tied or untied head: x·Wᵀ + b.

use candle_core::{CpuStorage, DType, Tensor};
use half::{bf16, f16};

use super::borrow::{matrix, with_numbers, with_storage};
use super::kernels::element::Element;
use super::kernels::projection::Weights;
use super::kernels::rows;
use super::{Arithmetic, Error};

/// What happens to a sum before it leaves the projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    None,
    Gelu,
}

/// A projection from `inputs` to `outputs` numbers.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) weight: Tensor,       // [outputs, inputs]
    pub(super) bias: Option<Tensor>, // [outputs]
    pub(super) arithmetic: Arithmetic,
}

impl Linear {
    /// y, [N, outputs], of `x`, [N, inputs].
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        self.forward_with(x, Activation::None)
    }

    /// The same, with an activation on top.
    pub(super) fn forward_with(&self, x: &Tensor, activation: Activation) -> Result<Tensor, Error> {
        match self.arithmetic {
            Arithmetic::Native => self.native(x, activation),
            Arithmetic::Candle => self.candle(x, activation),
        }
    }

    fn candle(&self, x: &Tensor, activation: Activation) -> Result<Tensor, Error> {
        let mut y = x.matmul(&self.weight.t()?)?;
        if let Some(bias) = &self.bias {
            y = y.broadcast_add(bias)?;
        }
        Ok(match activation {
            Activation::None => y,
            Activation::Gelu => y.gelu()?, // candle's `gelu` is the tanh form
        })
    }

    fn native(&self, x: &Tensor, activation: Activation) -> Result<Tensor, Error> {
        let mut y = with_storage(x, |x| match self.weight.dtype() {
            DType::F16 => self.product::<f16>(x),
            DType::BF16 => self.product::<bf16>(x),
            _ => self.product::<f32>(x),
        })?;
        if let Some(bias) = &self.bias {
            with_numbers(bias, |bias| {
                match activation {
                    Activation::None => rows::add_bias(&mut y, bias),
                    Activation::Gelu => rows::add_bias_and_gelu(&mut y, bias),
                }
                Ok(())
            })?;
        }
        matrix(y, self.weight.dim(0)?)
    }

    fn product<T: Element>(&self, x: &CpuStorage) -> Result<Vec<f32>, Error> {
        let (outputs, inputs) = self.weight.dims2()?;
        with_storage(&self.weight, |storage| {
            with_numbers(&self.weight, |rows: &[T]| Weights { storage, rows, inputs, outputs }.apply(x))
        })
    }
}
