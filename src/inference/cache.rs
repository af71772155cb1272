//! The key-value cache: what attention keeps of every position already read.
//!
//! It is passed to the model explicitly, so that one model serves any number of texts. On the processor it grows by pages of 64
//! positions, which a fork shares until one of both texts goes on within them.

use super::candle::TensorCache;
use super::kernels::pages::{PAGE, Pages, Shape};
use super::{Error, Model};
use crate::checkpoint::config::ModelConfig;

/// Keys and values of every block, for one text.
#[derive(Debug)]
pub struct KeyValueCache {
    pub(super) store: Store,
    shape: Shape,
    capacity: usize,
    length: usize,
}

/// Where keys and values are.
#[derive(Debug)]
pub(super) enum Store {
    /// On the processor, in f32: for weights in f32.
    F32(Pages<f32>),
    /// On the processor, in binary16: for all narrower weights.
    F16(Pages<u16>),
    /// Where candle computes.
    Tensors(TensorCache),
}

/// The shape of what a model of `config` keeps of a position.
pub(super) fn shape_of(config: &ModelConfig) -> Shape {
    Shape { layers: config.layers, heads: config.heads, head_width: config.head_width() }
}

impl KeyValueCache {
    pub(super) fn new(config: &ModelConfig, capacity: usize, store: Store) -> Self {
        Self { store, shape: shape_of(config), capacity, length: 0 }
    }

    /// Positions read so far.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Positions for which there is room.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Positions that still fit.
    pub fn room(&self) -> usize {
        self.capacity - self.length
    }

    /// Forgets every position from `length` on: the next token takes that place. Longer than it is changes nothing.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        match &mut self.store {
            Store::F32(pages) => pages.truncate(self.length),
            Store::F16(pages) => pages.truncate(self.length),
            Store::Tensors(_) => {}
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Another text that begins with the first `length` positions of this one, or with all where it has fewer. On the
    /// processor both share the memory of what they have in common.
    ///
    /// # Errors
    /// [`Error::Tensor`] where a device has no memory for a copy.
    pub fn fork(&self, length: usize) -> Result<Self, Error> {
        let length = length.min(self.length);
        let store = match &self.store {
            Store::F32(pages) => Store::F32(pages.share(length)),
            Store::F16(pages) => Store::F16(pages.share(length)),
            Store::Tensors(tensors) => Store::Tensors(tensors.duplicate()?),
        };
        Ok(Self { store, shape: self.shape, capacity: self.capacity, length })
    }

    /// Bytes that a text of `positions` takes in memory at most, in a model's cache on the processor.
    pub fn bytes_of(model: &Model, positions: usize) -> u64 {
        let shape = shape_of(model.config());
        let number = if model.keeps_halves() { 2 } else { 4 };
        let of_one = shape.layers * shape.heads * (shape.head_width + shape.groups() * 16) * number;
        (positions.next_multiple_of(PAGE) * of_one) as u64
    }

    /// Notes that positions up to `length` are written into every block; they fit, as [`Self::fits`] said.
    pub(super) fn advance_to(&mut self, length: usize) {
        self.length = length;
    }

    /// Checks that this cache is of `config`'s shape and has room for `tokens` more.
    pub(super) fn fits(&self, config: &ModelConfig, tokens: usize) -> Result<(), Error> {
        if self.shape != shape_of(config) || self.capacity > config.context {
            return Err(Error::ForeignCache);
        }
        if tokens > self.room() {
            return Err(Error::ContextOverflow { tokens, room: self.room(), cached: self.length });
        }
        Ok(())
    }
}
