//! Usage: one record for each generation, in a journal that nobody can quietly change, brought to the registry in signed batches.
//!
//! A generation starts only once its record is durable (P4). Each record holds the digest of the one before it and is signed by the person's
//! key, so that an edit, a swap, a gap or a second history is found, and where (P7). What is kept of prompts and outputs, the stage says:
//! sealed to the auditors, digests, or numbers alone.

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
    Begin, End, Event, Finish, Parameters, Record, SignedRecord, Task, first_link, verify_chain,
};
pub use sealed_text::{KeptText, MAX_TEXT_BYTES, Recipients};
