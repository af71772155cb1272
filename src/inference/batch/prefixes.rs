//! The prefix cache: keys and values of ended sequences, for sequences that begin with the same tokens.

use std::collections::VecDeque;

use crate::inference::{KeyValueCache, Model};

/// Cached prefixes, the newest at the back.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    entries: VecDeque<Prefix>,
    /// Maximum bytes of all entries; a shared page counts once for each entry.
    max_bytes: u64,
}

#[derive(Debug)]
struct Prefix {
    tokens: Vec<u32>,
    cache: KeyValueCache,
    bytes: u64,
}

/// The length of the common prefix of two sequences of tokens.
pub(super) fn common_prefix(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

impl Prefixes {
    /// A cache of up to `max_bytes`. On a device it stays empty, because its memory cannot be shared.
    pub(super) fn new(model: &Model, max_bytes: u64) -> Self {
        let max_bytes = if model.processor().is_some() { max_bytes } else { 0 };
        Self { entries: VecDeque::new(), max_bytes }
    }

    /// The entry with the longest common prefix with `prompt`, and the length of that prefix.
    pub(super) fn longest(&self, prompt: &[u32]) -> Option<(usize, &KeyValueCache)> {
        let found = self.entries.iter().map(|entry| (common_prefix(prompt, &entry.tokens), &entry.cache));
        found.max_by_key(|(length, _)| *length).filter(|(length, _)| *length > 0)
    }

    /// Adds the cache of a sequence. Entries that are a prefix of it are removed, and the oldest entries if there is no room.
    pub(super) fn insert(&mut self, model: &Model, tokens: Vec<u32>, cache: KeyValueCache) {
        let bytes = KeyValueCache::max_bytes(model, cache.length());
        if bytes > self.max_bytes {
            return;
        }
        self.entries.retain(|entry| common_prefix(&tokens, &entry.tokens) < entry.tokens.len());
        self.entries.push_back(Prefix { tokens, cache, bytes });
        while self.entries.iter().map(|entry| entry.bytes).sum::<u64>() > self.max_bytes {
            self.entries.pop_front();
        }
    }
}
