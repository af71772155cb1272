//! The release rules of a checkpoint: from TOML to [`Policy`], and every question that is put to one.
//!
//! Pure: no file, no clock, no key. The registry, the client and an auditor who ask the same question get the same
//! answer, rule by rule. The format and the rules are told in `docs/policy.md`.
//!
//! A policy counts because the board signed its bytes, which is checked elsewhere; so is every statement behind an
//! [`Application`] or a [`Measurement`]. Whoever could tamper with one of them unnoticed could open the gate.

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
pub use enter::{Entry, EntryOutcome, EntryRule, Measurement, Standing, may_enter};
pub use error::Error;
pub use release::{ReleaseError, ReleaseFiles};
pub use seats::{Demand, Demands, Seats, fill_seats};
pub use simulate::{Simulated, Simulation, simulate};
pub use stage::{AffiliationProof, Audience, EvidenceBound, Limits, Policy, Requires, Stage, UsageMode};
pub use succession::{Succession, require_succession};
pub use word::{
    AgreementName, BoardName, EvidenceKind, Metric, Organization, PersonKey, RuleId, StageName, Use,
    WordError,
};
