//! The results of an audit: what it proved, what it found, and what it could not prove.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::log::EntryKind;

/// Maximum findings kept in words; further ones are counted.
const MAX_FINDINGS: usize = 1000;

/// Something that is not valid.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The place of the log entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    pub what: String,
}

/// The result of an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The log's name.
    pub log: String,
    /// Entries that the head covers.
    pub entries: u64,
    /// The root of these entries.
    pub root: String,
    /// Known witnesses that cosigned the head.
    pub witnesses: Vec<String>,
    /// Number of entries by kind.
    pub kinds: BTreeMap<EntryKind, u64>,
    /// Proved statements, in words.
    pub proved: Vec<String>,
    /// What is not valid; empty if everything is.
    pub findings: Vec<Finding>,
    /// Total number of findings.
    pub finding_count: u64,
    /// A board's actions against its own policy, which it may overrule: the record is valid.
    pub remarks: Vec<Finding>,
    /// Recorded actions without effect, such as a grant that was revoked before its last approval: the record is valid.
    pub void: Vec<Finding>,
    /// What could not be proved, in words.
    pub unproved: Vec<String>,
    /// Number of erased statements.
    pub erased: u64,
}

impl Verification {
    /// Whether there are no findings.
    pub fn holds(&self) -> bool {
        self.finding_count == 0
    }

    /// Adds a finding.
    pub(super) fn add_finding(&mut self, entry: Option<u64>, what: impl Into<String>) {
        self.finding_count += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { entry, what: what.into() });
        }
    }

    /// Adds an action against a policy that its board may overrule.
    pub(super) fn add_remark(&mut self, entry: u64, what: impl Into<String>) {
        if self.remarks.len() < MAX_FINDINGS {
            self.remarks.push(Finding { entry: Some(entry), what: what.into() });
        }
    }

    /// Adds a recorded action without effect.
    pub(super) fn add_void(&mut self, entry: u64, what: impl Into<String>) {
        if self.void.len() < MAX_FINDINGS {
            self.void.push(Finding { entry: Some(entry), what: what.into() });
        }
    }
}
