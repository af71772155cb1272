//! Records of private reads by board members, auditors and the operator: each is a log entry.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::statement::Predicate;
use crate::time::Timestamp;

/// Seconds within which the same read by the same person is recorded once.
const SAME: i64 = 3600;
/// Maximum number of remembered reads.
const MAX_REMEMBERED: usize = 100_000;

/// The registry's statement that someone read private data by their role. Its subject is the digest of what was read.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    pub reader: KeyId,
    /// What was read: a kind of statement, or `queue`, `history`, `decision`, `shares`, `audit`.
    pub kind: String,
    /// Number of items.
    pub count: u64,
    /// The people concerned.
    pub people: BTreeSet<KeyId>,
    pub created: Timestamp,
}

impl Predicate for Reading {
    const KIND: &'static str = "reading";
}

/// Recent reads, so that repeated ones are not recorded again.
#[derive(Debug, Default)]
pub(super) struct Readings {
    read: Mutex<HashMap<(KeyId, Sha256Digest), Timestamp>>,
    /// By auditor.
    audited: Mutex<HashMap<KeyId, Audit>>,
}

/// A recorded audit.
#[derive(Debug, Clone, Copy)]
struct Audit {
    at: Timestamp,
    /// The size of the log that it covers.
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

    /// The size of the log that the auditor's audit of the last hour covers.
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
