//! Checks of a bundle's lines ahead of their replay: their form, and signatures by known keys. They run in parallel, while one thread
//! replays.

use std::io::BufRead;
use std::sync::Arc;

use rayon::prelude::*;

use super::bundle::parse_line;
use super::{BundleReader, Depth, Error, Line};
use crate::access::{JournalId, Lease};
use crate::api::AuditRecord;
use crate::digest::Sha256Digest;
use crate::log::{Entry, EntryKind};
use crate::statement::{Envelope, Quorum, Statement, Verified};
use crate::time::Timestamp;
use crate::usage::{ChainedBatch, claimed_batch, verify_batch_as_one};

/// Lines per block.
const AT_ONCE: usize = 4096;

/// A line after parsing.
pub(super) enum ReadLine {
    File(String, Vec<u8>),
    Record(Box<ReadRecord>),
}

/// A record after parsing: its entry, and the statement with the digest that the entry names.
pub(super) struct ReadRecord {
    pub(super) bytes: Vec<u8>,
    pub(super) entry: Result<Entry, String>,
    pub(super) statement: Option<ReadStatement>,
}

/// A statement with the results of its early checks.
pub(super) struct ReadStatement {
    pub(super) envelope: Envelope,
    pub(super) precheck: Precheck,
}

/// The results of early checks.
pub(super) enum Precheck {
    Nothing,
    Batch(Result<ChainedBatch, String>),
    Lease(Result<ReadLease, String>),
}

/// A lease after parsing.
pub(super) struct ReadLease {
    pub(super) grant: Sha256Digest,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) journal: Option<JournalId>,
    /// The verified lease, and the keys that verified it: the registry's keys may have changed when the lease is replayed.
    pub(super) signed: Option<(Arc<Quorum>, Verified<Statement<Lease>>)>,
}

/// Reads and checks the next lines of a bundle, none at its end; `registry` is the signer of leases, if known.
///
/// # Errors
/// [`Error::Bundle`], [`Error::Io`].
pub(super) fn next_block(
    bundle: &mut BundleReader<impl BufRead>,
    depth: Depth,
    registry: Option<Quorum>,
) -> Result<Vec<ReadLine>, Error> {
    let registry = registry.filter(|_| depth == Depth::Everything).map(Arc::new);
    bundle.next_texts(AT_ONCE)?.par_iter().map(|text| read(text, depth, registry.as_ref())).collect()
}

fn read(text: &str, depth: Depth, registry: Option<&Arc<Quorum>>) -> Result<ReadLine, Error> {
    Ok(match parse_line(text)? {
        Line::File { path, bytes } => ReadLine::File(path, bytes),
        Line::Record(AuditRecord { entry: text, statements }) => {
            let entry = Entry::parse(text.as_bytes()).map_err(|error| error.to_string());
            let mut envelopes =
                statements.iter().filter_map(|raw| Envelope::parse(raw.get().as_bytes()).ok());
            let statement = entry.as_ref().ok().and_then(|entry| {
                let envelope = envelopes.find(|envelope| envelope.digest() == entry.statement)?;
                Some(ReadStatement {
                    precheck: precheck_statement(entry.kind, &envelope, depth, registry),
                    envelope,
                })
            });
            ReadLine::Record(Box::new(ReadRecord { bytes: text.into_bytes(), entry, statement }))
        }
    })
}

fn precheck_statement(
    kind: EntryKind,
    envelope: &Envelope,
    depth: Depth,
    registry: Option<&Arc<Quorum>>,
) -> Precheck {
    match kind {
        EntryKind::Usage => Precheck::Batch(read_batch(envelope, depth)),
        EntryKind::Lease => Precheck::Lease(read_lease(envelope, registry)),
        _ => Precheck::Nothing,
    }
}

fn read_batch(envelope: &Envelope, depth: Depth) -> Result<ChainedBatch, String> {
    match depth {
        Depth::Everything => verify_batch_as_one(envelope).map(Verified::into_inner),
        Depth::Digests => claimed_batch(envelope),
    }
    .map_err(|error| error.to_string())
}

fn read_lease(envelope: &Envelope, registry: Option<&Arc<Quorum>>) -> Result<ReadLease, String> {
    let signed = registry.and_then(|registry| {
        let statement = envelope.statement::<Lease>(registry).ok()?;
        Some((registry.clone(), statement))
    });
    let lease = match &signed {
        Some((_, statement)) => statement.predicate.clone(),
        None => envelope.claim::<Lease>().map_err(|error| error.to_string())?.predicate,
    };
    let Lease { grant, issued, expires, journal, .. } = lease;
    let journal = journal.map(|mark| mark.journal);
    Ok(ReadLease { grant, issued, expires, journal, signed })
}
