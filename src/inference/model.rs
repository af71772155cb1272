//! GPT-2 (Radford et al. 2019) and GPT-1 (Radford et al. 2018), after `openai/gpt-2:src/model.py` and
//! `openai/finetune-transformer-lm:train.py`.
//!
//! The two differ only in the position of their layer norms: GPT-2 normalizes the input of each sublayer and the final output, GPT-1
//! normalizes each residual sum.
//!
//! Shapes: V vocabulary, T context, C width, H heads, D = C / H, N tokens of one call. Loading compares weights with the configuration, and
//! every call compares tokens with V, so no input indexes outside a tensor. Altered weights can only alter the model's output; numbers
//! that are not finite are refused when weights are loaded and in the logits.

use std::fmt;

use super::cache::{Store, cache_shape};
use super::candle::{CacheView, Placement, TensorModel};
use super::kernels::pages::Pages;
use super::native::{NativeModel, Part, Settings};
use super::source::TensorSource;
use super::{Arithmetic, Error, KeyValueCache, Precision};
use crate::checkpoint::config::ModelConfig;
use crate::checkpoint::layout;
use crate::progress::Progress;

/// Maximum number of rows in one forward pass.
pub(super) const ROWS: usize = 256;

/// Receives the index of a token and the logits, \[V\], of the next token.
pub type LogitsVisitor<'a> = dyn FnMut(usize, &[f32]) -> Result<(), Error> + Send + 'a;

/// Receives the index of a sequence, the index of its token, and the logits, \[V\], of the next token.
pub type BatchVisitor<'a> = dyn FnMut(usize, usize, &[f32]) -> Result<(), Error> + Send + 'a;

/// How to load a model.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// The format of the weights in memory; `None` keeps the stored type of the token embedding.
    pub precision: Option<Precision>,
    /// The device to compute on.
    pub device: super::Device,
    /// The implementation on the CPU; a GPU always uses [`Arithmetic::Candle`].
    pub arithmetic: Arithmetic,
    /// Number of threads on the CPU; `None` for one per core.
    pub threads: Option<usize>,
}

/// A loaded language model.
pub struct Model {
    config: ModelConfig,
    precision: Precision,
    engine: Engine,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ModelConfig { architecture, layers, width, .. } = self.config;
        write!(f, "Model({architecture:?}, {layers} × {width}, {})", self.precision)
    }
}

/// The implementation that computes.
#[derive(Debug)]
enum Engine {
    Native(Box<NativeModel>),
    Tensors(Box<TensorModel>),
}

/// The input of one sequence in a call for several.
#[derive(Debug)]
pub struct SequenceInput<'a> {
    /// The next tokens after the positions in the cache; at least one.
    pub tokens: &'a [u32],
    /// The state of the sequence.
    pub cache: &'a mut KeyValueCache,
    /// The index of the first token whose logits the visitor receives; the number of tokens for none.
    pub first: usize,
}

impl Model {
    /// Loads a model's weights. Peak memory is the weights once, and a few mebibytes per thread.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::UnexpectedTensor`], [`Error::Misshapen`], [`Error::WeightNotFinite`] and [`Error::Read`] name
    /// the tensor. [`Error::Memory`] if the weights do not fit. [`Error::BuiltWithoutCuda`], [`Error::NoCudaDevice`] and
    /// [`Error::OnlyOnTheProcessor`] concern the device.
    pub fn load(
        config: &ModelConfig,
        source: &dyn TensorSource,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let device = options.device.open()?;
        let (tokens, _) = layout::embedding_names(config.architecture);
        let stored = source.entries().get(tokens).map(|entry| entry.element_type.into());
        let precision = options.precision.or(stored).unwrap_or(Precision::F32);
        let engine = if device.is_cpu() && options.arithmetic == Arithmetic::Native {
            let settings = Settings { precision, threads: options.threads };
            Engine::Native(Box::new(NativeModel::load(config, source, settings, progress)?))
        } else {
            let placement = Placement { dtype: precision.try_into()?, device };
            Engine::Tensors(Box::new(TensorModel::load(config, source, placement, progress)?))
        };
        Ok(Self { config: config.clone(), precision, engine })
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The format of the weights in memory.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Bytes of the weights in memory.
    pub fn weight_bytes(&self) -> u64 {
        match &self.engine {
            Engine::Native(model) => model.weight_bytes(),
            Engine::Tensors(model) => model.weight_bytes(&self.config),
        }
    }

    /// The number of threads and the level of instructions on the CPU; `None` on a device.
    pub fn processor(&self) -> Option<(usize, &'static str)> {
        match &self.engine {
            Engine::Native(model) => Some((model.threads(), model.instructions())),
            Engine::Tensors(_) => None,
        }
    }

    /// Whether keys and values are stored in binary16.
    pub(super) fn has_f16_cache(&self) -> bool {
        self.precision != Precision::F32
    }

    /// An empty cache for `capacity` positions; the capacity is clamped to 1 up to the context.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a device has no memory for it.
    pub fn cache(&self, capacity: usize) -> Result<KeyValueCache, Error> {
        let capacity = capacity.clamp(1, self.config.context);
        let shape = cache_shape(&self.config);
        let store = match &self.engine {
            Engine::Native(_) if self.has_f16_cache() => Store::F16(Pages::new(shape)),
            Engine::Native(_) => Store::F32(Pages::new(shape)),
            Engine::Tensors(model) => Store::Tensors(model.cache(&self.config, capacity)?),
        };
        Ok(KeyValueCache::new(&self.config, capacity, store))
    }

    /// Appends `tokens` to the sequence in `cache` and returns the logits, \[V\], of the next token.
    ///
    /// # Errors
    /// [`Error::NoTokens`], [`Error::UnknownToken`], [`Error::ContextOverflow`] and [`Error::ForeignCache`] before the computation;
    /// [`Error::CacheMemory`], [`Error::Tensor`] and [`Error::LogitNotFinite`] after. On an error the cache is unchanged.
    pub fn forward(&self, tokens: &[u32], cache: &mut KeyValueCache) -> Result<Vec<f32>, Error> {
        let mut last = Vec::new();
        self.forward_all(tokens, cache, tokens.len().saturating_sub(1), &mut |_, logits| {
            last = logits.to_vec();
            Ok(())
        })?;
        Ok(last)
    }

    /// Appends `tokens` to the sequence in `cache` and calls `visit`, in order, with the index of each token from `first` on and the
    /// logits, \[V\], of the next token. Holds the logits of 64 positions at a time.
    ///
    /// # Errors
    /// The errors of [`Self::forward`] and of `visit`.
    pub fn forward_all(
        &self,
        tokens: &[u32],
        cache: &mut KeyValueCache,
        first: usize,
        visit: &mut LogitsVisitor<'_>,
    ) -> Result<(), Error> {
        let input = SequenceInput { tokens, cache, first };
        self.forward_each(&mut [input], &mut |_, token, logits| {
            // In a batch, the sampler checks this for each sequence.
            if !logits.iter().fold(true, |all, logit| all & logit.is_finite()) {
                return Err(Error::LogitNotFinite);
            }
            visit(token, logits)
        })
    }

    /// Appends tokens to several sequences, and calls `visit` with the logits that each input requests, in the order of its tokens. The
    /// logits may not be finite. On the CPU, the results of each sequence are equal to the bit to those of a call for it alone.
    ///
    /// # Errors
    /// The errors of [`Self::forward`] for any sequence but [`Error::LogitNotFinite`], and the errors of `visit`. On an error every cache
    /// is unchanged.
    pub fn forward_each(
        &self,
        inputs: &mut [SequenceInput<'_>],
        visit: &mut BatchVisitor<'_>,
    ) -> Result<(), Error> {
        for SequenceInput { tokens, cache, .. } in inputs.iter() {
            self.check(tokens, cache)?;
        }
        let before: Vec<usize> = inputs.iter().map(|input| input.cache.length()).collect();
        let done = match &self.engine {
            Engine::Native(model) => self.run_native(model, inputs, visit),
            Engine::Tensors(model) => self.run_candle(model, inputs, visit),
        };
        if done.is_err() {
            let caches = inputs.iter_mut().zip(before);
            caches.for_each(|(input, before)| input.cache.truncate(before));
        }
        done
    }

    /// Checks that there are tokens, that all are in the vocabulary, and that they fit the cache.
    pub(super) fn check(&self, tokens: &[u32], cache: &KeyValueCache) -> Result<(), Error> {
        let vocabulary = self.config.vocabulary;
        if tokens.is_empty() {
            return Err(Error::NoTokens);
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(Error::UnknownToken { token, vocabulary });
        }
        cache.check_room(&self.config, tokens.len())
    }

    fn run_candle(
        &self,
        model: &TensorModel,
        inputs: &mut [SequenceInput<'_>],
        visit: &mut BatchVisitor<'_>,
    ) -> Result<(), Error> {
        for (sequence, SequenceInput { tokens, cache, first }) in inputs.iter_mut().enumerate() {
            for (i, part) in tokens.chunks(ROWS).enumerate() {
                let before = cache.length();
                let Store::Tensors(tensors) = &cache.store else {
                    return Err(Error::ForeignCache);
                };
                let skipped = first.saturating_sub(i * ROWS).min(part.len());
                model.forward(
                    part,
                    CacheView { cache: tensors, before },
                    skipped,
                    &mut |token, logits| visit(sequence, i * ROWS + token, logits),
                )?;
                cache.advance_to(before + part.len());
            }
        }
        Ok(())
    }

    fn run_native(
        &self,
        model: &NativeModel,
        inputs: &mut [SequenceInput<'_>],
        visit: &mut BatchVisitor<'_>,
    ) -> Result<(), Error> {
        let mut done = vec![0; inputs.len()];
        loop {
            let counts = next_counts(inputs, &done);
            if counts.iter().all(|&count| count == 0) {
                return Ok(());
            }
            let mut offset = |sequence: usize, token: usize, logits: &[f32]| {
                visit(sequence, done[sequence] + token, logits)
            };
            if self.has_f16_cache() {
                let parts = parts(inputs, &done, &counts, |store| match store {
                    Store::F16(pages) => Some(pages),
                    _ => None,
                })?;
                model.forward(&self.config, &mut { parts }, &mut offset)?;
            } else {
                let parts = parts(inputs, &done, &counts, |store| match store {
                    Store::F32(pages) => Some(pages),
                    _ => None,
                })?;
                model.forward(&self.config, &mut { parts }, &mut offset)?;
            }
            for ((input, done), count) in inputs.iter_mut().zip(&mut done).zip(counts) {
                *done += count;
                input.cache.advance_to(input.cache.length() + count);
            }
        }
    }
}

/// The number of tokens of each sequence in the next forward pass.
fn next_counts(inputs: &[SequenceInput<'_>], done: &[usize]) -> Vec<usize> {
    let mut room = ROWS;
    let count = |(input, done): (&SequenceInput<'_>, &usize)| {
        let count = room.min(input.tokens.len() - done);
        room -= count;
        count
    };
    inputs.iter().zip(done).map(count).collect()
}

/// The input of the next forward pass: `counts` tokens of each sequence after the first `done`.
fn parts<'a, T>(
    inputs: &'a mut [SequenceInput<'_>],
    done: &[usize],
    counts: &[usize],
    pages: impl Fn(&'a mut Store) -> Option<&'a mut Pages<T>>,
) -> Result<Vec<Part<'a, T>>, Error> {
    let mut parts = Vec::with_capacity(inputs.len());
    for (sequence, input) in inputs.iter_mut().enumerate().filter(|(sequence, _)| counts[*sequence] > 0) {
        let (done, count) = (done[sequence], counts[sequence]);
        parts.push(Part {
            sequence,
            tokens: &input.tokens[done..done + count],
            before: input.cache.length(),
            first: input.first.saturating_sub(done).min(count),
            pages: pages(&mut input.cache.store).ok_or(Error::ForeignCache)?,
        });
    }
    Ok(parts)
}
