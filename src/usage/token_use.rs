//! Token use of the last 24 hours: spent tokens, and tokens reserved for running generations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::{Event, Record};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::time::Timestamp;

const DAY: i64 = 24 * 3600;

/// Generations of the last 24 hours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TokenUse {
    /// By the record with which each began.
    generations: BTreeMap<u64, Generation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Generation {
    at: Timestamp,
    grant: Sha256Digest,
    /// Absent in data of earlier versions.
    #[serde(default)]
    checkpoint: Option<CheckpointId>,
    tokens: u64,
    is_over: bool,
}

impl TokenUse {
    /// Counts a record.
    pub(super) fn add(&mut self, record: &Record) {
        match &record.event {
            Event::Begin(begin) if !begin.blocked => {
                let generation = Generation {
                    at: record.at,
                    grant: begin.grant,
                    checkpoint: Some(begin.checkpoint.clone()),
                    tokens: begin.max_tokens,
                    is_over: false,
                };
                self.generations.insert(record.seq, generation);
            }
            Event::Begin(_) => {}
            Event::End(end) => {
                if let Some(generation) = self.generations.get_mut(&end.begin) {
                    (generation.tokens, generation.is_over) = (end.tokens, true);
                }
            }
        }
        self.generations.retain(|_, generation| record.at.seconds_since(generation.at) < DAY);
    }

    /// Spent and reserved tokens of a checkpoint in the 24 hours before `now`, under any grant: a limit is per person (P10). An unfinished
    /// generation counts in full until its day is over.
    pub(super) fn total(&self, checkpoint: &CheckpointId, now: Timestamp) -> (u64, u64) {
        let is_it = |generation: &Generation| {
            generation.checkpoint.as_ref().is_none_or(|used| used == checkpoint)
                && now.seconds_since(generation.at) < DAY
        };
        let recent = self.generations.values().filter(|generation| is_it(generation));
        recent.fold((0, 0), |(token_use, promised), generation| match generation.is_over {
            true => (token_use + generation.tokens, promised),
            false => (token_use, promised + generation.tokens),
        })
    }
}
