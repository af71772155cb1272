//! The forward pass in candle's tensors: what a GPU computes, and a second opinion on the processor.
//!
//! Shapes as in `model`: V vocabulary, T context, C width, H heads, D = C / H, N tokens of one call.

mod attention;
mod cache;
mod linear;
mod norm;
mod weights;

use candle_core::{DType, Device, Tensor};

use self::attention::Attention;
use self::cache::LayerCache;
pub(super) use self::cache::TensorCache;
use self::linear::Linear;
use self::norm::LayerNorm;
use self::weights::Weights;
use super::source::TensorSource;
use super::{Error, Visit, activation};
use crate::checkpoint::config::{Activation, Architecture, ModelConfig};
use crate::checkpoint::layout;
use crate::checkpoint::tensor_file::ElementType;
use crate::progress::Progress;

/// Positions whose logits are held at a time, [64, V] each.
const LOGITS: usize = 64;

/// A model whose weights are tensors of one type on one device; activations are of that type, too.
#[derive(Debug)]
pub(super) struct TensorModel {
    architecture: Architecture,
    dtype: DType,
    device: Device,
    tokens: Tensor,    // [V, C]
    positions: Tensor, // [T, C]
    blocks: Vec<Block>,
    final_norm: Option<LayerNorm>,
    head: Tensor, // [V, C]
}

/// One transformer block.
#[derive(Debug)]
struct Block {
    norm_1: LayerNorm,
    attention: Attention,
    norm_2: LayerNorm,
    up: Linear, // [C, inner]
    activation: Activation,
    down: Linear, // [inner, C]
}

impl Block {
    fn load(weights: &mut Weights, config: &ModelConfig, layer: usize) -> Result<Self, Error> {
        let name = |part: &str| format!("h.{layer}.{part}");
        Ok(Self {
            norm_1: weights.norm(&name("ln_1"), config.norm_epsilon)?,
            attention: Attention {
                qkv: weights.linear(&name("attn.c_attn"))?,
                output: weights.linear(&name("attn.c_proj"))?,
                heads: config.heads,
                scale: config.attention_scale.factor(config.head_width(), layer),
            },
            norm_2: weights.norm(&name("ln_2"), config.norm_epsilon)?,
            up: weights.linear(&name("mlp.c_fc"))?,
            activation: config.activation,
            down: weights.linear(&name("mlp.c_proj"))?,
        })
    }

    /// `x` is [N, C] and so is what comes out.
    fn forward(
        &self,
        architecture: Architecture,
        x: &Tensor,
        cache: (&LayerCache<'_>, usize),
    ) -> Result<Tensor, Error> {
        let mlp = |x: &Tensor| {
            let hidden = activation::apply_to_tensor(self.activation, &self.up.forward(x)?)?;
            self.down.forward(&hidden)
        };
        match architecture {
            Architecture::Gpt2 => {
                let x = (x + self.attention.forward(&self.norm_1.forward(x)?, cache)?)?;
                Ok((&x + mlp(&self.norm_2.forward(&x)?)?)?)
            }
            Architecture::Gpt1 => {
                let sum = (x + self.attention.forward(x, cache)?)?;
                let x = self.norm_1.forward(&sum)?;
                let sum = (&x + mlp(&x)?)?;
                self.norm_2.forward(&sum)
            }
        }
    }
}

/// candle's name of a type.
fn candle_type(dtype: ElementType) -> DType {
    match dtype {
        ElementType::F32 => DType::F32,
        ElementType::F16 => DType::F16,
        ElementType::BF16 => DType::BF16,
    }
}

impl TensorModel {
    /// Reads every weight as `dtype` onto `device`.
    ///
    /// # Errors
    /// As [`super::Model::load`].
    pub(super) fn load(
        config: &ModelConfig,
        source: &dyn TensorSource,
        (dtype, device): (ElementType, &Device),
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let mut weights = Weights::load(config, source, (dtype, device), progress)?;
        let blocks = (0..config.layers).map(|layer| Block::load(&mut weights, config, layer));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let final_norm = match config.architecture {
            Architecture::Gpt2 => Some(weights.norm("ln_f", config.norm_epsilon)?),
            Architecture::Gpt1 => None,
        };
        let (tokens, positions) = layout::embedding_names(config.architecture);
        let tokens = weights.take(tokens)?;
        let head = if config.tied_head { tokens.clone() } else { weights.take(layout::HEAD)? };
        Ok(Self {
            architecture: config.architecture,
            dtype: candle_type(dtype),
            device: device.clone(),
            tokens,
            positions: weights.take(positions)?,
            blocks,
            final_norm,
            head,
        })
    }

    /// A cache with room for `capacity` positions.
    ///
    /// # Errors
    /// [`Error::Tensor`] where the device has no memory for it.
    pub(super) fn cache(&self, config: &ModelConfig, capacity: usize) -> Result<TensorCache, Error> {
        TensorCache::new(config, capacity, (self.dtype, &self.device))
    }

    /// Bytes of the weights in memory.
    pub(super) fn weight_bytes(&self, config: &ModelConfig) -> u64 {
        layout::parameter_count(config) * self.dtype.size_in_bytes() as u64
    }

    /// Reads `tokens` after the first `before` positions of `cache`, and shows `visit` the logits, \[V\], of what follows each
    /// from the `first` on, with the token's index.
    ///
    /// # Errors
    /// [`Error::Tensor`], and what `visit` returns.
    pub(super) fn read(
        &self,
        tokens: &[u32],
        (cache, before): (&TensorCache, usize),
        first: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let ids = Tensor::new(tokens, &self.device)?;
        let token = self.tokens.index_select(&ids, 0)?; // [N, C]
        let position = self.positions.narrow(0, before, tokens.len())?; // [N, C]
        let mut x = (token + position)?;
        for (layer, block) in self.blocks.iter().enumerate() {
            x = block.forward(self.architecture, &x, (&cache.layer(layer), before))?;
        }
        for from in (first..tokens.len()).step_by(LOGITS) {
            let rows = LOGITS.min(tokens.len() - from);
            let logits = self.logits(&x.narrow(0, from, rows)?)?; // [rows, V]
            for (row, logits) in logits.iter().enumerate() {
                visit(from + row, logits)?;
            }
        }
        Ok(())
    }

    /// The logits of `x`, [N, C], what left the last block.
    fn logits(&self, x: &Tensor) -> Result<Vec<Vec<f32>>, Error> {
        let x = match &self.final_norm {
            Some(norm) => norm.forward(x)?,
            None => x.clone(),
        };
        Ok(x.matmul(&self.head.t()?)?.to_dtype(DType::F32)?.to_vec2()?)
    }
}
