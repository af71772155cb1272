//! Reads a checkpoint's tensors into memory, each once, in the type and orientation in which they are used.
//!
//! Names and shapes are compared with the configuration before anything is allocated, so a tampered file can neither make
//! us reserve more than it holds nor give a model another shape. Bytes are read with positioned reads into small buffers,
//! never mapped: a mapped page would count as memory twice, and could change after it was checked. Projections, stored
//! [inputs, outputs], are turned to [outputs, inputs] on the way, so that a dot product reads memory in order.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;

use super::kernels::element::Element;
use super::linear::Linear;
use super::norm::LayerNorm;
use super::source::TensorSource;
use super::{Arithmetic, Error};
use crate::checkpoint::config::ModelConfig;
use crate::checkpoint::layout::{self, TensorSpec};
use crate::checkpoint::tensor_file::{ElementType, TensorEntry};
use crate::progress::Progress;

/// Bytes read at a time; two buffers of about this size per thread are all that loading needs beside the weights.
const STRIP: usize = 1 << 20;

/// How weights are to lie in memory.
pub(super) struct Target {
    /// The type of embeddings, projections and head.
    pub(super) dtype: ElementType,
    pub(super) device: Device,
    pub(super) arithmetic: Arithmetic,
}

impl Target {
    /// The type of what is computed between two projections, and of norms and biases.
    pub(super) fn activations(&self) -> DType {
        match self.arithmetic {
            Arithmetic::Native => DType::F32,
            Arithmetic::Candle => candle_type(self.dtype),
        }
    }
}

/// The weights of a checkpoint, to be taken one by one while a model is put together.
pub(super) struct Weights {
    tensors: BTreeMap<String, Tensor>,
    arithmetic: Arithmetic,
}

impl Weights {
    /// Checks and reads every tensor that `config` demands.
    pub(super) fn load(
        config: &ModelConfig,
        source: &dyn TensorSource,
        target: &Target,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let specs = check(config, source)?;
        let bytes = source.entries().values().map(|entry| entry.length).sum();
        progress.begin("loading weights", Some(bytes));
        let tensors = specs
            .par_iter()
            .map(|(spec, entry)| {
                let reader = Reader { name: &spec.name, entry, source, progress };
                Ok((spec.name.clone(), reader.tensor(target)?))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { tensors, arithmetic: target.arithmetic })
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
            bias: Some(self.take(&format!("{name}.bias"))?),
            arithmetic: self.arithmetic,
        })
    }

    /// Takes `{name}.weight` and `{name}.bias` as a layer norm.
    pub(super) fn norm(&mut self, name: &str, epsilon: f64) -> Result<LayerNorm, Error> {
        Ok(LayerNorm {
            weight: self.take(&format!("{name}.weight"))?,
            bias: self.take(&format!("{name}.bias"))?,
            epsilon,
            arithmetic: self.arithmetic,
        })
    }
}

/// Pairs what `config` demands with what the source has; both must be the same set of names and shapes.
fn check<'a>(
    config: &ModelConfig,
    source: &'a dyn TensorSource,
) -> Result<Vec<(TensorSpec, &'a TensorEntry)>, Error> {
    let entries = source.entries();
    let mut pairs = Vec::with_capacity(entries.len());
    for spec in layout::tensors(config) {
        let Some(entry) = entries.get(&spec.name) else {
            return Err(Error::MissingTensor { name: spec.name });
        };
        if entry.shape != spec.shape {
            let found = entry.shape.clone();
            return Err(Error::Misshapen { name: spec.name, found, expected: spec.shape });
        }
        pairs.push((spec, entry));
    }
    if pairs.len() < entries.len() {
        let known = |name: &str| pairs.iter().any(|(spec, _)| spec.name == name);
        let name = entries.keys().find(|name| !known(name)).cloned().unwrap_or_default();
        return Err(Error::UnexpectedTensor { name });
    }
    Ok(pairs)
}

fn is_projection(name: &str) -> bool {
    name.ends_with(".c_attn.weight") || name.ends_with(".c_proj.weight") || name.ends_with(".c_fc.weight")
}

pub(super) fn candle_type(dtype: ElementType) -> DType {
    match dtype {
        ElementType::F32 => DType::F32,
        ElementType::F16 => DType::F16,
        ElementType::BF16 => DType::BF16,
    }
}

/// Reads one tensor.
struct Reader<'a> {
    name: &'a str,
    entry: &'a TensorEntry,
    source: &'a dyn TensorSource,
    progress: &'a dyn Progress,
}

impl Reader<'_> {
    fn tensor(&self, target: &Target) -> Result<Tensor, Error> {
        let dtype = match self.entry.shape[..] {
            [_] => target.activations(),
            _ => candle_type(target.dtype),
        };
        let tensor = match dtype {
            DType::F16 => self.numbers::<f16>(),
            DType::BF16 => self.numbers::<bf16>(),
            _ => self.numbers::<f32>(),
        }?;
        Ok(tensor.to_device(&target.device)?)
    }

    fn numbers<T: Element>(&self) -> Result<Tensor, Error> {
        let shape = self.entry.shape.as_slice();
        let count = shape.iter().product();
        let mut numbers = vec![T::zero(); count];
        let shape = match *shape {
            [inputs, outputs] if is_projection(self.name) => {
                self.transposed(&mut numbers, inputs, outputs)?;
                vec![outputs, inputs]
            }
            _ => {
                self.in_order(&mut numbers)?;
                shape.to_vec()
            }
        };
        Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
    }

    /// Reads all numbers in the order in which they are stored, several strips at a time.
    fn in_order<T: Element>(&self, numbers: &mut [T]) -> Result<(), Error> {
        let strip = STRIP / self.entry.element_type.size();
        numbers
            .par_chunks_mut(strip)
            .enumerate()
            .try_for_each(|(i, numbers)| self.strip(i * strip, numbers, &mut Vec::new()))
    }

    /// Reads a matrix stored [inputs, outputs] as [outputs, inputs], some inputs at a time.
    fn transposed<T: Element>(&self, numbers: &mut [T], inputs: usize, outputs: usize) -> Result<(), Error> {
        let rows = (STRIP / self.entry.element_type.size() / outputs).clamp(1, 64);
        let mut strip = vec![T::zero(); rows * outputs];
        let mut bytes = Vec::new();
        for first in (0..inputs).step_by(rows) {
            let rows = rows.min(inputs - first);
            let strip = &mut strip[..rows * outputs];
            self.strip(first * outputs, strip, &mut bytes)?;
            for (output, numbers) in numbers.chunks_exact_mut(inputs).enumerate() {
                let column = strip[output..].iter().step_by(outputs);
                for (number, &x) in numbers[first..first + rows].iter_mut().zip(column) {
                    *number = x;
                }
            }
        }
        Ok(())
    }

    /// Reads `numbers.len()` numbers from the `first` on.
    fn strip<T: Element>(&self, first: usize, numbers: &mut [T], bytes: &mut Vec<u8>) -> Result<(), Error> {
        let size = self.entry.element_type.size();
        bytes.resize(numbers.len() * size, 0);
        self.source
            .read_at(self.entry, (first * size) as u64, bytes)
            .map_err(|source| Error::Read { name: self.name.to_owned(), source })?;
        T::decode(self.entry.element_type, bytes, numbers);
        if !numbers.iter().fold(true, |all, number| all & number.is_finite()) {
            return Err(Error::WeightNotFinite { name: self.name.to_owned(), dtype: T::TYPE });
        }
        self.progress.advance(bytes.len() as u64);
        Ok(())
    }
}
