//! Usage: one record for each generation, in a journal that nobody can quietly change, brought to the registry in signed batches.
//!
//! A generation starts only once its record is durable (P4). Each record holds the digest of the one before it and is signed by the person's
//! key, so that an edit, a swap, a gap or a second history is found, and where (P7). What is kept of prompts and outputs, the stage says:
//! sealed to the auditors, digests, or numbers alone.

mod batch;
mod error;
mod journal;
mod record;
mod sealed_text;
mod spent;

pub use batch::{
    ChainedBatch, MOST_BATCH_BYTES, UsageBatch, claimed_batch, make_batch, verify_batch, verify_batch_as_one,
};
pub use error::Error;
pub use journal::{Appended, Journal, Outgoing, Summary, Synced};
pub use record::{
    Begin, End, Event, JournalId, Parameters, Record, SignedRecord, Task, first_link, verify_chain,
};
pub use sealed_text::{KeptText, MOST_TEXT_BYTES, Recipients};
