//! Batches: records in a row, signed as a statement, for the registry.

use serde::{Deserialize, Serialize};

use super::record::{SignedRecord, first_link};
use super::{Error, JournalId, Record};
use crate::digest::Sha256Digest;
use crate::identity::{Card, Signer};
use crate::statement::{self, CatalogueId, Envelope, Predicate, Quorum, Statement, Subject, Verified};
use crate::time::Timestamp;

/// Most bytes of records in a batch: with their signatures and base64 it stays below what a statement may have.
pub const MAX_BATCH_BYTES: usize = 600 << 10;
/// Most records of a batch.
const MAX_RECORDS: usize = 10_000;

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

/// A batch whose records follow one another, to the one that its statement is about. Who signed it, [`Verified`] tells.
#[derive(Debug, Clone)]
pub struct ChainedBatch {
    /// The catalogue that it is for.
    pub catalogue: Option<CatalogueId>,
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

/// The batch of an envelope, if its owner signed it for `catalogue` and every record in it, and the records follow one another.
///
/// # Errors
/// [`Error::Statement`], [`Error::Malformed`], [`Error::Broken`], [`Error::Unsigned`], [`Error::Batch`].
pub fn verify_batch(envelope: &Envelope, catalogue: CatalogueId) -> Result<Verified<ChainedBatch>, Error> {
    let statement = envelope.verify_self_signed(|batch| owner(batch, catalogue))?;
    let key = statement.predicate.card.verifying_key;
    let batch = chained(&statement, |record| record.require_signed(&key))?;
    Ok(statement.map(|_| batch))
}

/// The same, where the owner's signature over the batch stands for the one over each record, which the same key makes: nobody else could have
/// put other records in. Which catalogue it is for is for the caller to compare: an audit reads batches before it knows.
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

/// What the batch of an envelope says, whoever signed it: its records follow one another.
///
/// # Errors
/// [`Error::Statement`], [`Error::Malformed`], [`Error::Broken`], [`Error::Batch`].
pub fn claimed_batch(envelope: &Envelope) -> Result<ChainedBatch, Error> {
    chained(&envelope.claim()?, |_| Ok(()))
}

fn owner(batch: &UsageBatch, catalogue: CatalogueId) -> Quorum {
    Quorum::from_key(batch.card.name.as_str(), batch.card.verifying_key).with_catalogue(catalogue)
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
    let (from, mut next) = ((*first, *previous), (*first, *previous));
    let mut records = Vec::with_capacity(lines.len());
    for line in lines {
        let record = SignedRecord::parse(line, next.0)?;
        record.require_follows(*journal, next)?;
        check(&record)?;
        let digest = record.digest();
        next = (next.0 + 1, digest);
        records.push((record.into_record(), digest));
    }
    if statement.subject.digest != next.1 {
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

    fn record(place: (u64, Sha256Digest), signer: &SigningKey) -> SignedRecord {
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

    /// Two records in a row, and one that follows neither.
    fn records() -> [SignedRecord; 3] {
        let first = record((0, first_link(JOURNAL)), &key(1));
        let second = record((1, first.digest()), &key(1));
        let stray = record((1, Sha256Digest::compute(b"elsewhere")), &key(1));
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
        CatalogueId::new(Sha256Digest::compute(&[seed]))
    }

    #[test]
    fn a_batch_is_a_chain_that_its_owner_signed() {
        let now = Timestamp::from_unix_seconds(1_000_001);
        let [first, second, stray] = records();
        let foreign = record((1, first.digest()), &key(2));
        let batch = |records: &[SignedRecord], signer| {
            make_batch(catalogue(1), &card(), records, &key(signer), now).unwrap()
        };
        let good = batch(&[first.clone(), second], 1);
        for verified in [verify_batch(&good, catalogue(1)).unwrap(), verify_batch_as_one(&good).unwrap()] {
            assert_eq!((verified.from.0, verified.next.0, verified.records.len()), (0, 2, 2));
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
