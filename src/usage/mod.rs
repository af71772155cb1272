//! Usage: one record per generation in a tamper-evident journal, sent to the registry in signed batches.
//!
//! A generation starts only once its record is durable (P4). Each record holds the digest of the previous one and the person's signature,
//! so that edits, swaps, gaps and forks are found and located (P7). The stage decides what is kept of prompts and outputs: the text sealed
//! to the auditors, digests, or counts.

mod batch;
mod declaration;
mod error;
mod journal;
mod live;
mod record;
mod sealed_text;
mod token_use;

pub use crate::access::{JournalId, JournalMark};
pub use batch::{
    ChainedBatch, MAX_BATCH_BYTES, UsageBatch, claimed_batch, make_batch, verify_batch, verify_batch_as_one,
};
pub use declaration::{JournalDeclaration, verify_declaration};
pub use error::Error;
pub use journal::{
    AppendedRecord, Journal, JournalPlace, OutgoingBatch, Summary, SyncState, UnfinishedGeneration,
};
pub use live::PartialText;
pub use record::{
    Begin, ChainPosition, End, Event, Finish, Parameters, Record, SignedRecord, Task, first_link,
    verify_chain,
};
pub use sealed_text::{KeptText, MAX_TEXT_BYTES, Recipients};
