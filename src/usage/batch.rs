//! Batches: consecutive records, signed as a statement for the registry.

use serde::{Deserialize, Serialize};

use super::record::{ChainPosition, SignedRecord, first_link};
use super::{Error, JournalId, Record};
use crate::digest::Sha256Digest;
use crate::identity::{Card, Signer};
use crate::statement::{self, CatalogueId, Envelope, Predicate, Quorum, Statement, Subject, Verified};
use crate::time::Timestamp;

/// Maximum bytes of records in a batch: with signatures and base64 below the limit of a statement.
pub const MAX_BATCH_BYTES: usize = 600 << 10;
/// Maximum records of a batch.
const MAX_RECORDS: usize = 10_000;

/// Consecutive records of a journal, signed by its owner. Its subject is the digest of the last record.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageBatch {
    /// The owner's card.
    pub card: Card,
    pub journal: JournalId,
    /// The place of the first record.
    pub first: u64,
    /// The digest of the record before the first.
    pub previous: Sha256Digest,
    /// The records, one line each.
    pub records: Vec<String>,
    pub created: Timestamp,
}

impl Predicate for UsageBatch {
    const KIND: &'static str = "usage";
}

/// A batch whose records form a chain that ends at the statement's subject. [`Verified`] adds that the owner signed it.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone)]
pub struct ChainedBatch {
    pub catalogue: Option<CatalogueId>,
    /// The owner's card.
    pub card: Card,
    pub journal: JournalId,
    /// The position of the first record.
    pub from: ChainPosition,
    /// The position after the last record.
    pub next: ChainPosition,
    /// The records with their digests, in order.
    pub records: Vec<(Record, Sha256Digest)>,
    pub created: Timestamp,
}

/// Makes a batch of consecutive records.
///
/// # Errors
/// [`Error::Batch`] of nothing, [`Error::Statement`].
pub fn make_batch(
    catalogue: CatalogueId,
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
    Ok(Statement::new(catalogue, subject, batch).sign(signer)?)
}

/// Verifies a batch: its owner signed it for `catalogue`, and signed each of its records, which form a chain.
///
/// # Errors
/// [`Error::Statement`], [`Error::Malformed`], [`Error::Broken`], [`Error::Unsigned`], [`Error::Batch`].
pub fn verify_batch(envelope: &Envelope, catalogue: CatalogueId) -> Result<Verified<ChainedBatch>, Error> {
    let statement = envelope.self_signed(|batch| owner(batch, catalogue))?;
    let key = statement.predicate.card.verifying_key;
    let batch = chained(&statement, |record| record.require_signed(&key))?;
    Ok(statement.map(|_| batch))
}

/// Verifies a batch by the owner's signature over it alone: the same key signs the records, so no one else could have added any. The caller
/// compares the catalogue, which an audit does not know yet.
///
/// # Errors
/// [`Error::Statement`], [`Error::Malformed`], [`Error::Broken`], [`Error::Batch`].
pub fn verify_batch_as_one(envelope: &Envelope) -> Result<Verified<ChainedBatch>, Error> {
    let statement = envelope.statement_for(|claim: &Statement<UsageBatch>| {
        let catalogue = claim.catalogue();
        let catalogue = catalogue.ok_or(statement::Error::NoCatalogue { kind: UsageBatch::KIND })?;
        Ok::<_, Error>(owner(&claim.predicate, catalogue))
    })?;
    let batch = chained(&statement, |_| Ok(()))?;
    Ok(statement.map(|_| batch))
}

/// The contents of a batch without verification of signatures; its records form a chain.
///
/// # Errors
/// [`Error::Statement`], [`Error::Malformed`], [`Error::Broken`], [`Error::Batch`].
pub fn claimed_batch(envelope: &Envelope) -> Result<ChainedBatch, Error> {
    chained(&envelope.claim()?, |_| Ok(()))
}

fn owner(batch: &UsageBatch, catalogue: CatalogueId) -> Quorum {
    Quorum::of_one(batch.card.name.as_str(), batch.card.verifying_key).in_catalogue(catalogue)
}

fn chained(
    statement: &Statement<UsageBatch>,
    check: impl Fn(&SignedRecord) -> Result<(), Error>,
) -> Result<ChainedBatch, Error> {
    let UsageBatch { card, journal, first, previous, records: lines, created } = &statement.predicate;
    let refused = |reason: &str| Error::Batch { reason: reason.to_owned() };
    if lines.is_empty() || lines.len() > MAX_RECORDS {
        return Err(refused("it has no records, or too many"));
    }
    if *first == 0 && *previous != first_link(*journal) {
        return Err(Error::Broken { seq: 0 });
    }
    let from = ChainPosition { seq: *first, link: *previous };
    let mut next = from;
    let mut records = Vec::with_capacity(lines.len());
    for line in lines {
        let record = SignedRecord::parse(line, next.seq)?;
        record.require_follows(*journal, next)?;
        check(&record)?;
        let digest = record.digest();
        next = next.after(digest);
        records.push((record.into_record(), digest));
    }
    if statement.subject.digest != next.link {
        return Err(refused("its subject is not its last record"));
    }
    let catalogue = statement.catalogue();
    Ok(ChainedBatch {
        catalogue,
        card: card.clone(),
        journal: *journal,
        from,
        next,
        records,
        created: *created,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SigningKey;
    use crate::usage::{End, Event};

    const JOURNAL: JournalId = JournalId::from_bytes([3; 16]);

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn record(place: ChainPosition, signer: &SigningKey) -> SignedRecord {
        let end = End {
            begin: 0,
            tokens: 1,
            finish: crate::usage::Finish::Length,
            output: None,
            hits: Vec::new(),
            explanation: None,
        };
        let at = Timestamp::from_unix_seconds(1_000_000);
        Record::new(JOURNAL, place, at, Event::End(end)).sign(signer).unwrap()
    }

    /// Two consecutive records, and one that follows neither.
    fn records() -> [SignedRecord; 3] {
        let place = ChainPosition::first(JOURNAL);
        let first = record(place, &key(1));
        let second = record(place.after(first.digest()), &key(1));
        let stray = record(place.after(Sha256Digest::of(b"elsewhere")), &key(1));
        [first, second, stray]
    }

    fn card() -> Card {
        let opening = crate::identity::OpeningKey::from_bytes(&[9; 32]);
        Card {
            name: "rosa".parse().unwrap(),
            organization: None,
            verifying_key: key(1).verifying_key(),
            sealing_key: opening.sealing_key(),
            created: Timestamp::from_unix_seconds(0),
        }
    }

    fn catalogue(seed: u8) -> CatalogueId {
        CatalogueId::new(Sha256Digest::of(&[seed]))
    }

    #[test]
    fn a_batch_is_a_chain_that_its_owner_signed() {
        let now = Timestamp::from_unix_seconds(1_000_001);
        let [first, second, stray] = records();
        let foreign = record(ChainPosition::first(JOURNAL).after(first.digest()), &key(2));
        let batch = |records: &[SignedRecord], signer| {
            make_batch(catalogue(1), &card(), records, &key(signer), now).unwrap()
        };
        let good = batch(&[first.clone(), second], 1);
        for verified in [verify_batch(&good, catalogue(1)).unwrap(), verify_batch_as_one(&good).unwrap()] {
            assert_eq!((verified.from.seq, verified.next.seq, verified.records.len()), (0, 2, 2));
        }
        let broken = batch(&[first.clone(), stray], 1);
        assert!(matches!(verify_batch(&broken, catalogue(1)), Err(Error::Broken { seq: 1 })));
        assert!(matches!(verify_batch_as_one(&broken), Err(Error::Broken { seq: 1 })));
        assert!(matches!(claimed_batch(&broken), Err(Error::Broken { seq: 1 })));
        let mixed = batch(&[first.clone(), foreign], 1);
        assert!(matches!(verify_batch(&mixed, catalogue(1)), Err(Error::Unsigned { seq: 1 })));
        assert!(matches!(verify_batch(&good, catalogue(2)), Err(Error::Statement(_))));
        assert_eq!(verify_batch_as_one(&good).unwrap().catalogue, Some(catalogue(1)));
        let stolen = batch(&[first], 2);
        assert!(matches!(verify_batch_as_one(&stolen), Err(Error::Statement(_))));
    }
}
