//! GPT-2 (Radford et al. 2019) and GPT-1 (Radford et al. 2018): a model that reads tokens.
//!
//! After `openai/gpt-2:src/model.py` and `openai/finetune-transformer-lm:train.py`. The two differ in where the norms
//! stand, and in nothing else: GPT-2 norms what enters a sublayer and once more at the end, GPT-1 what leaves a residual sum.
//!
//! Shapes: V vocabulary, T context, C width, H heads, D = C / H, N tokens of one call. Weights were checked against the
//! configuration when they were read, and tokens are checked against V here, so no input indexes outside a tensor. Whoever
//! alters weights alters what the model says; numbers that are not finite are refused, at load and in the logits.

use std::fmt;

use super::cache::{Store, shape_of};
use super::candle::TensorModel;
use super::kernels::pages::Pages;
use super::native::{NativeModel, Part};
use super::source::TensorSource;
use super::{Arithmetic, Error, KeyValueCache, Precision};
use crate::checkpoint::config::ModelConfig;
use crate::checkpoint::layout;
use crate::progress::Progress;

/// Rows whose activations are held at a time.
pub(super) const ROWS: usize = 256;

/// Sees a token's index and the logits, \[V\], of what follows it.
pub type Visit<'a> = dyn FnMut(usize, &[f32]) -> Result<(), Error> + Send + 'a;

/// Sees which text, which of its tokens, and the logits, \[V\], of what follows that token.
pub type VisitEach<'a> = dyn FnMut(usize, usize, &[f32]) -> Result<(), Error> + Send + 'a;

/// How a model is to be loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// The format of its weights in memory; `None` keeps the type in which its token embedding is stored.
    pub precision: Option<Precision>,
    /// Where it computes.
    pub device: super::Device,
    /// Whose arithmetic it uses; a GPU always uses candle's.
    pub arithmetic: Arithmetic,
    /// Threads to compute with on the processor; `None` for as many as it has cores.
    pub threads: Option<usize>,
}

/// A language model, ready to read tokens.
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

/// What computes.
#[derive(Debug)]
enum Engine {
    Native(Box<NativeModel>),
    Tensors(Box<TensorModel>),
}

/// What one text reads in a call with others.
#[derive(Debug)]
pub struct Reading<'a> {
    /// Tokens that follow what is in the cache, at least one.
    pub tokens: &'a [u32],
    /// What the text has read.
    pub cache: &'a mut KeyValueCache,
    /// The first of the tokens whose logits are wanted.
    pub first: usize,
}

impl Model {
    /// Reads a model's weights; in memory they are there once, with buffers of a few mebibytes per thread beside them.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::UnexpectedTensor`], [`Error::Misshapen`], [`Error::WeightNotFinite`] and
    /// [`Error::Read`] name the tensor; [`Error::BuiltWithoutCuda`], [`Error::NoCudaDevice`] and
    /// [`Error::OnlyOnTheProcessor`] are about the device.
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
            let how = (precision, options.threads);
            Engine::Native(Box::new(NativeModel::load(config, source, how, progress)?))
        } else {
            let how = (precision.try_into()?, &device);
            Engine::Tensors(Box::new(TensorModel::load(config, source, how, progress)?))
        };
        Ok(Self { config: config.clone(), precision, engine })
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The format of its weights in memory.
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

    /// Threads and instructions that it computes with on the processor, for a person to read; `None` on a device.
    pub fn processor(&self) -> Option<(usize, &'static str)> {
        match &self.engine {
            Engine::Native(model) => Some((model.threads(), model.instructions())),
            Engine::Tensors(_) => None,
        }
    }

    /// Whether keys and values are kept in 16 bits.
    pub(super) fn keeps_halves(&self) -> bool {
        self.precision != Precision::F32
    }

    /// A cache with room for `capacity` positions, at least 1 and at most the context.
    ///
    /// # Errors
    /// [`Error::Tensor`] where a device has no memory for it.
    pub fn cache(&self, capacity: usize) -> Result<KeyValueCache, Error> {
        let capacity = capacity.clamp(1, self.config.context);
        let shape = shape_of(&self.config);
        let store = match &self.engine {
            Engine::Native(_) if self.keeps_halves() => Store::F16(Pages::new(shape)),
            Engine::Native(_) => Store::F32(Pages::new(shape)),
            Engine::Tensors(model) => Store::Tensors(model.cache(&self.config, capacity)?),
        };
        Ok(KeyValueCache::new(&self.config, capacity, store))
    }

    /// Reads `tokens` after those already in `cache`; the logits, \[V\], of what follows the last one.
    ///
    /// # Errors
    /// [`Error::NoTokens`], [`Error::UnknownToken`], [`Error::ContextOverflow`] and [`Error::ForeignCache`] before anything
    /// is computed; [`Error::LogitNotFinite`] after. The cache is as before wherever this fails.
    pub fn forward(&self, tokens: &[u32], cache: &mut KeyValueCache) -> Result<Vec<f32>, Error> {
        let mut last = Vec::new();
        self.forward_all(tokens, cache, tokens.len().saturating_sub(1), &mut |_, logits| {
            last = logits.to_vec();
            Ok(())
        })?;
        Ok(last)
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
        let reading = Reading { tokens, cache, first };
        self.forward_each(&mut [reading], &mut |_, token, logits| {
            // Whoever reads several texts at once is told by the sampler, and so of one text alone.
            if !logits.iter().fold(true, |all, logit| all & logit.is_finite()) {
                return Err(Error::LogitNotFinite);
            }
            visit(token, logits)
        })
    }

    /// Reads tokens of several texts at once, and shows `visit` the logits that each wants: which text, which of its tokens,
    /// and the logits, \[V\], of what follows that one; a text's tokens come in order. The logits may not be finite. On the
    /// processor each text's numbers are the same to the bit as if it were read alone.
    ///
    /// # Errors
    /// As [`Self::forward`] for any of the texts, and what `visit` returns; every cache is as before then.
    pub fn forward_each(&self, readings: &mut [Reading<'_>], visit: &mut VisitEach<'_>) -> Result<(), Error> {
        for Reading { tokens, cache, .. } in readings.iter() {
            self.check(tokens, cache)?;
        }
        let before: Vec<usize> = readings.iter().map(|reading| reading.cache.length()).collect();
        let done = match &self.engine {
            Engine::Native(model) => self.passes(model, readings, visit),
            Engine::Tensors(model) => self.one_by_one(model, readings, visit),
        };
        if done.is_err() {
            let caches = readings.iter_mut().zip(before);
            caches.for_each(|(reading, before)| reading.cache.truncate(before));
        }
        done
    }

    /// Checks that there are tokens, that they are of the vocabulary, and that they fit the cache.
    pub(super) fn check(&self, tokens: &[u32], cache: &KeyValueCache) -> Result<(), Error> {
        let vocabulary = self.config.vocabulary;
        if tokens.is_empty() {
            return Err(Error::NoTokens);
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(Error::UnknownToken { token, vocabulary });
        }
        cache.fits(&self.config, tokens.len())
    }

    fn one_by_one(
        &self,
        model: &TensorModel,
        readings: &mut [Reading<'_>],
        visit: &mut VisitEach<'_>,
    ) -> Result<(), Error> {
        for (text, Reading { tokens, cache, first }) in readings.iter_mut().enumerate() {
            for (i, part) in tokens.chunks(ROWS).enumerate() {
                let before = cache.length();
                let Store::Tensors(tensors) = &cache.store else {
                    return Err(Error::ForeignCache);
                };
                let skipped = first.saturating_sub(i * ROWS).min(part.len());
                model.read(part, (tensors, before), skipped, &mut |token, logits| {
                    visit(text, i * ROWS + token, logits)
                })?;
                cache.advance_to(before + part.len());
            }
        }
        Ok(())
    }

    fn passes(
        &self,
        model: &NativeModel,
        readings: &mut [Reading<'_>],
        visit: &mut VisitEach<'_>,
    ) -> Result<(), Error> {
        let mut done = vec![0; readings.len()];
        loop {
            let counts = next_pass(readings, &done);
            if counts.iter().all(|&count| count == 0) {
                return Ok(());
            }
            let mut shown =
                |text: usize, token: usize, logits: &[f32]| visit(text, done[text] + token, logits);
            if self.keeps_halves() {
                let parts = parts(readings, (&done, &counts), |store| match store {
                    Store::F16(pages) => Some(pages),
                    _ => None,
                })?;
                model.pass(&self.config, &mut { parts }, &mut shown)?;
            } else {
                let parts = parts(readings, (&done, &counts), |store| match store {
                    Store::F32(pages) => Some(pages),
                    _ => None,
                })?;
                model.pass(&self.config, &mut { parts }, &mut shown)?;
            }
            for ((reading, done), count) in readings.iter_mut().zip(&mut done).zip(counts) {
                *done += count;
                reading.cache.advance_to(reading.cache.length() + count);
            }
        }
    }
}

/// How many tokens of each text go into the next pass.
fn next_pass(readings: &[Reading<'_>], done: &[usize]) -> Vec<usize> {
    let mut room = ROWS;
    let count = |(reading, done): (&Reading<'_>, &usize)| {
        let count = room.min(reading.tokens.len() - done);
        room -= count;
        count
    };
    readings.iter().zip(done).map(count).collect()
}

/// The parts of the next pass, with the pages of each text.
fn parts<'a, T>(
    readings: &'a mut [Reading<'_>],
    (done, counts): (&[usize], &[usize]),
    pages: impl Fn(&'a mut Store) -> Option<&'a mut Pages<T>>,
) -> Result<Vec<Part<'a, T>>, Error> {
    let mut parts = Vec::with_capacity(readings.len());
    for (text, reading) in readings.iter_mut().enumerate().filter(|(text, _)| counts[*text] > 0) {
        let (done, count) = (done[text], counts[text]);
        parts.push(Part {
            text,
            tokens: &reading.tokens[done..done + count],
            before: reading.cache.length(),
            first: reading.first.saturating_sub(done).min(count),
            pages: pages(&mut reading.cache.store).ok_or(Error::ForeignCache)?,
        });
    }
    Ok(parts)
}
