//! Where a model computes, and with whose arithmetic.

use std::str::FromStr;

use super::Error;

/// The device a model is loaded onto.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The first NVIDIA GPU; only where the program was built with the feature `cuda`.
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

/// Whose arithmetic a forward pass uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arithmetic {
    /// The kernels of this room: activations in f32, weights as loaded. Only on the CPU.
    #[default]
    Native,
    /// candle's tensor operations, everything in the weights' type. What a GPU always uses; on the CPU it is slow and
    /// serves as the second opinion in tests.
    Candle,
}
