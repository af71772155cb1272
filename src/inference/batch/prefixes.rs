//! What was read of texts that ended, kept for texts that begin as they did.

use std::collections::VecDeque;

use crate::inference::{KeyValueCache, Model};

/// Beginnings, the one used last at the back.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    kept: VecDeque<Prefix>,
    /// Bytes that all may take, shared pages counted as often as they are shared.
    max_bytes: u64,
}

#[derive(Debug)]
struct Prefix {
    tokens: Vec<u32>,
    cache: KeyValueCache,
    bytes: u64,
}

/// How many tokens two texts begin with in common.
pub(super) fn common(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

impl Prefixes {
    /// Keeps up to so many bytes; nothing where a device computes, whose memory is copied and not shared.
    pub(super) fn new(model: &Model, max_bytes: u64) -> Self {
        let max_bytes = if model.processor().is_some() { max_bytes } else { 0 };
        Self { kept: VecDeque::new(), max_bytes }
    }

    /// The one that has most tokens in common with `prompt`, and how many.
    pub(super) fn longest(&self, prompt: &[u32]) -> Option<(usize, &KeyValueCache)> {
        let found = self.kept.iter().map(|kept| (common(prompt, &kept.tokens), &kept.cache));
        found.max_by_key(|(length, _)| *length).filter(|(length, _)| *length > 0)
    }

    /// Keeps what a text has read. Beginnings of it that were kept are in it; the oldest go where there is no room.
    pub(super) fn keep(&mut self, model: &Model, tokens: Vec<u32>, cache: KeyValueCache) {
        let bytes = KeyValueCache::bytes_of(model, cache.length());
        if bytes > self.max_bytes {
            return;
        }
        self.kept.retain(|kept| common(&tokens, &kept.tokens) < kept.tokens.len());
        self.kept.push_back(Prefix { tokens, cache, bytes });
        while self.kept.iter().map(|kept| kept.bytes).sum::<u64>() > self.max_bytes {
            self.kept.pop_front();
        }
    }
}
