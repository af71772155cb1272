//! Gathering what an audit reads from a registry into a bundle.

use std::io::Write;

use super::{BundleWriter, Error, Header, Line};
use crate::catalogue::Remote as _;
use crate::client::remote::RemoteRegistry;
use crate::log::{HeadNote, TreeHead};
use crate::progress::Progress;
use crate::time::Timestamp;

/// Longest file of a catalogue.
const MOST_FILE: u64 = 64 << 20;

/// Writes a bundle of everything that the registry shows an auditor; the head of the log that it covers.
///
/// # Errors
/// [`Error::Remote`], [`Error::Io`], [`Error::Log`].
pub fn gather(
    remote: &RemoteRegistry,
    to: impl Write,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<TreeHead, Error> {
    // The first page puts this very reading on the record; the head then covers all that was acknowledged before.
    let mut page = remote.audit_page(0)?;
    let note = remote.log_head()?;
    let head = HeadNote::parse(&note)?.claim();
    progress.begin("reading the log", None);
    let mut bundle = BundleWriter::begin(to, &Header::new(now, String::from_utf8_lossy(&note).into_owned()))?;
    for path in remote.catalogue_listing()?.files {
        if let Some(bytes) = remote.fetch(&path, MOST_FILE)? {
            progress.advance(bundle.write(&Line::File { path, bytes })?);
        }
    }
    let mut next = 0;
    while next < head.size() {
        if page.from != next || page.records.is_empty() {
            let reason = format!("the registry does not give entry {next} of {}", head.size());
            return Err(Error::Bundle { reason });
        }
        for record in page.records {
            if next < head.size() {
                progress.advance(bundle.write(&Line::Record(record))?);
                next += 1;
            }
        }
        page = if next < head.size() { remote.audit_page(next)? } else { break };
    }
    bundle.finish()?;
    Ok(head)
}
