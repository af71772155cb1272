//! Why usage cannot be recorded, or a record does not hold.

use std::io;
use std::path::PathBuf;

use crate::access::JournalId;
use crate::digest::Sha256Digest;
use crate::{identity, seal, statement};

/// A journal or a batch does not hold, or cannot be written.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal's disk refuses: nothing is generated without a record.
    #[error("cannot {action} the usage journal {}; nothing runs without a record", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A line that is no record.
    #[error("usage record {seq} is malformed: {reason}")]
    Malformed { seq: u64, reason: String },
    /// A record that does not follow the one before it: something was edited, dropped, put in or swapped.
    #[error(
        "usage record {seq} does not follow the one before it: the journal was changed there, or just before"
    )]
    Broken { seq: u64 },
    /// A record that its owner did not sign.
    #[error("usage record {seq} is not signed by the journal's owner: it was changed")]
    Unsigned { seq: u64 },
    /// The journal ends before a record that was there.
    #[error("the usage journal ends after {found} records, but had {known}: its end was cut off")]
    Truncated { found: u64, known: u64 },
    /// Another history than the one that was known.
    #[error("usage record {seq} is {found}, but was {known}: the journal has another history")]
    Forked { seq: u64, found: Sha256Digest, known: Sha256Digest },
    /// Another journal than the one that a lease is for.
    #[error(
        "the lease is for the usage journal {known} with {records} records, but this is {found}: the journal was removed, or this is another machine"
    )]
    OtherJournal { found: JournalId, known: JournalId, records: u64 },
    /// The home's journal is not there.
    #[error("the usage journal {journal}, which had {records} records, is missing")]
    Gone { journal: JournalId, records: u64 },
    /// Another journal lies where the home's was.
    #[error("this home's usage journal is {known} with {records} records, but this is {found}")]
    Replaced { found: JournalId, known: JournalId, records: u64 },
    /// A home that was copied, or put back from a copy.
    #[error(
        "this home is a copy: the usage journal {journal} had {records} records when it was copied, and may have more elsewhere"
    )]
    Copied { journal: JournalId, records: u64 },
    /// Nobody can tell how far the journal went.
    #[error(
        "the mark of the usage journal {journal}, `usage-mark.json` in the home, is missing: records may be missing"
    )]
    Unmarked { journal: JournalId },
    /// A generation that began, is not under way, and of which nothing was kept.
    #[error("generation {begin} of the usage journal never ended, and its text is lost")]
    Unended { begin: u64 },
    /// Nothing to explain there.
    #[error("record {begin} of the usage journal does not begin an unfinished generation")]
    NothingToExplain { begin: u64 },
    /// A declaration does not say what it could.
    #[error("the usage journal declaration is not valid: {reason}")]
    Declaration { reason: &'static str },
    /// More tokens than the stage allows.
    #[error(
        "the grant allows {limit} tokens in 24 hours: {spent} are used, {reserved} are reserved for running generations, and {asked} are requested"
    )]
    OverLimit { limit: u64, spent: u64, reserved: u64, asked: u64 },
    /// A stage that keeps prompts sealed, and nobody to seal them to.
    #[error("the stage keeps prompts sealed to the auditors, but the catalogue names none")]
    NoAuditors,
    /// A batch is not what it says.
    #[error("the usage batch is not valid: {reason}")]
    Batch { reason: String },
    /// A text cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// A statement cannot be made or read.
    #[error(transparent)]
    Statement(#[from] statement::Error),
    /// Signing failed.
    #[error(transparent)]
    Signer(#[from] identity::Error),
}
