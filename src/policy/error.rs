//! Errors of parsing policies.

use super::document::{MAX_BYTES, SCHEMA};
use super::excerpt::Excerpt;
use super::word::StageName;

/// The text is not a policy, or a line is not an application.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is too long.
    #[error("a policy of {bytes} bytes is too long: the limit is {MAX_BYTES} bytes")]
    TooLong { bytes: usize },
    /// Not TOML, an unknown or missing key, or a value of the wrong kind.
    #[error("{at}{message}")]
    Toml { at: Excerpt, message: String },
    /// A word does not have the required form.
    #[error("{at}{message}")]
    Word { at: Excerpt, message: String },
    /// Unsupported version of the format.
    #[error("{at}schema {found} is not supported: this version reads schema {SCHEMA}")]
    Schema { at: Excerpt, found: u32 },
    /// The policy's end is not an instant.
    #[error("{at}`{text}` is not an instant: write a date and a time with `Z`, such as 2027-06-30T00:00:00Z")]
    Expires { at: Excerpt, text: String },
    /// The policy keeps grants of a later version than its own.
    #[error(
        "{at}this is version {version}, but version {keeps} comes after it: name an earlier version, or leave the line out"
    )]
    KeepsAhead { at: Excerpt, keeps: u32, version: u32 },
    /// The policy has no stages.
    #[error("{at}a policy has at least one stage")]
    NoStages { at: Excerpt },
    /// A list is too long.
    #[error("{at}{count} {what} are too many: the limit is {max}")]
    TooMany { at: Excerpt, what: &'static str, count: usize, max: usize },
    /// Two stages have the same name.
    #[error("{at}duplicate stage `{name}`")]
    StageTwice { at: Excerpt, name: StageName },
    /// A gated stage lacks a required key.
    #[error("{at}stage `{name}` is gated, so it needs `{key}`: {why}")]
    Unsaid { at: Excerpt, name: StageName, key: &'static str, why: &'static str },
    /// Evidence has no bound.
    #[error("{at}evidence needs `at_least`, `at_most` or both")]
    NoBound { at: Excerpt },
    /// A bound is not finite.
    #[error("{at}a bound must be a finite number")]
    NotFinite { at: Excerpt },
    /// A line is not an application.
    #[error("line {line} is not an application: {message}")]
    Application { line: usize, message: String },
    /// Too many applications.
    #[error("too many applications for one simulation: the limit is {max}")]
    TooManyApplications { max: usize },
}
