//! The forward pass in candle's tensors, for GPUs and for comparison with the native engine.
//!
//! Shapes: V vocabulary, T context, C width, H heads, D = C / H, N tokens of one call.

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
use super::{Error, LogitsVisitor, activation};
use crate::checkpoint::config::{Activation, Architecture, ModelConfig};
use crate::checkpoint::layout;
use crate::checkpoint::tensor_file::ElementType;
use crate::progress::Progress;

/// Maximum number of positions whose logits are held at a time.
const LOGIT_ROWS: usize = 64;

/// A model whose weights and activations are tensors of one type on one device.
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

    /// The output, [N, C], of `x`, [N, C].
    fn forward(
        &self,
        architecture: Architecture,
        x: &Tensor,
        cache: &LayerCache<'_>,
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

/// The type in candle.
fn candle_type(dtype: ElementType) -> DType {
    match dtype {
        ElementType::F32 => DType::F32,
        ElementType::F16 => DType::F16,
        ElementType::BF16 => DType::BF16,
    }
}

/// The type and the device of tensors.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    pub(super) dtype: ElementType,
    pub(super) device: Device,
}

/// A cache and the number of positions in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct CacheView<'a> {
    pub(super) cache: &'a TensorCache,
    pub(super) before: usize,
}

impl TensorModel {
    /// Loads every weight.
    ///
    /// # Errors
    /// The errors of [`super::Model::load`].
    pub(super) fn load(
        config: &ModelConfig,
        source: &dyn TensorSource,
        placement: Placement,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let mut weights = Weights::load(config, source, &placement, progress)?;
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
            dtype: candle_type(placement.dtype),
            device: placement.device,
            tokens,
            positions: weights.take(positions)?,
            blocks,
            final_norm,
            head,
        })
    }

    /// An empty cache for `capacity` positions.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device has no memory for it.
    pub(super) fn cache(&self, config: &ModelConfig, capacity: usize) -> Result<TensorCache, Error> {
        TensorCache::new(config, capacity, self.dtype, &self.device)
    }

    /// Bytes of the weights in memory.
    pub(super) fn weight_bytes(&self, config: &ModelConfig) -> u64 {
        layout::parameter_count(config) * self.dtype.size_in_bytes() as u64
    }

    /// Reads `tokens` after the positions in the cache, and calls `visit` with the index of each token from `first` on and the logits,
    /// \[V\], of the next token.
    ///
    /// # Errors
    /// [`Error::Tensor`], and the errors of `visit`.
    pub(super) fn forward(
        &self,
        tokens: &[u32],
        view: CacheView<'_>,
        first: usize,
        visit: &mut LogitsVisitor<'_>,
    ) -> Result<(), Error> {
        let CacheView { cache, before } = view;
        let ids = Tensor::new(tokens, &self.device)?;
        let token = self.tokens.index_select(&ids, 0)?; // [N, C]
        let position = self.positions.narrow(0, before, tokens.len())?; // [N, C]
        let mut x = (token + position)?;
        for (layer, block) in self.blocks.iter().enumerate() {
            x = block.forward(self.architecture, &x, &cache.layer(layer, before))?;
        }
        for from in (first..tokens.len()).step_by(LOGIT_ROWS) {
            let rows = LOGIT_ROWS.min(tokens.len() - from);
            let logits = self.logits(&x.narrow(0, from, rows)?)?; // [rows, V]
            for (row, logits) in logits.iter().enumerate() {
                visit(from + row, logits)?;
            }
        }
        Ok(())
    }

    /// The logits, [N, V], of `x`, [N, C], the output of the last block.
    fn logits(&self, x: &Tensor) -> Result<Vec<Vec<f32>>, Error> {
        let x = match &self.final_norm {
            Some(norm) => norm.forward(x)?,
            None => x.clone(),
        };
        Ok(x.matmul(&self.head.t()?)?.to_dtype(DType::F32)?.to_vec2()?)
    }
}
