//! The key-value cache: what attention keeps of every position already read.
//!
//! Its whole room is taken when it is made, [H, capacity, D] for keys and for values of each block, and written in place;
//! it is passed to the model explicitly, so that one model serves any number of texts.

use candle_core::{DType, Device, Tensor};

use super::Error;
use crate::checkpoint::config::ModelConfig;

/// Keys and values of one block, [H, capacity, D] each.
#[derive(Debug)]
pub(super) struct BlockCache {
    pub(super) keys: Tensor,
    pub(super) values: Tensor,
}

/// Keys and values of every block, for one text.
#[derive(Debug)]
pub struct KeyValueCache {
    pub(super) blocks: Vec<BlockCache>,
    heads: usize,
    head_width: usize,
    capacity: usize,
    length: usize,
}

impl KeyValueCache {
    pub(super) fn new(config: &ModelConfig, capacity: usize, kind: (DType, &Device)) -> Result<Self, Error> {
        let capacity = capacity.clamp(1, config.context);
        let (heads, head_width) = (config.heads, config.head_width());
        let zeros = || Tensor::zeros((heads, capacity, head_width), kind.0, kind.1);
        let blocks = (0..config.layers)
            .map(|_| Ok(BlockCache { keys: zeros()?, values: zeros()? }))
            .collect::<Result<_, Error>>()?;
        Ok(Self { blocks, heads, head_width, capacity, length: 0 })
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
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Notes that `positions` more were written into every block; they fit, as [`Self::fits`] said.
    pub(super) fn advance(&mut self, positions: usize) {
        self.length += positions;
    }

    /// Checks that this cache is of `config`'s shape and has room for `tokens` more.
    pub(super) fn fits(&self, config: &ModelConfig, tokens: usize) -> Result<(), Error> {
        let same = (self.blocks.len(), self.heads, self.head_width)
            == (config.layers, config.heads, config.head_width());
        if !same || self.capacity > config.context {
            return Err(Error::ForeignCache);
        }
        if tokens > self.room() {
            return Err(Error::ContextOverflow { tokens, room: self.room(), cached: self.length });
        }
        Ok(())
    }
}
