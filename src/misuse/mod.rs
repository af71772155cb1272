//! Misuse: what is looked for in the usage of weights, and what follows when it is found.
//!
//! Here are the rules and their reading; scoring and cases build upon them. The rules count because the owners signed
//! them into the catalogue, and whoever could change them unnoticed would choose what goes unnoticed. A rule raises a
//! question for a person: none of them is proof.

mod document;
mod error;
mod rule;

pub use document::{MOST_BYTES, SCHEMA};
pub use error::Error;
pub use rule::{Action, KindName, Rule, RuleId, RuleKind, Rules, Scope, Severity, Yardstick};
