//! Batches: records in a row, signed as a statement, for the registry.

use serde::{Deserialize, Serialize};

use super::record::{JournalId, SignedRecord, first_link, verify_chain};
use super::{Error, Record};
use crate::digest::Sha256Digest;
use crate::identity::{Card, Signer};
use crate::statement::{Envelope, Predicate, Quorum, Statement, Subject};
use crate::time::Timestamp;

/// Most bytes of records in a batch: with their signatures and base64 it stays below what a statement may have.
pub const MOST_BATCH_BYTES: usize = 600 << 10;
/// Most records of a batch.
const MOST_RECORDS: usize = 10_000;

/// Records of a journal, in a row. Its statement's subject is the digest of the last of them; the journal's owner signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageBatch {
    /// Whose journal.
    pub card: Card,
    /// Which journal.
    pub journal: JournalId,
    /// The place of the first record.
    pub first: u64,
    /// The digest of the record before it.
    pub previous: Sha256Digest,
    /// The records, each in its line.
    pub records: Vec<String>,
    /// When the batch was made.
    pub created: Timestamp,
}

impl Predicate for UsageBatch {
    const KIND: &'static str = "usage";
}

/// A batch whose chain and signatures held.
#[derive(Debug, Clone)]
pub struct VerifiedBatch {
    /// Whose.
    pub card: Card,
    /// Of which journal.
    pub journal: JournalId,
    /// The place of its first record, and the digest of the record before that.
    pub from: (u64, Sha256Digest),
    /// The place and link that the record after it must have.
    pub next: (u64, Sha256Digest),
    /// The records with their digests, in order.
    pub records: Vec<(Record, Sha256Digest)>,
    /// When it was made.
    pub created: Timestamp,
}

/// Makes a batch of records that follow one another.
///
/// # Errors
/// [`Error::Batch`] of nothing, [`Error::Statement`].
pub fn make_batch(
    card: &Card,
    records: &[SignedRecord],
    signer: &dyn Signer,
    now: Timestamp,
) -> Result<Envelope, Error> {
    let empty = || Error::Batch { reason: "it is empty".to_owned() };
    let (first, last) = records.first().zip(records.last()).ok_or_else(empty)?;
    let batch = UsageBatch {
        card: card.clone(),
        journal: first.record().journal,
        first: first.record().seq,
        previous: first.record().previous,
        records: records.iter().map(|record| record.line().to_owned()).collect(),
        created: now,
    };
    let subject = Subject { name: UsageBatch::KIND.to_owned(), digest: last.digest() };
    Ok(Statement { subject, predicate: batch }.sign(signer)?)
}

/// The batch of an envelope, if its owner signed it and every record in it, and the records follow one another.
///
/// # Errors
/// [`Error::Statement`], [`Error::Malformed`], [`Error::Broken`], [`Error::Unsigned`], [`Error::Batch`].
pub fn verify_batch(envelope: &Envelope) -> Result<VerifiedBatch, Error> {
    let owner = |batch: &UsageBatch| Quorum::of_one(batch.card.name.as_str(), batch.card.verifying_key);
    let statement = envelope.self_signed(owner)?;
    let batch = &statement.predicate;
    let refused = |reason: &str| Error::Batch { reason: reason.to_owned() };
    if batch.records.is_empty() || batch.records.len() > MOST_RECORDS {
        return Err(refused("it has no records, or too many"));
    }
    if batch.first == 0 && batch.previous != first_link(batch.journal) {
        return Err(Error::Broken { seq: 0 });
    }
    let records = (batch.first..).zip(&batch.records);
    let records = records.map(|(seq, line)| SignedRecord::parse(line, seq)).collect::<Result<Vec<_>, _>>()?;
    let from = (batch.first, batch.previous);
    let next = verify_chain(&records, batch.journal, from, &batch.card.verifying_key)?;
    if statement.subject.digest != next.1 {
        return Err(refused("its subject is not its last record"));
    }
    let records = records.iter().map(|record| (record.record().clone(), record.digest())).collect();
    let UsageBatch { card, journal, created, .. } = batch.clone();
    Ok(VerifiedBatch { card, journal, from, next, records, created })
}
