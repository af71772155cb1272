//! The key-value cache: the keys and values that attention stores for every position of a sequence.
//!
//! Callers pass it to the model, so one model serves any number of sequences. On the processor it grows by pages of 64 positions; a fork
//! shares them until one of the sequences writes into them.

use super::candle::TensorCache;
use super::kernels::pages::{PAGE, Pages, Shape};
use super::{Error, Model};
use crate::checkpoint::config::ModelConfig;

/// Keys and values of every block, for one sequence.
#[derive(Debug)]
pub struct KeyValueCache {
    pub(super) store: Store,
    shape: Shape,
    capacity: usize,
    length: usize,
}

/// The storage of keys and values.
#[derive(Debug)]
pub(super) enum Store {
    /// On the processor in f32, for weights in f32.
    F32(Pages<f32>),
    /// On the processor in binary16, for all narrower weights.
    F16(Pages<u16>),
    /// On the device that candle computes on.
    Tensors(TensorCache),
}

/// The shape of one position in the cache of a model.
pub(super) fn cache_shape(config: &ModelConfig) -> Shape {
    Shape { layers: config.layers, heads: config.heads, head_width: config.head_width() }
}

impl KeyValueCache {
    pub(super) fn new(config: &ModelConfig, capacity: usize, store: Store) -> Self {
        Self { store, shape: cache_shape(config), capacity, length: 0 }
    }

    /// Number of positions that it holds.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Number of positions that it can hold, at most the context of the model.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Number of positions that still fit.
    pub fn room(&self) -> usize {
        self.capacity - self.length
    }

    /// Removes every position from `length` on; has no effect if it holds fewer.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        match &mut self.store {
            Store::F32(pages) => pages.truncate(self.length),
            Store::F16(pages) => pages.truncate(self.length),
            Store::Tensors(_) => {}
        }
    }

    /// Removes every position.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// A cache for another sequence with the same first `length` positions, or with all positions if this cache holds fewer. On the
    /// processor both caches share the memory of these positions.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a device has no memory for a copy.
    pub fn fork(&self, length: usize) -> Result<Self, Error> {
        let length = length.min(self.length);
        let store = match &self.store {
            Store::F32(pages) => Store::F32(pages.share(length)),
            Store::F16(pages) => Store::F16(pages.share(length)),
            Store::Tensors(tensors) => Store::Tensors(tensors.duplicate()?),
        };
        Ok(Self { store, shape: self.shape, capacity: self.capacity, length })
    }

    /// Bytes that a cache of `positions` takes at most on the processor.
    pub fn max_bytes(model: &Model, positions: usize) -> u64 {
        let shape = cache_shape(model.config());
        let number = if model.has_f16_cache() { 2 } else { 4 };
        let per_position = shape.layers * shape.heads * (shape.head_width + shape.groups() * 16) * number;
        (positions.next_multiple_of(PAGE) * per_position) as u64
    }

    /// Sets the length after the positions up to it were written in every block. The caller has called [`Self::check_room`].
    pub(super) fn advance_to(&mut self, length: usize) {
        self.length = length;
    }

    /// Checks that this cache has the shape of `config` and room for `tokens` more.
    pub(super) fn check_room(&self, config: &ModelConfig, tokens: usize) -> Result<(), Error> {
        if self.shape != cache_shape(config) || self.capacity > config.context {
            return Err(Error::ForeignCache);
        }
        if tokens > self.room() {
            return Err(Error::ContextOverflow { tokens, room: self.room(), cached: self.length });
        }
        Ok(())
    }
}
