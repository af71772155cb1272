//! Causal self-attention of one block.

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor};

use super::borrow::{matrix, with_numbers};
use super::cache::BlockCache;
use super::kernels::attention::Shape;
use super::linear::Linear;
use super::{Arithmetic, Error};

/// Attention with its two projections.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) qkv: Linear,    // [3·C, C]
    pub(super) output: Linear, // [C, C]
    pub(super) heads: usize,
}

impl Attention {
    /// Attention, [N, C], of `x`, [N, C], whose first row stands at position `before`; its keys and values join the cache.
    pub(super) fn forward(&self, x: &Tensor, cache: &BlockCache, before: usize) -> Result<Tensor, Error> {
        let (rows, width) = x.dims2()?;
        let (_, capacity, head_width) = cache.keys.dims3()?;
        let shape = Shape { heads: self.heads, head_width, rows, before, capacity };
        let qkv = self.qkv.forward(x)?; // [N, 3·C]
        let mixed = match self.qkv.arithmetic {
            Arithmetic::Native => matrix(native(&qkv, cache, shape)?, width)?,
            Arithmetic::Candle => candle(&qkv, cache, shape)?,
        };
        self.output.forward(&mixed)
    }
}

fn native(qkv: &Tensor, cache: &BlockCache, shape: Shape) -> Result<Vec<f32>, Error> {
    cache.keys.inplace_op2(qkv, &Append { shape, which: 1 })?;
    cache.values.inplace_op2(qkv, &Append { shape, which: 2 })?;
    with_numbers(qkv, |qkv| {
        with_numbers(&cache.keys, |keys| {
            with_numbers(&cache.values, |values| Ok(shape.attend(qkv, keys, values)))
        })
    })
}

/// Writes the keys or the values of new positions into the cache.
struct Append {
    shape: Shape,
    /// Which third of `qkv`: 1 for keys, 2 for values.
    which: usize,
}

impl InplaceOp2 for Append {
    fn name(&self) -> &'static str {
        "append-to-cache"
    }

    fn cpu_fwd(
        &self,
        cache: &mut CpuStorage,
        _: &Layout,
        qkv: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<()> {
        let CpuStorage::F32(cache) = cache else {
            candle_core::bail!("the cache of native arithmetic is f32");
        };
        self.shape.append(qkv.as_slice()?, self.which, cache);
        Ok(())
    }
}

fn candle(qkv: &Tensor, cache: &BlockCache, shape: Shape) -> Result<Tensor, Error> {
    let Shape { heads, head_width, rows, before, .. } = shape;
    let qkv = qkv.reshape((rows, 3, heads, head_width))?.permute((1, 2, 0, 3))?; // [3, H, N, D]
    let part = |i: usize| qkv.get(i)?.contiguous(); // [H, N, D]
    cache.keys.slice_set(&part(1)?, 1, before)?;
    cache.values.slice_set(&part(2)?, 1, before)?;
    let seen = before + rows;
    let keys = cache.keys.narrow(1, 0, seen)?.contiguous()?; // [H, T, D]
    let values = cache.values.narrow(1, 0, seen)?.contiguous()?; // [H, T, D]
    let query = (part(0)? / (head_width as f64).sqrt())?;
    let scores = query.matmul(&keys.transpose(1, 2)?)?; // [H, N, T]
    let mask: Vec<f32> = (0..rows)
        .flat_map(|row| (0..seen).map(move |t| if t <= before + row { 0.0 } else { f32::NEG_INFINITY }))
        .collect();
    let mask = Tensor::from_vec(mask, (rows, seen), scores.device())?.to_dtype(scores.dtype())?;
    let weights = candle_nn::ops::softmax_last_dim(&scores.broadcast_add(&mask)?)?;
    let mixed = weights.matmul(&values)?; // [H, N, D]
    Ok(mixed.transpose(0, 1)?.reshape((rows, heads * head_width))?)
}
