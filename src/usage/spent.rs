//! Tokens of the last 24 hours: spent, and promised to generations under way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::{Event, Record};
use crate::digest::Sha256Digest;
use crate::time::Timestamp;

const DAY: i64 = 24 * 3600;

/// What generations of the last 24 hours took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spent {
    /// By the record with which each began: when, under which grant, how many, and whether it is over.
    generations: BTreeMap<u64, Generation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Generation {
    at: Timestamp,
    grant: Sha256Digest,
    tokens: u64,
    is_over: bool,
}

impl Spent {
    /// Takes a record into account.
    pub(super) fn add(&mut self, record: &Record) {
        match &record.event {
            Event::Begin(begin) if !begin.blocked => {
                let generation = Generation {
                    at: record.at,
                    grant: begin.grant,
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

    /// Tokens spent and promised under a grant in the 24 hours before `now`. A generation that never ended, because the power went, counts in
    /// full until its day is over.
    pub(super) fn under(&self, grant: Sha256Digest, now: Timestamp) -> (u64, u64) {
        let recent = self
            .generations
            .values()
            .filter(|generation| generation.grant == grant && now.seconds_since(generation.at) < DAY);
        recent.fold((0, 0), |(spent, promised), generation| match generation.is_over {
            true => (spent + generation.tokens, promised),
            false => (spent, promised + generation.tokens),
        })
    }

    /// Generations that began and never ended, as far as is known.
    pub(super) fn open(&self) -> usize {
        self.generations.values().filter(|generation| !generation.is_over).count()
    }
}
