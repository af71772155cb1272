//! What happened, as the log and its statements tell it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::EntryKind;
use crate::misuse::{CaseState, Outcome, RuleId, Severity};
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// A request, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestFact {
    /// For which checkpoint.
    pub checkpoint: CheckpointId,
    /// What for, in words of the policy.
    pub uses: Vec<String>,
    /// When it came in.
    pub at: Timestamp,
    /// Who asked: name, and organization where the card has one.
    pub person: String,
    /// When it was decided, and how: `granted`, `denied`, `withdrawn`.
    pub answer: Option<(Timestamp, &'static str)>,
    /// Why it was denied.
    pub reason: Option<String>,
}

/// A grant that stood once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrantFact {
    /// For which checkpoint.
    pub checkpoint: CheckpointId,
    /// Under which stage.
    pub stage: String,
    /// To whom: name, and organization where the card has one.
    pub person: String,
    /// The id of their key.
    pub key: KeyId,
    /// What for.
    pub uses: Vec<String>,
    /// Since when it stood.
    pub at: Timestamp,
    /// Until when it was to hold.
    pub expires: Timestamp,
    /// When it was ended, and why.
    pub revoked: Option<(Timestamp, String)>,
    /// Leases that were issued for it.
    pub leases: u64,
    /// When the last was.
    pub last_lease: Option<Timestamp>,
    /// When usage under it came in last.
    pub last_usage: Option<Timestamp>,
    /// Tokens that were generated under it.
    pub tokens: u64,
    /// Generations under it.
    pub generations: u64,
}

/// Usage of one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UsageFact {
    /// Generations that began.
    pub generations: u64,
    /// Tokens that came out.
    pub tokens: u64,
    /// Generations that a rule kept from starting.
    pub blocked: u64,
    /// Generations that met a rule.
    pub flagged: u64,
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseFact {
    /// About which checkpoint.
    pub checkpoint: CheckpointId,
    /// Under which grant.
    pub grant: Sha256Digest,
    /// How grave.
    pub severity: Severity,
    /// The rules that raised it.
    pub rules: Vec<RuleId>,
    /// What it is about.
    pub reason: String,
    /// When it was opened.
    pub at: Timestamp,
    /// How it stands.
    pub standing: CaseState,
}

impl CaseFact {
    /// The last decision.
    pub fn outcome(&self) -> Option<Outcome> {
        self.standing.outcome
    }
}

/// A checkpoint entered a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageFact {
    /// When.
    pub at: Timestamp,
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// Which stage.
    pub stage: String,
    /// Which rules of the policy's pace the board overruled by entering it then, in words: days in the stage before, and the order.
    pub against: Vec<String>,
}

/// A statement that was erased: what its entry still tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedFact {
    /// When the statement came in.
    pub at: Timestamp,
    /// Of which checkpoint, if it was about one.
    pub checkpoint: Option<CheckpointId>,
    /// What it was.
    pub kind: EntryKind,
}

/// Everything that happened.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// What the registry is called on its card.
    pub registry: Option<String>,
    /// How many sealed bytes each checkpoint has.
    pub sizes: BTreeMap<CheckpointId, u64>,
    /// Stages that checkpoints entered, in order.
    pub stages: Vec<StageFact>,
    /// Policies that came into force: the version, and what changed for whom, in words.
    pub policies: Vec<(Timestamp, CheckpointId, u32, Vec<String>)>,
    /// Requests by their digests.
    pub requests: BTreeMap<Sha256Digest, RequestFact>,
    /// Grants by their digests.
    pub grants: BTreeMap<Sha256Digest, GrantFact>,
    /// Usage by checkpoint, grant and day.
    pub usage: BTreeMap<(CheckpointId, Sha256Digest, String), UsageFact>,
    /// Cases by the digests of their openings.
    pub cases: BTreeMap<Sha256Digest, CaseFact>,
    /// How often each member or auditor read what is private.
    pub readings: BTreeMap<KeyId, u64>,
    /// Names of those who have a key in the catalogue.
    pub names: BTreeMap<KeyId, String>,
    /// Erasures: when, how many statements, why.
    pub erasures: Vec<(Timestamp, u64, String)>,
    /// Statements that were erased.
    pub erased: Vec<ErasedFact>,
    /// People who ever used a checkpoint.
    pub users: BTreeSet<KeyId>,
    /// The time of the first and the last entry.
    pub span: Option<(Timestamp, Timestamp)>,
}
