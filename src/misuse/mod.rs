//! Misuse: what is looked for in the usage of weights, and what follows when it is found.
//!
//! Here are the rules, the scoring of texts and histories by them, and the cases that they raise. The rules count because the owners signed
//! them into the catalogue, and whoever could change them unnoticed would choose what goes unnoticed. A rule raises a
//! question for a person: none of them is proof.

mod case;
mod document;
mod error;
mod folding;
mod rule;
mod scoring;
mod sketch;

pub use crate::policy::RuleId;
pub use case::{
    Case, CaseError, CaseState, CaseStep, Outcome, RecordPlace, Step, verify_case, verify_step,
    verify_step_in,
};
pub use document::{MAX_BYTES, SCHEMA};
pub use error::Error;
pub use rule::{Action, Baseline, KindName, Rule, RuleKind, Rules, Scope, Severity};
pub use scoring::{Generation, History, Hit, Scorer};
pub use sketch::{Sketch, SketchError};
