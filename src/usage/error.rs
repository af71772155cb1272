//! Errors of recording usage, and of records that are not valid.

use std::io;
use std::path::PathBuf;

use crate::access::JournalId;
use crate::digest::Sha256Digest;
use crate::{identity, seal, statement};

/// A journal or batch is not valid, or cannot be written.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing the journal failed. Without a record, nothing is generated.
    #[error("cannot {action} the usage journal {}; nothing runs without a record", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A line is not a record.
    #[error("usage record {seq} is malformed: {reason}")]
    Malformed { seq: u64, reason: String },
    /// A record does not follow the previous one: the journal was edited.
    #[error(
        "usage record {seq} does not follow the one before it: the journal was changed there, or just before"
    )]
    Broken { seq: u64 },
    /// The owner did not sign a record.
    #[error("usage record {seq} is not signed by the journal's owner: it was changed")]
    Unsigned { seq: u64 },
    /// The journal's end was cut off.
    #[error("the usage journal ends after {found} records, but had {known}: its end was cut off")]
    Truncated { found: u64, known: u64 },
    /// The journal has another history.
    #[error("usage record {seq} is {found}, but was {known}: the journal has another history")]
    Forked { seq: u64, found: Sha256Digest, known: Sha256Digest },
    /// The lease is for another journal.
    #[error(
        "the lease is for the usage journal {known} with {records} records, but this is {found}: the journal was removed, or this is another machine"
    )]
    OtherJournal { found: JournalId, known: JournalId, records: u64 },
    /// The home's journal is missing.
    #[error("the usage journal {journal}, which had {records} records, is missing")]
    Gone { journal: JournalId, records: u64 },
    /// Another journal is in the place of the home's.
    #[error("this home's usage journal is {known} with {records} records, but this is {found}")]
    Replaced { found: JournalId, known: JournalId, records: u64 },
    /// The home was copied, or restored from a copy.
    #[error(
        "this home is a copy: the usage journal {journal} had {records} records when it was copied, and may have more elsewhere"
    )]
    Copied { journal: JournalId, records: u64 },
    /// The journal's mark is missing, so its length is not known.
    #[error(
        "the mark of the usage journal {journal}, `usage-mark.json` in the home, is missing: records may be missing"
    )]
    Unmarked { journal: JournalId },
    /// A generation neither runs nor ended, and nothing of its text is left.
    #[error("generation {begin} of the usage journal never ended, and its text is lost")]
    Unended { begin: u64 },
    /// The record does not begin an unfinished generation.
    #[error("record {begin} of the usage journal does not begin an unfinished generation")]
    NothingToExplain { begin: u64 },
    /// The declaration is not valid.
    #[error("the usage journal declaration is not valid: {reason}")]
    Declaration { reason: &'static str },
    /// The stage's token limit would be exceeded.
    #[error(
        "the grant allows {limit} tokens in 24 hours: {spent} are used, {reserved} are reserved for running generations, and {asked} are requested"
    )]
    OverLimit { limit: u64, spent: u64, reserved: u64, asked: u64 },
    /// The stage seals prompts to auditors, but there are none.
    #[error("the stage keeps prompts sealed to the auditors, but the catalogue names none")]
    NoAuditors,
    /// The batch is not valid.
    #[error("the usage batch is not valid: {reason}")]
    Batch { reason: String },
    /// A text cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// A statement cannot be made or read.
    #[error(transparent)]
    Statement(#[from] statement::Error),
    #[error(transparent)]
    Signer(#[from] identity::Error),
}
