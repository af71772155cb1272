//! Why a policy is none.

use super::document::{MAX_BYTES, SCHEMA};
use super::excerpt::Excerpt;
use super::word::StageName;

/// A text is not a policy; or a line is not an application.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is too long to be read.
    #[error("a policy of {bytes} bytes is too long: the limit is {MAX_BYTES} bytes")]
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
    /// A word of a list does not have the form of its kind.
    #[error("{at}{message}")]
    Word {
        /// Where.
        at: Excerpt,
        /// What form it must have.
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
    /// The end of the policy is no instant.
    #[error("{at}`{text}` is not an instant: write a date and a time with `Z`, such as 2027-06-30T00:00:00Z")]
    Expires {
        /// Where.
        at: Excerpt,
        /// What stands there.
        text: String,
    },
    /// It keeps grants of a version that comes after it.
    #[error(
        "{at}this is version {version}, but version {keeps} comes after it: name an earlier version, or leave the line out"
    )]
    KeepsAhead {
        /// Where.
        at: Excerpt,
        /// The version that it names.
        keeps: u32,
        /// Its own.
        version: u32,
    },
    /// No stage at all.
    #[error("{at}a policy has at least one stage")]
    NoStages {
        /// Where.
        at: Excerpt,
    },
    /// Longer than a policy can sensibly be.
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
    /// Two stages of one name, so that nobody could say which one is meant.
    #[error("{at}duplicate stage `{name}`")]
    StageTwice {
        /// Where the second one is.
        at: Excerpt,
        /// Their name.
        name: StageName,
    },
    /// A gated stage leaves open what a grant must say.
    #[error("{at}stage `{name}` is gated, so it needs `{key}`: {why}")]
    Unsaid {
        /// Where the stage is.
        at: Excerpt,
        /// The stage.
        name: StageName,
        /// The key that is missing.
        key: &'static str,
        /// What it is for.
        why: &'static str,
    },
    /// Evidence without a bound proves nothing.
    #[error("{at}evidence needs `at_least`, `at_most` or both")]
    NoBound {
        /// Where.
        at: Excerpt,
    },
    /// A bound that no number can be compared with.
    #[error("{at}a bound must be a finite number")]
    NotFinite {
        /// Where.
        at: Excerpt,
    },
    /// A line of applications is none.
    #[error("line {line} is not an application: {message}")]
    Application {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// Too many applications at once.
    #[error("too many applications for one simulation: the limit is {max}")]
    TooManyApplications {
        /// How many are read.
        max: usize,
    },
}
