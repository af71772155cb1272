//! Gathers what an audit reads from a registry into a bundle.

use std::io::Write;

use super::{BundleWriter, Error, Header, Line};
use crate::catalogue::Remote as _;
use crate::client::remote::RemoteRegistry;
use crate::log::{HeadNote, TreeHead};
use crate::progress::Progress;
use crate::time::Timestamp;

/// Maximum size of a catalogue file.
const MAX_FILE: u64 = 64 << 20;
/// Maximum number of catalogue files, and their maximum total size: each version of the metadata is a file.
const MAX_FILES: usize = 100_000;
const MAX_FILES_BYTES: u64 = 4 << 30;
/// Minimum number of records on a page that is not the last, so that a hostile registry cannot delay the end.
const MIN_RECORDS: u64 = 100;

/// Writes a bundle of everything that the registry returns to an auditor; returns the log's head.
///
/// # Errors
/// [`Error::Remote`], [`Error::Io`], [`Error::Log`].
pub fn gather(
    remote: &RemoteRegistry,
    to: impl Write,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<TreeHead, Error> {
    // The first page records this read; the head then covers everything acknowledged before.
    let mut page = remote.audit_page(0)?;
    let note = remote.log_head()?;
    let head = HeadNote::parse(&note)?.claim();
    progress.begin("reading the log", None);
    let mut bundle = BundleWriter::begin(to, &Header::new(now, String::from_utf8_lossy(&note).into_owned()))?;
    let files = remote.catalogue_listing()?.files;
    let endless =
        |what: &str| Error::Bundle { reason: format!("the registry's catalogue has more than {what}") };
    if files.len() > MAX_FILES {
        return Err(endless(&format!("{MAX_FILES} files")));
    }
    let mut left = MAX_FILES_BYTES;
    for path in files {
        if let Some(bytes) = remote.fetch(&path, MAX_FILE)? {
            let enough = left.checked_sub(bytes.len() as u64);
            left = enough.ok_or_else(|| endless(&format!("{} GiB", MAX_FILES_BYTES >> 30)))?;
            progress.advance(bundle.write(&Line::File { path, bytes })?);
        }
    }
    let mut next = 0;
    while next < head.size() {
        let fewest = MIN_RECORDS.min(head.size() - next);
        if page.from != next || (page.records.len() as u64) < fewest {
            let reason = format!("the registry does not give the entries from {next} on, of {}", head.size());
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
