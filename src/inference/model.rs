//! GPT-2 (Radford et al. 2019) and GPT-1 (Radford et al. 2018): the forward pass.
//!
//! After `openai/gpt-2:src/model.py` and `openai/finetune-transformer-lm:train.py`. The two differ in where the norms
//! stand, and in nothing else: GPT-2 norms what enters a sublayer and once more at the end, GPT-1 what leaves a residual sum.
//!
//! Shapes: V vocabulary, T context, C width, H heads, D = C / H, N tokens of one call. Weights were checked against the
//! configuration when they were read, and tokens are checked against V here, so no input indexes outside a tensor. Whoever
//! alters weights alters what the model says; numbers that are not finite are refused, at load and in the logits.

use candle_core::{DType, Device, Tensor};

use super::attention::Attention;
use super::borrow::to_numbers;
use super::cache::{BlockCache, KeyValueCache};
use super::linear::{Activation, Linear};
use super::norm::LayerNorm;
use super::source::TensorSource;
use super::weights::{Target, Weights, candle_type};
use super::{Arithmetic, Error};
use crate::checkpoint::config::{Architecture, ModelConfig};
use crate::checkpoint::layout;
use crate::checkpoint::tensor_file::ElementType;
use crate::progress::Progress;

/// Tokens whose activations are held at a time.
const PREFILL: usize = 512;

/// Positions whose logits are held at a time, [64, V] each.
const LOGITS: usize = 64;

/// Sees a token's index and the logits, \[V\], of what follows it.
pub type Visit<'a> = dyn FnMut(usize, &[f32]) -> Result<(), Error> + Send + 'a;

/// How a model is to be loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// The type of its weights in memory; `None` keeps the one in which its token embedding is stored.
    pub dtype: Option<ElementType>,
    /// Where it computes.
    pub device: super::Device,
    /// Whose arithmetic it uses; a GPU always uses candle's.
    pub arithmetic: Arithmetic,
}

/// A language model, ready to read tokens.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    dtype: ElementType,
    activations: DType,
    device: Device,
    tokens: Tensor,    // [V, C]
    positions: Tensor, // [T, C]
    blocks: Vec<Block>,
    final_norm: Option<LayerNorm>,
    head: Linear, // [V, C]
}

/// One transformer block.
#[derive(Debug)]
struct Block {
    architecture: Architecture,
    norm_1: LayerNorm,
    attention: Attention,
    norm_2: LayerNorm,
    mlp: Mlp,
}

/// The two-layer perceptron of a block.
#[derive(Debug)]
struct Mlp {
    up: Linear,   // [inner, C]
    down: Linear, // [C, inner]
}

impl Mlp {
    fn load(weights: &mut Weights, prefix: &str) -> Result<Self, Error> {
        Ok(Self {
            up: weights.linear(&format!("{prefix}.mlp.c_fc"))?,
            down: weights.linear(&format!("{prefix}.mlp.c_proj"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let hidden = self.up.forward_with(x, Activation::Gelu)?; // [N, inner]
        self.down.forward(&hidden)
    }
}

impl Block {
    fn load(weights: &mut Weights, config: &ModelConfig, layer: usize) -> Result<Self, Error> {
        let prefix = format!("h.{layer}");
        Ok(Self {
            architecture: config.architecture,
            norm_1: weights.norm(&format!("{prefix}.ln_1"), config.norm_epsilon)?,
            attention: Attention {
                qkv: weights.linear(&format!("{prefix}.attn.c_attn"))?,
                output: weights.linear(&format!("{prefix}.attn.c_proj"))?,
                heads: config.heads,
            },
            norm_2: weights.norm(&format!("{prefix}.ln_2"), config.norm_epsilon)?,
            mlp: Mlp::load(weights, &prefix)?,
        })
    }

    /// `x` is [N, C] and so is what comes out.
    fn forward(&self, x: &Tensor, cache: &BlockCache, before: usize) -> Result<Tensor, Error> {
        match self.architecture {
            Architecture::Gpt2 => {
                let x = (x + self.attention.forward(&self.norm_1.forward(x)?, cache, before)?)?;
                Ok((&x + self.mlp.forward(&self.norm_2.forward(&x)?)?)?)
            }
            Architecture::Gpt1 => {
                let sum = (x + self.attention.forward(x, cache, before)?)?;
                let x = self.norm_1.forward(&sum)?;
                let sum = (&x + self.mlp.forward(&x)?)?;
                self.norm_2.forward(&sum)
            }
        }
    }
}

impl Model {
    /// Reads a model's weights; in memory they are there once, with buffers of about a mebibyte per thread beside them.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::UnexpectedTensor`], [`Error::Misshapen`], [`Error::WeightNotFinite`] and
    /// [`Error::Read`] name the tensor; [`Error::BuiltWithoutCuda`] and [`Error::NoCudaDevice`] are about the device.
    pub fn load(
        config: &ModelConfig,
        source: &dyn TensorSource,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let device = options.device.open()?;
        let (tokens, positions) = layout::embedding_names(config.architecture);
        let stored = source.entries().get(tokens).map(|entry| entry.element_type);
        let arithmetic = if device.is_cpu() { options.arithmetic } else { Arithmetic::Candle };
        let target = Target {
            dtype: options.dtype.or(stored).unwrap_or(ElementType::F32),
            device: device.clone(),
            arithmetic,
        };
        let mut weights = Weights::load(config, source, &target, progress)?;
        let blocks = (0..config.layers).map(|layer| Block::load(&mut weights, config, layer));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let final_norm = match config.architecture {
            Architecture::Gpt2 => Some(weights.norm("ln_f", config.norm_epsilon)?),
            Architecture::Gpt1 => None,
        };
        let tokens = weights.take(tokens)?;
        let head = if config.tied_head { tokens.clone() } else { weights.take(layout::HEAD)? };
        Ok(Self {
            config: config.clone(),
            dtype: target.dtype,
            activations: target.activations(),
            device,
            tokens,
            positions: weights.take(positions)?,
            blocks,
            final_norm,
            head: Linear { weight: head, bias: None, arithmetic },
        })
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The type of its weights in memory.
    pub fn dtype(&self) -> ElementType {
        self.dtype
    }

    /// A cache with room for `capacity` positions, at least 1 and at most the context.
    ///
    /// # Errors
    /// [`Error::Tensor`] where the device has no memory for it.
    pub fn cache(&self, capacity: usize) -> Result<KeyValueCache, Error> {
        KeyValueCache::new(&self.config, capacity, (self.activations, &self.device))
    }

    /// Reads `tokens` after those already in `cache`; the logits, \[V\], of what follows the last one.
    ///
    /// # Errors
    /// [`Error::NoTokens`], [`Error::UnknownToken`], [`Error::ContextOverflow`] and [`Error::ForeignCache`] before anything
    /// is computed; [`Error::LogitNotFinite`] after. The cache is as before wherever this fails.
    pub fn forward(&self, tokens: &[u32], cache: &mut KeyValueCache) -> Result<Vec<f32>, Error> {
        self.check(tokens, cache)?;
        let before = cache.length();
        let logits = rayon::scope(|_| {
            let mut logits = Vec::new();
            for tokens in tokens.chunks(PREFILL) {
                let x = self.hidden(tokens, cache)?;
                logits = self.logits(&x.narrow(0, tokens.len() - 1, 1)?)?;
            }
            Ok(logits)
        });
        logits.inspect_err(|_| cache.truncate(before))
    }

    /// Reads `tokens` after those already in `cache` and shows `visit` the logits, \[V\], of what follows each of them from
    /// the `first` on, in order, with the token's index. Holds the logits of 64 positions at a time.
    ///
    /// # Errors
    /// As [`Self::forward`], and what `visit` returns.
    pub fn forward_all(
        &self,
        tokens: &[u32],
        cache: &mut KeyValueCache,
        first: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        self.check(tokens, cache)?;
        let before = cache.length();
        let done = rayon::scope(|_| {
            for (i, part) in tokens.chunks(PREFILL).enumerate() {
                let x = self.hidden(part, cache)?;
                let skipped = first.saturating_sub(i * PREFILL).min(part.len());
                for from in (skipped..part.len()).step_by(LOGITS) {
                    let rows = LOGITS.min(part.len() - from);
                    let logits = self.logits(&x.narrow(0, from, rows)?)?;
                    for (row, logits) in logits.chunks_exact(self.config.vocabulary).enumerate() {
                        visit(i * PREFILL + from + row, logits)?;
                    }
                }
            }
            Ok(())
        });
        done.inspect_err(|_| cache.truncate(before))
    }

    fn check(&self, tokens: &[u32], cache: &KeyValueCache) -> Result<(), Error> {
        let vocabulary = self.config.vocabulary;
        if tokens.is_empty() {
            return Err(Error::NoTokens);
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(Error::UnknownToken { token, vocabulary });
        }
        cache.fits(&self.config, tokens.len())
    }

    /// What leaves the last block, [N, C].
    fn hidden(&self, tokens: &[u32], cache: &mut KeyValueCache) -> Result<Tensor, Error> {
        let before = cache.length();
        let ids = Tensor::new(tokens, &self.device)?;
        let token = self.tokens.index_select(&ids, 0)?.to_dtype(self.activations)?; // [N, C]
        let position = self.positions.narrow(0, before, tokens.len())?; // [N, C]
        let mut x = (token + position.to_dtype(self.activations)?)?;
        for (block, cache) in self.blocks.iter().zip(&cache.blocks) {
            x = block.forward(&x, cache, before)?;
        }
        cache.advance(tokens.len());
        Ok(x)
    }

    /// The logits, [N·V], of `x`, [N, C], what left the last block.
    fn logits(&self, x: &Tensor) -> Result<Vec<f32>, Error> {
        let x = match &self.final_norm {
            Some(norm) => norm.forward(x)?,
            None => x.force_contiguous()?, // a kernel wants a tensor that begins where its storage does
        };
        let logits = to_numbers(&self.head.forward(&x)?)?; // [N·V]
        if logits.iter().fold(true, |all, logit| all & logit.is_finite()) {
            Ok(logits)
        } else {
            Err(Error::LogitNotFinite)
        }
    }
}

impl Model {
    /// Bytes of the weights in memory.
    pub fn weight_bytes(&self) -> u64 {
        layout::parameter_count(&self.config) * candle_type(self.dtype).size_in_bytes() as u64
    }
}
