//! Bringing usage records to the registry, in batches, each of which must then be in the log.

use super::remote::RemoteRegistry;
use super::{EntryRef, Error, Record};
use crate::access::Statements as _;
use crate::identity::{Card, Signer};
use crate::log::EntryKind;
use crate::statement::{self, Predicate as _, Quorum};
use crate::time::Timestamp;
use crate::usage::{self, Journal, Outgoing, SignedRecord, UsageBatch, make_batch};

/// Sends every record that the registry does not have; how many there were.
///
/// # Errors
/// [`Error::Usage`] if the journal does not hold, [`Error::Exchange`] if the registry refuses or is out of reach, [`Error::Log`] if it
/// does not prove that a batch is in its log.
pub fn sync(
    journal: &mut Journal,
    card: &Card,
    signer: &dyn Signer,
    remote: &RemoteRegistry,
    registry: &Quorum,
    record: &Record,
) -> Result<u64, Error> {
    let mut sent = 0;
    let catalogue = registry.catalogue();
    let catalogue =
        catalogue.ok_or(usage::Error::Statement(statement::Error::NoCatalogue { kind: UsageBatch::KIND }))?;
    let sign = |records: &[SignedRecord]| make_batch(catalogue, card, records, signer, Timestamp::now());
    while let Some(Outgoing { batch, records, reached }) = journal.outgoing(&card.verifying_key, sign)? {
        remote.put(UsageBatch::KIND, &batch, &card.verifying_key)?;
        record.fetch(EntryRef { kind: EntryKind::Usage, statement: batch.digest() }, remote, registry)?;
        journal.keep_synced(&reached)?;
        sent += records;
    }
    Ok(sent)
}
