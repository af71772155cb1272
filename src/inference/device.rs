//! The device and the implementation of a model's arithmetic.

use std::str::FromStr;

use super::Error;

/// The device that a model computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// The first NVIDIA GPU; requires the feature `cuda`.
    Cuda,
}

impl Device {
    pub(super) fn open(self) -> Result<candle_core::Device, Error> {
        match self {
            Self::Cpu => Ok(candle_core::Device::Cpu),
            Self::Cuda if cfg!(feature = "cuda") => {
                candle_core::Device::new_cuda(0).map_err(Error::NoCudaDevice)
            }
            Self::Cuda => Err(Error::BuiltWithoutCuda),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            _ => Err(Error::UnknownDevice { text: text.chars().take(80).collect() }),
        }
    }
}

/// The implementation of the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arithmetic {
    /// The kernels of this crate: activations in f32, weights in any [`Precision`](super::Precision). CPU only.
    #[default]
    Native,
    /// candle's tensor operations, with activations in the type of the weights. A GPU always uses it; on the CPU it is slow, and tests
    /// compare it with [`Self::Native`].
    Candle,
}
