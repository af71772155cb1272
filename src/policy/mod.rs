//! The release rules of a checkpoint: parsing them from TOML to [`Policy`], and every decision about one.
//!
//! No I/O, no clock, no keys: the registry, the client and an auditor get the same answer to the same question, rule by rule.
//! `docs/policy.md` describes the format and the rules.
//!
//! The caller has verified the board's signature of a policy, and the statement behind every [`Application`] and [`Measurement`]:
//! someone who could tamper with one of them could open the gate.

mod application;
mod boards;
mod check;
mod decide;
mod diff;
mod document;
mod enter;
mod error;
pub mod excerpt;
mod release;
mod seats;
mod simulate;
mod stage;
mod succession;
mod word;

pub use application::{Application, Terms, read_applications};
pub use boards::{Board, Boards};
pub use check::{Finding, Severity, check, check_succession};
pub use decide::{Decision, Rule, RuleOutcome, Verdict, decide};
pub use diff::{Change, Effect, diff};
pub use document::{MAX_BYTES, SCHEMA};
pub use enter::{CurrentStage, Entry, EntryOutcome, EntryRule, Measurement, may_enter};
pub use error::Error;
pub use release::{ReleaseError, ReleaseFiles};
pub use seats::{Demand, Demands, Seats, fill_seats};
pub use simulate::{SimulatedDecision, Simulation, simulate};
pub use stage::{AffiliationProof, Audience, EvidenceBound, Limits, Policy, Requires, Stage, UsageMode};
pub use succession::{Succession, require_succession};
pub use word::{
    AgreementName, BoardName, EvidenceKind, Metric, Organization, PersonKey, RuleId, StageName, Use,
    WordError,
};
