//! What an audit proved, what it found, and what it could not prove.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::log::EntryKind;

/// Findings that are kept in words; the rest is counted.
const MAX_FINDINGS: usize = 1000;

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// At which entry of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// What.
    pub what: String,
}

/// The result of an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The log's name.
    pub log: String,
    /// Entries that the head covers.
    pub entries: u64,
    /// The root that they have.
    pub root: String,
    /// Witnesses that cosigned the head, of those that are known.
    pub witnesses: Vec<String>,
    /// Entries by kind.
    pub kinds: BTreeMap<EntryKind, u64>,
    /// What was proved, in words.
    pub proved: Vec<String>,
    /// What does not hold; empty if all does.
    pub findings: Vec<Finding>,
    /// How many findings there were.
    pub finding_count: u64,
    /// What a board did against its own policy, which it may: the record is valid, and somebody should know.
    pub remarks: Vec<Finding>,
    /// What was recorded and took no effect, such as a grant that was revoked before its last approval: the record is valid, and nobody could
    /// use it.
    pub void: Vec<Finding>,
    /// What could not be proved, in words.
    pub unproved: Vec<String>,
    /// Statements that were erased, as the log says.
    pub erased: u64,
}

impl Verification {
    /// Whether everything held.
    pub fn holds(&self) -> bool {
        self.finding_count == 0
    }

    /// Takes a finding down.
    pub(super) fn add_finding(&mut self, entry: Option<u64>, what: impl Into<String>) {
        self.finding_count += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { entry, what: what.into() });
        }
    }

    /// Takes down what does hold, and yet breaks a rule that its board may overrule.
    pub(super) fn add_remark(&mut self, entry: u64, what: impl Into<String>) {
        if self.remarks.len() < MAX_FINDINGS {
            self.remarks.push(Finding { entry: Some(entry), what: what.into() });
        }
    }

    /// Takes down what was recorded and took no effect.
    pub(super) fn add_void(&mut self, entry: u64, what: impl Into<String>) {
        if self.void.len() < MAX_FINDINGS {
            self.void.push(Finding { entry: Some(entry), what: what.into() });
        }
    }
}
