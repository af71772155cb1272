//! The steps of TUF 1.0, section 5, as pure functions: from trusted metadata and new bytes to the next trusted metadata.
//!
//! Callers check expiry: metadata that only bounds later versions from below may be expired, metadata in use must not be.

use super::document::TopRole;
use super::schema::{FileMeta, RootRole, SnapshotRole, TargetsRole, TimestampRole};
use super::{Document, Error, Keyring};
use crate::digest::Sha256Digest;

/// A root that the user chose to trust; its own owners must have signed it.
pub(super) fn first_root(file: &str, bytes: Vec<u8>) -> Result<Document<RootRole>, Error> {
    let root = Document::parse(file, bytes)?;
    Keyring::from_root(&root, TopRole::Root)?.verify(&root)?;
    Ok(root)
}

/// The root after `trusted` (5.3.4, 5.3.5): signed by the old and the new owners, with the next version. As the specification requires, a
/// root with unusable keys for other roles is accepted: their metadata is refused, and the next root can repair it.
pub(super) fn next_root(trusted: &Document<RootRole>, bytes: Vec<u8>) -> Result<Document<RootRole>, Error> {
    let expected = trusted.version() + 1;
    let root = Document::parse(&root_file(expected), bytes)?;
    Keyring::from_root(trusted, TopRole::Root)?.verify(&root)?;
    Keyring::from_root(&root, TopRole::Root)?.verify(&root)?;
    root.require_version(expected)?;
    Ok(root)
}

/// The newer timestamp of `trusted` and `bytes` (5.4); the same version changes nothing.
pub(super) fn next_timestamp(
    root: &Document<RootRole>,
    trusted: Option<Document<TimestampRole>>,
    bytes: Vec<u8>,
) -> Result<Document<TimestampRole>, Error> {
    let offered: Document<TimestampRole> = Document::parse("timestamp.json", bytes)?;
    Keyring::from_root(root, TopRole::Timestamp)?.verify(&offered)?;
    let Some(trusted) = trusted else {
        return Ok(offered);
    };
    if offered.version() == trusted.version() {
        return Ok(trusted);
    }
    require_not_older(offered.file(), trusted.version(), offered.version())?;
    let (before, after) = (&trusted.role().meta.snapshot, &offered.role().meta.snapshot);
    require_not_older("snapshot.json", before.version, after.version)?;
    Ok(offered)
}

/// The snapshot that the timestamp names (5.5); it must list every file of `trusted` in the same or a newer version.
pub(super) fn next_snapshot(
    root: &Document<RootRole>,
    expected: &FileMeta,
    trusted: Option<&Document<SnapshotRole>>,
    bytes: Vec<u8>,
) -> Result<Document<SnapshotRole>, Error> {
    let file = snapshot_file(expected.version);
    require_bytes(&file, expected, &bytes)?;
    let offered: Document<SnapshotRole> = Document::parse(&file, bytes)?;
    Keyring::from_root(root, TopRole::Snapshot)?.verify(&offered)?;
    offered.require_version(expected.version)?;
    for (name, before) in trusted.iter().flat_map(|trusted| &trusted.role().meta) {
        let after = offered
            .role()
            .meta
            .get(name)
            .ok_or_else(|| Error::Dropped { file: file.clone(), role: name.chars().take(80).collect() })?;
        require_not_older(name, before.version, after.version)?;
    }
    Ok(offered)
}

/// The targets metadata that the snapshot names (5.6), signed by `keyring`.
pub(super) fn next_targets(
    keyring: &Keyring,
    file: &str,
    expected: &FileMeta,
    bytes: Vec<u8>,
) -> Result<Document<TargetsRole>, Error> {
    require_bytes(file, expected, &bytes)?;
    let offered = Document::parse(file, bytes)?;
    keyring.verify(&offered)?;
    offered.require_version(expected.version)?;
    Ok(offered)
}

/// Requires the length and digest that the parent metadata pins.
fn require_bytes(file: &str, expected: &FileMeta, bytes: &[u8]) -> Result<(), Error> {
    if let Some(expected) = expected.length {
        require_length(file, expected, bytes)?;
    }
    expected.hashes.map_or(Ok(()), |hashes| require_digest(file, hashes.sha256, bytes))
}

pub(super) fn require_length(file: &str, expected: u64, bytes: &[u8]) -> Result<(), Error> {
    let found = bytes.len() as u64;
    if found == expected { Ok(()) } else { Err(Error::Length { file: file.to_owned(), expected, found }) }
}

pub(super) fn require_digest(file: &str, expected: Sha256Digest, bytes: &[u8]) -> Result<(), Error> {
    let found = Sha256Digest::compute(bytes);
    if found == expected { Ok(()) } else { Err(Error::Digest { file: file.to_owned(), expected, found }) }
}

fn require_not_older(file: &str, trusted: u64, offered: u64) -> Result<(), Error> {
    if offered >= trusted {
        return Ok(());
    }
    Err(Error::Rollback { file: file.chars().take(80).collect(), trusted, offered })
}

/// File names in a consistent snapshot.
pub(super) fn root_file(version: u64) -> String {
    format!("{version}.root.json")
}

pub(super) fn snapshot_file(version: u64) -> String {
    format!("{version}.snapshot.json")
}

/// `stem` is [`super::RoleName::file_stem`].
pub(super) fn targets_file(stem: &str, version: u64) -> String {
    format!("{version}.{stem}.json")
}
