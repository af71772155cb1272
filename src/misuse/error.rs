//! Why a text is not a set of misuse rules.

use super::document::{MAX_BYTES, SCHEMA};
use super::rule::KindName;
use crate::policy::RuleId;
use crate::policy::excerpt::Excerpt;

/// A text is not a set of misuse rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is too long to be read.
    #[error("misuse rules of {bytes} bytes are too long: the limit is {MAX_BYTES} bytes")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not TOML, an unknown or missing key, or a value of the wrong kind.
    #[error("{at}{message}")]
    Toml {
        /// Where.
        at: Excerpt,
        /// What the parser said.
        message: String,
    },
    /// Another version of the format.
    #[error("{at}schema {found} is not supported: this version reads schema {SCHEMA}")]
    Schema {
        /// Where.
        at: Excerpt,
        /// The version that it asks for.
        found: u32,
    },
    /// More than rules can sensibly be.
    #[error("{at}{count} {what} are too many: the limit is {max}")]
    TooMany {
        /// Where.
        at: Excerpt,
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many are read.
        max: usize,
    },
    /// Two rules of one name, so that a case could not say which one raised it.
    #[error("{at}duplicate rule `{id}`")]
    RuleTwice {
        /// Where the second one is.
        at: Excerpt,
        /// Their name.
        id: RuleId,
    },
    /// A rule lacks what its kind needs.
    #[error("{at}a rule of kind `{kind}` needs `{key}`")]
    Needs {
        /// Where the kind is.
        at: Excerpt,
        /// The kind.
        kind: KindName,
        /// The key that is missing.
        key: &'static str,
    },
    /// A rule has what its kind does not know.
    #[error("{at}a rule of kind `{kind}` has no `{key}`")]
    Foreign {
        /// Where the key is.
        at: Excerpt,
        /// The kind.
        kind: KindName,
        /// The key.
        key: &'static str,
    },
    /// A number that no measurement could pass, or that every one does.
    #[error("{at}`{key}` is {wanted}")]
    Number {
        /// Where.
        at: Excerpt,
        /// The key.
        key: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// A pattern that is none, or too large a one.
    #[error("{at}the pattern cannot be used: {message}")]
    Pattern {
        /// Where.
        at: Excerpt,
        /// Why not.
        message: String,
    },
}
