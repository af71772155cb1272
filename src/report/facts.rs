//! The facts of a record, as its log and statements contain them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::EntryKind;
use crate::misuse::{CaseState, Outcome, RuleId, Severity};
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// A request, and its answer.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestFact {
    pub checkpoint: CheckpointId,
    pub uses: Vec<String>,
    /// Time of receipt.
    pub at: Timestamp,
    /// The author's name, and their organization if the card names one.
    pub person: String,
    /// The time and kind of its answer: `granted`, `denied`, `withdrawn`.
    pub answer: Option<(Timestamp, &'static str)>,
    /// The reason of a denial.
    pub reason: Option<String>,
}

/// A grant that had all its approvals.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrantFact {
    pub checkpoint: CheckpointId,
    pub stage: String,
    /// The holder's name, and their organization if the card names one.
    pub person: String,
    /// The holder's key.
    pub key: KeyId,
    pub uses: Vec<String>,
    /// The time of its last approval.
    pub at: Timestamp,
    pub expires: Timestamp,
    /// The time and the reason of its revocation.
    pub revoked: Option<(Timestamp, String)>,
    /// Number of leases.
    pub leases: u64,
    pub last_lease: Option<Timestamp>,
    /// Time of the last synced usage.
    pub last_usage: Option<Timestamp>,
    /// Generated tokens.
    pub tokens: u64,
    pub generations: u64,
}

/// Usage of one day.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UsageFact {
    pub generations: u64,
    pub tokens: u64,
    /// Generations that a rule refused.
    pub blocked: u64,
    /// Generations that met a rule.
    pub flagged: u64,
}

/// A case with its state.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseFact {
    pub checkpoint: CheckpointId,
    pub grant: Sha256Digest,
    pub severity: Severity,
    /// The rules that were met.
    pub rules: Vec<RuleId>,
    pub reason: String,
    pub at: Timestamp,
    pub standing: CaseState,
}

impl CaseFact {
    /// The outcome of the last decision.
    pub fn outcome(&self) -> Option<Outcome> {
        self.standing.outcome
    }
}

/// A checkpoint's entry into a stage.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageFact {
    pub at: Timestamp,
    pub checkpoint: CheckpointId,
    pub stage: String,
    /// The policy's rules for moving between stages that the board overruled, in words.
    pub against: Vec<String>,
}

/// An erased statement, as its log entry describes it.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedFact {
    /// Time of receipt.
    pub at: Timestamp,
    pub checkpoint: Option<CheckpointId>,
    pub kind: EntryKind,
}

/// All facts of a record.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The registry's name on its card.
    pub registry: Option<String>,
    /// Sealed bytes of each checkpoint.
    pub sizes: BTreeMap<CheckpointId, u64>,
    /// Entries into stages, in order.
    pub stages: Vec<StageFact>,
    /// Policies that came into force: time, checkpoint, version, and changes in words.
    pub policies: Vec<(Timestamp, CheckpointId, u32, Vec<String>)>,
    /// By digest.
    pub requests: BTreeMap<Sha256Digest, RequestFact>,
    /// By digest.
    pub grants: BTreeMap<Sha256Digest, GrantFact>,
    /// By checkpoint, grant and day.
    pub usage: BTreeMap<(CheckpointId, Sha256Digest, String), UsageFact>,
    /// By the digest of the opening.
    pub cases: BTreeMap<Sha256Digest, CaseFact>,
    /// Number of private reads by reader.
    pub readings: BTreeMap<KeyId, u64>,
    /// Names of the keys in the catalogue.
    pub names: BTreeMap<KeyId, String>,
    /// Time, number of statements, and reason.
    pub erasures: Vec<(Timestamp, u64, String)>,
    pub erased: Vec<ErasedFact>,
    /// People who used any checkpoint.
    pub users: BTreeSet<KeyId>,
    /// The times of the first and the last entry.
    pub span: Option<(Timestamp, Timestamp)>,
}
