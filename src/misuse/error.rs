//! Errors of parsing misuse rules.

use super::document::{MAX_BYTES, SCHEMA};
use super::rule::KindName;
use crate::policy::RuleId;
use crate::policy::excerpt::Excerpt;

/// The text is not a valid set of misuse rules.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is too long.
    #[error("misuse rules of {bytes} bytes are too long: the limit is {MAX_BYTES} bytes")]
    TooLong { bytes: usize },
    /// Not TOML, an unknown or missing key, or a value of the wrong kind.
    #[error("{at}{message}")]
    Toml { at: Excerpt, message: String },
    /// Unsupported version of the format.
    #[error("{at}schema {found} is not supported: this version reads schema {SCHEMA}")]
    Schema { at: Excerpt, found: u32 },
    /// A list is too long.
    #[error("{at}{count} {what} are too many: the limit is {max}")]
    TooMany { at: Excerpt, what: &'static str, count: usize, max: usize },
    /// Two rules have the same id.
    #[error("{at}duplicate rule `{id}`")]
    RuleTwice { at: Excerpt, id: RuleId },
    /// A rule lacks a key that its kind requires.
    #[error("{at}a rule of kind `{kind}` needs `{key}`")]
    Needs { at: Excerpt, kind: KindName, key: &'static str },
    /// A rule has a key that its kind does not have.
    #[error("{at}a rule of kind `{kind}` has no `{key}`")]
    Foreign { at: Excerpt, kind: KindName, key: &'static str },
    /// A number is out of range.
    #[error("{at}`{key}` is {wanted}")]
    Number { at: Excerpt, key: &'static str, wanted: &'static str },
    /// A pattern is malformed or too large.
    #[error("{at}the pattern cannot be used: {message}")]
    Pattern { at: Excerpt, message: String },
}
