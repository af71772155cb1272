//! What a change of the catalogue brings into force, as entries of the log.

use std::collections::BTreeMap;

use super::Error;
use crate::catalogue::{CheckpointFile, Document, TargetPath, TargetsRole};
use crate::digest::Sha256Digest;
use crate::log::{Entry, EntryKind};
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// The entries that record a change: each new root, targets and board's metadata, and each file that it brings into force.
pub(super) fn publications(
    before: &BTreeMap<String, Vec<u8>>,
    changes: &BTreeMap<String, Option<Vec<u8>>>,
    now: Timestamp,
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    let mut published: Vec<_> = changes
        .iter()
        .filter_map(|(path, bytes)| {
            metadata(path).zip(bytes.as_ref()).map(|(name, bytes)| (path, name, bytes))
        })
        .collect();
    // Each behind those that say who signs it.
    published.sort_by_key(|(_, (version, stem), _)| (rank(stem), *version));
    for (path, (version, stem), bytes) in published {
        let digest = Sha256Digest::compute(bytes);
        let checkpoint: Option<CheckpointId> =
            stem.parse().ok().filter(|_| !matches!(stem, "root" | "targets"));
        let mut entry = Entry::new(EntryKind::Metadata, now, digest);
        entry.checkpoint = checkpoint;
        entries.push(entry);
        if stem != "root" {
            let earlier = version.checked_sub(1).and_then(|version| before.get(&file(version, stem)));
            entries.extend(
                files(path, bytes, earlier, now)?.into_iter().map(|entry| entry.with_about(Some(digest))),
            );
        }
    }
    Ok(entries)
}

/// The version and role of a file of metadata that its keepers sign; not snapshot and timestamp, which the registry makes by itself.
fn metadata(path: &str) -> Option<(u64, &str)> {
    let (version, stem) = path.strip_prefix("metadata/")?.strip_suffix(".json")?.split_once('.')?;
    Some((version.parse().ok()?, stem)).filter(|(_, stem)| *stem != "snapshot")
}

fn rank(stem: &str) -> u8 {
    match stem {
        "root" => 0,
        "targets" => 1,
        _ => 2,
    }
}

fn file(version: u64, stem: &str) -> String {
    format!("metadata/{version}.{stem}.json")
}

/// The files that differ from those of the role's earlier metadata. Cards are passed over: they are personal.
fn files(path: &str, bytes: &[u8], earlier: Option<&Vec<u8>>, now: Timestamp) -> Result<Vec<Entry>, Error> {
    let parse = |bytes: &[u8]| Document::<TargetsRole>::parse(path, bytes.to_vec());
    let (document, earlier) = (parse(bytes)?, earlier.map(|bytes| parse(bytes)).transpose()?);
    let mut entries = Vec::new();
    for (target, file) in &document.role().targets {
        let known = earlier.as_ref().and_then(|earlier| earlier.role().targets.get(target));
        if known.is_some_and(|known| known.hashes == file.hashes) {
            continue;
        }
        if let Some((kind, checkpoint)) = kind_of(target) {
            let mut entry = Entry::new(kind, now, file.hashes.sha256);
            entry.checkpoint = checkpoint;
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// What kind of entry records a file.
fn kind_of(target: &TargetPath) -> Option<(EntryKind, Option<CheckpointId>)> {
    if *target == TargetPath::misuse_rules() {
        return Some((EntryKind::Rules, None));
    }
    let checkpoint: CheckpointId = target.as_str().split('/').next()?.parse().ok()?;
    let file = CheckpointFile::ALL.into_iter().find(|file| file.target_path(&checkpoint) == *target)?;
    let kind = match file {
        CheckpointFile::Policy => EntryKind::Policy,
        CheckpointFile::Manifest => EntryKind::Manifest,
        CheckpointFile::Stage => EntryKind::Stage,
        CheckpointFile::Agreement => EntryKind::Agreement,
    };
    Some((kind, Some(checkpoint)))
}
