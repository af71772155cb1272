//! A record of who read what is private: people on boards, auditors and the operator may, and each time is an entry of the log.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::statement::Predicate;
use crate::time::Timestamp;

/// Seconds for which the same reading by the same person is one.
const SAME: i64 = 3600;
/// Readings that are remembered for that.
const MAX_REMEMBERED: usize = 100_000;

/// Somebody who decides, audits or operates read what concerns others. Its subject is the digest of what was read; the registry signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Who read.
    pub reader: KeyId,
    /// What: a kind of statement, or `queue`, `history`, `decision`, `shares`, `audit`.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// Whom they concern.
    pub people: BTreeSet<KeyId>,
    /// When.
    pub created: Timestamp,
}

impl Predicate for Reading {
    const KIND: &'static str = "reading";
}

/// What was read lately, so that asking again is not recorded again.
#[derive(Debug, Default)]
pub(super) struct Readings {
    read: Mutex<HashMap<(KeyId, Sha256Digest), Timestamp>>,
    /// Auditors only, so there are few.
    audited: Mutex<HashMap<KeyId, Audit>>,
}

/// An audit that is on the record.
#[derive(Debug, Clone, Copy)]
struct Audit {
    at: Timestamp,
    /// The log's size that it covers.
    covered: u64,
}

impl Readings {
    pub(super) fn is_new(&self, reader: KeyId, read: Sha256Digest, now: Timestamp) -> bool {
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(reader, read)).is_none_or(|at| now.seconds_since(*at) >= SAME)
    }

    pub(super) fn remember(&self, reader: KeyId, read: Sha256Digest, now: Timestamp) {
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.retain(|_, at| now.seconds_since(*at) < SAME);
        }
        if known.len() < MAX_REMEMBERED {
            known.insert((reader, read), now);
        }
    }

    /// How much of the log an audit of the last hour covers.
    pub(super) fn audited(&self, reader: KeyId, now: Timestamp) -> Option<u64> {
        let known = self.audited.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&reader).filter(|audit| now.seconds_since(audit.at) < SAME).map(|audit| audit.covered)
    }

    pub(super) fn remember_audit(&self, reader: KeyId, covered: u64, now: Timestamp) {
        let mut known = self.audited.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, audit| now.seconds_since(audit.at) < SAME);
        known.insert(reader, Audit { at: now, covered });
    }
}
