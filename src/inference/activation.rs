//! Activation functions. The native engine fuses [`Activation::GeluTanh`] into its products and applies the others here.

use candle_core::Tensor;
use candle_core::cpu::erf::erf_f64;

use super::Error;
use crate::checkpoint::config::Activation;

/// The mean, and √2 times the standard deviation, of the normal distribution in [`Activation::Laplace`].
const LAPLACE_MEAN: f64 = std::f64::consts::FRAC_1_SQRT_2; // 0.707107 in transformers
const LAPLACE_WIDTH: f64 = 0.282_095 * std::f64::consts::SQRT_2;

/// Applies an activation to one number. NaN stays NaN.
pub(super) fn apply(activation: Activation, x: f32) -> f32 {
    let x = f64::from(x);
    let y = match activation {
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::Gelu => gelu(x),
        Activation::ClippedGelu => clamp(gelu(x), -10.0, 10.0),
        Activation::QuickGelu => x * sigmoid(1.702 * x),
        Activation::Relu => positive(x),
        Activation::Relu2 => positive(x) * positive(x),
        Activation::Relu6 => clamp(x, 0.0, 6.0),
        Activation::LeakyRelu => {
            if x < 0.0 {
                0.01 * x
            } else {
                x
            }
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Mish => x * softplus(x).tanh(),
        Activation::HardSwish => x * clamp(x + 3.0, 0.0, 6.0) / 6.0,
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Laplace => 0.5 * (1.0 + erf_f64((x - LAPLACE_MEAN) / LAPLACE_WIDTH)),
        Activation::SqrtSoftplus => softplus(x).sqrt(),
        Activation::Linear => x,
    };
    y as f32
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf_f64(x * std::f64::consts::FRAC_1_SQRT_2))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    positive(x) + (-x.abs()).exp().ln_1p()
}

/// max(x, 0); NaN stays NaN, unlike with `f64::max`.
fn positive(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

fn clamp(x: f64, low: f64, high: f64) -> f64 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

/// Applies an activation to every number of a tensor, on its device.
pub(super) fn apply_to_tensor(activation: Activation, x: &Tensor) -> Result<Tensor, Error> {
    let sigmoid = |x: &Tensor| (x.neg()?.exp()? + 1.0)?.recip();
    let softplus = |x: &Tensor| x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?;
    Ok(match activation {
        // candle's `gelu` is the tanh form.
        Activation::GeluTanh => x.gelu()?,
        Activation::Gelu => x.gelu_erf()?,
        Activation::ClippedGelu => x.gelu_erf()?.clamp(-10.0, 10.0)?,
        Activation::QuickGelu => (x * sigmoid(&(x * 1.702)?)?)?,
        Activation::Relu => x.relu()?,
        Activation::Relu2 => x.relu()?.sqr()?,
        Activation::Relu6 => x.clamp(0.0, 6.0)?,
        Activation::LeakyRelu => (x.relu()? - (x.neg()?.relu()? * 0.01)?)?,
        Activation::Silu => x.silu()?,
        Activation::Mish => (x * softplus(x)?.tanh()?)?,
        Activation::HardSwish => ((x * (x + 3.0)?.clamp(0.0, 6.0)?)? / 6.0)?,
        Activation::Tanh => x.tanh()?,
        Activation::Sigmoid => sigmoid(x)?,
        Activation::Laplace => ((((x - LAPLACE_MEAN)? / LAPLACE_WIDTH)?.erf()? + 1.0)? * 0.5)?,
        Activation::SqrtSoftplus => softplus(x)?.sqrt()?,
        Activation::Linear => x.clone(),
    })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const ALL: [Activation; 16] = [
        Activation::GeluTanh,
        Activation::Gelu,
        Activation::ClippedGelu,
        Activation::QuickGelu,
        Activation::Relu,
        Activation::Relu2,
        Activation::Relu6,
        Activation::LeakyRelu,
        Activation::Silu,
        Activation::Mish,
        Activation::HardSwish,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Laplace,
        Activation::SqrtSoftplus,
        Activation::Linear,
    ];

    /// The results of PyTorch's functions for -2, -0.5, 1 and 20.
    #[test]
    fn activations_agree_with_pytorch() {
        let expected = [
            (Activation::GeluTanh, [-0.045_402_3, -0.154_286, 0.841_192, 20.0]),
            (Activation::Gelu, [-0.045_500_3, -0.154_268_8, 0.841_344_7, 20.0]),
            (Activation::ClippedGelu, [-0.045_500_3, -0.154_268_8, 0.841_344_7, 10.0]),
            (Activation::QuickGelu, [-0.064_340_6, -0.149_617_3, 0.845_795_8, 20.0]),
            (Activation::Relu, [0.0, 0.0, 1.0, 20.0]),
            (Activation::Relu2, [0.0, 0.0, 1.0, 400.0]),
            (Activation::Relu6, [0.0, 0.0, 1.0, 6.0]),
            (Activation::LeakyRelu, [-0.02, -0.005, 1.0, 20.0]),
            (Activation::Silu, [-0.238_405_8, -0.188_770_3, 0.731_058_6, 20.0]),
            (Activation::Mish, [-0.252_501_5, -0.220_740_4, 0.865_098_4, 20.0]),
            (Activation::HardSwish, [-0.333_333_3, -0.208_333_3, 0.666_666_7, 20.0]),
            (Activation::Tanh, [-0.964_027_6, -0.462_117_2, 0.761_594_2, 1.0]),
            (Activation::Sigmoid, [0.119_202_9, 0.377_540_7, 0.731_058_6, 1.0]),
            (Activation::SqrtSoftplus, [0.356_267_5, 0.688_540_6, 1.145_976_3, 4.472_136]),
            (Activation::Linear, [-2.0, -0.5, 1.0, 20.0]),
        ];
        for (activation, values) in expected {
            for (x, y) in [-2.0, -0.5, 1.0, 20.0].into_iter().zip(values) {
                let found = apply(activation, x);
                assert!((found - y).abs() < 2e-4, "{activation:?}({x}) is {found}, not {y}");
            }
        }
    }

    #[test]
    fn tensors_have_the_same_values_and_keep_nan() {
        let x: Vec<f32> = (-120..=120).map(|i| i as f32 * 0.1).collect();
        let tensor = Tensor::new(x.as_slice(), &Device::Cpu).unwrap();
        for activation in ALL {
            let y = apply_to_tensor(activation, &tensor).unwrap().to_vec1::<f32>().unwrap();
            for (x, y) in x.iter().zip(y) {
                let exact = apply(activation, *x);
                assert!((y - exact).abs() < 3e-5 * exact.abs().max(1.0), "{activation:?}({x}): {y}, {exact}");
            }
            assert!(apply(activation, f32::NAN).is_nan(), "{activation:?}");
        }
    }
}
