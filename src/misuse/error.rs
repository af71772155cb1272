//! Why a text is not a set of misuse rules.

use super::document::{MAX_BYTES, SCHEMA};
use super::rule::KindName;
use crate::policy::RuleId;
use crate::policy::excerpt::Excerpt;

/// A text is not a set of misuse rules.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is too long to be read.
    #[error("misuse rules of {bytes} bytes are too long: the limit is {MAX_BYTES} bytes")]
    TooLong { bytes: usize },
    /// Not TOML, an unknown or missing key, or a value of the wrong kind.
    #[error("{at}{message}")]
    Toml { at: Excerpt, message: String },
    /// Another version of the format.
    #[error("{at}schema {found} is not supported: this version reads schema {SCHEMA}")]
    Schema { at: Excerpt, found: u32 },
    /// More than rules can sensibly be.
    #[error("{at}{count} {what} are too many: the limit is {max}")]
    TooMany { at: Excerpt, what: &'static str, count: usize, max: usize },
    /// Two rules of one name, so that a case could not say which one raised it.
    #[error("{at}duplicate rule `{id}`")]
    RuleTwice { at: Excerpt, id: RuleId },
    /// A rule lacks what its kind needs.
    #[error("{at}a rule of kind `{kind}` needs `{key}`")]
    Needs { at: Excerpt, kind: KindName, key: &'static str },
    /// A rule has what its kind does not know.
    #[error("{at}a rule of kind `{kind}` has no `{key}`")]
    Foreign { at: Excerpt, kind: KindName, key: &'static str },
    /// A number that no measurement could pass, or that every one does.
    #[error("{at}`{key}` is {wanted}")]
    Number { at: Excerpt, key: &'static str, wanted: &'static str },
    /// A pattern that is none, or too large a one.
    #[error("{at}the pattern cannot be used: {message}")]
    Pattern { at: Excerpt, message: String },
}
