//! Causal self-attention of one block.

use candle_core::Tensor;

use super::cache::LayerCache;
use super::linear::Linear;
use crate::inference::Error;

/// Attention with its two projections.
#[derive(Debug)]
pub(super) struct Attention {
    pub(super) qkv: Linear,    // [C, 3·C]
    pub(super) output: Linear, // [C, C]
    pub(super) heads: usize,
    /// Factor of the queries.
    pub(super) scale: f32,
}

impl Attention {
    /// The attention, [N, C], of `x`, [N, C]. Writes its keys and values into the cache from position `before` on.
    pub(super) fn forward(&self, x: &Tensor, cache: &LayerCache<'_>) -> Result<Tensor, Error> {
        let before = cache.before;
        let (rows, width) = x.dims2()?;
        let head_width = width / self.heads;
        let qkv = self.qkv.forward(x)?; // [N, 3·C]
        let qkv = qkv.reshape((rows, 3, self.heads, head_width))?.permute((1, 2, 0, 3))?; // [3, H, N, D]
        let part = |i: usize| qkv.get(i)?.contiguous(); // [H, N, D]
        cache.keys.slice_set(&part(1)?, 1, before)?;
        cache.values.slice_set(&part(2)?, 1, before)?;
        let seen = before + rows;
        let keys = cache.keys.narrow(1, 0, seen)?.contiguous()?; // [H, T, D]
        let values = cache.values.narrow(1, 0, seen)?.contiguous()?; // [H, T, D]
        let query = (part(0)? * f64::from(self.scale))?;
        let scores = query.matmul(&keys.transpose(1, 2)?)?; // [H, N, T]
        let mask: Vec<f32> = (0..rows)
            .flat_map(|row| (0..seen).map(move |t| if t <= before + row { 0.0 } else { f32::NEG_INFINITY }))
            .collect();
        let mask = Tensor::from_vec(mask, (rows, seen), scores.device())?.to_dtype(scores.dtype())?;
        let weights = candle_nn::ops::softmax_last_dim(&scores.broadcast_add(&mask)?)?;
        let mixed = weights.matmul(&values)?; // [H, N, D]
        self.output.forward(&mixed.transpose(0, 1)?.reshape((rows, width))?)
    }
}
