//! Misuse: the rules for usage of weights, and the cases that follow from hits.
//!
//! The rules, their scoring of texts and histories, and cases. The owners sign the rules into the catalogue; someone who could change them
//! could hide misuse. A hit raises a question for a person and is no proof.

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
