//! Publishing: the registry publishes all fully signed proposals and signs a new snapshot and timestamp.
//!
//! The published set must be consistent: the root's keys sign the targets, and the targets' keys sign each board's metadata. A proposal
//! that would break that, such as a new board that has not yet signed its checkpoint's metadata again, waits.

use std::collections::BTreeMap;

use super::drafts::Drafts;
use super::published::PublishedCatalogue;
use super::sign::proposal_statuses;
use super::{Days, Repository, RepositoryError, Subject};
use crate::catalogue::document::TopRole;
use crate::catalogue::schema::{FileMeta, RootRole, SnapshotOnly, SnapshotRole, TargetsRole, TimestampRole};
use crate::catalogue::trusted::delegations;
use crate::catalogue::{Document, Keyring, durable, verify};
use crate::identity::{Signer, VerifyingKey};
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// The result of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The version of the new snapshot and timestamp.
    pub version: u64,
    /// When the timestamp expires.
    pub expires: Timestamp,
    /// Proposals that are now published.
    pub published: Vec<Subject>,
    /// Proposals that wait.
    pub held: Vec<PendingProposal>,
}

/// A proposal that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingProposal {
    /// The role that it changes.
    pub subject: Subject,
    /// What it waits for, such as `1 more of the board of tiny`.
    pub reason: String,
}

/// A consistent set of documents.
struct Candidate<'a> {
    root: &'a Document<RootRole>,
    targets: &'a Document<TargetsRole>,
    boards: BTreeMap<&'a str, &'a Document<TargetsRole>>,
    taken: Vec<Subject>,
}

impl Repository {
    /// Publishes all complete proposals and renews snapshot and timestamp.
    ///
    /// # Errors
    /// [`RepositoryError::Incomplete`], [`RepositoryError::NotTheRegistry`], [`RepositoryError::MissingFile`].
    pub fn publish(
        &self,
        signer: &dyn Signer,
        now: Timestamp,
        days: Days,
    ) -> Result<Publication, RepositoryError> {
        self.publish_except(&BTreeMap::new(), signer, now, days)
    }

    /// As [`Self::publish`], except for the given checkpoints' proposals, which wait for the given reasons.
    ///
    /// # Errors
    /// Those of [`Self::publish`].
    pub fn publish_except(
        &self,
        held_back: &BTreeMap<CheckpointId, String>,
        signer: &dyn Signer,
        now: Timestamp,
        days: Days,
    ) -> Result<Publication, RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let mut drafts = self.drafts(published.as_ref())?;
        drafts.boards.retain(|checkpoint, _| !held_back.contains_key(checkpoint));
        if published.is_none() && drafts.root.is_none() {
            return Err(self.none());
        }
        let candidate = best(&drafts, published.as_ref())
            .ok_or_else(|| RepositoryError::Incomplete { reason: waits(&drafts, published.as_ref()) })?;
        require_registry(candidate.root, &signer.verifying_key())?;
        let parts = published.as_ref().and_then(|published| published.parts.as_ref());
        let mut meta = parts.map(|parts| parts.snapshot.role().meta.clone()).unwrap_or_default();
        let targets = ("targets", candidate.targets);
        for (name, document) in candidate.boards.iter().map(|(name, board)| (*name, *board)).chain([targets])
        {
            let subject = if name == "targets" { Subject::Targets } else { Subject::Board(parse(name)?) };
            if candidate.taken.contains(&subject) {
                self.write_role(&subject, document)?;
            }
            meta.insert(format!("{name}.json"), FileMeta::new(document.version(), document.bytes()));
        }
        let version = |before: Option<u64>| before.map_or(1, |version| version + 1);
        let (snapshot_version, timestamp_version) = (
            version(parts.map(|parts| parts.snapshot.version())),
            version(parts.map(|parts| parts.timestamp.version())),
        );
        let file = verify::snapshot_file(snapshot_version);
        let expires = now.plus_days(days.snapshot);
        let mut snapshot =
            Document::new_unsigned(&file, &SnapshotRole { meta }, snapshot_version, expires, None)?;
        snapshot.sign(signer)?;
        let listed = FileMeta::new(snapshot_version, snapshot.bytes());
        let role = TimestampRole { meta: SnapshotOnly { snapshot: listed } };
        let expires = now.plus_days(days.timestamp);
        let mut timestamp =
            Document::new_unsigned("timestamp.json", &role, timestamp_version, expires, None)?;
        timestamp.sign(signer)?;
        durable::write(&self.metadata(&file), snapshot.bytes())?;
        if candidate.taken.contains(&Subject::Root) {
            let file = verify::root_file(candidate.root.version());
            durable::write(&self.metadata(&file), candidate.root.bytes())?;
        }
        durable::write(&self.metadata("timestamp.json"), timestamp.bytes())?;
        let taken = candidate.taken;
        self.clear(&taken)?;
        let mut held = held(&drafts, published.as_ref(), &taken)?;
        held.extend(held_back.iter().map(|(checkpoint, reason)| PendingProposal {
            subject: Subject::Board(checkpoint.clone()),
            reason: reason.clone(),
        }));
        Ok(Publication { version: timestamp_version, expires, published: taken, held })
    }

    /// Requires that this key can publish under a proposed root.
    ///
    /// # Errors
    /// [`RepositoryError::NotTheRegistry`]; an invalid catalogue or proposal.
    pub fn require_publishable_by(&self, key: &VerifyingKey) -> Result<(), RepositoryError> {
        let drafts = self.drafts(self.published()?.as_ref())?;
        drafts.root.as_ref().map_or(Ok(()), |root| require_registry(root, key))
    }

    /// Writes target files first, then the metadata that lists them.
    fn write_role(&self, subject: &Subject, document: &Document<TargetsRole>) -> Result<(), RepositoryError> {
        for (path, file) in &document.role().targets {
            let digest = file.hashes.sha256;
            let Some(bytes) = self.file(subject, path, digest, file.length)? else {
                return Err(RepositoryError::MissingFile { path: path.to_string(), digest });
            };
            let to = self.folder.join("targets").join(path.consistent(digest));
            let is_there = durable::read(&to, path.as_str(), file.length).ok().flatten();
            if is_there.is_none_or(|there| there != bytes) {
                durable::write(&to, &bytes)?;
            }
        }
        let file = verify::targets_file(&subject.to_string(), document.version());
        Ok(durable::write(&self.metadata(&file), document.bytes())?)
    }

    /// Removes published proposals.
    fn clear(&self, taken: &[Subject]) -> Result<(), RepositoryError> {
        for subject in taken {
            durable::remove(&self.proposal(subject))?;
        }
        Ok(())
    }
}

fn parse(name: &str) -> Result<crate::name::CheckpointId, RepositoryError> {
    name.parse().map_err(|error: crate::name::NameError| {
        crate::catalogue::Error::malformed("targets.json", error).into()
    })
}

/// Requires that the registry's key alone meets the thresholds, since no other key is online.
fn require_registry(root: &Document<RootRole>, key: &VerifyingKey) -> Result<(), RepositoryError> {
    for role in [TopRole::Timestamp, TopRole::Snapshot] {
        let ring = Keyring::from_root(root, role)?;
        if ring.quorum().threshold() != 1 || !ring.quorum().keys().contains(key) {
            return Err(RepositoryError::NotTheRegistry { key: key.id() });
        }
    }
    Ok(())
}

/// The largest consistent set, root first.
fn best<'a>(drafts: &'a Drafts, published: Option<&'a PublishedCatalogue>) -> Option<Candidate<'a>> {
    [(true, true), (true, false), (false, true), (false, false)]
        .into_iter()
        .find_map(|(root, targets)| candidate(drafts, published, root, targets))
}

fn candidate<'a>(
    drafts: &'a Drafts,
    published: Option<&'a PublishedCatalogue>,
    with_root: bool,
    with_targets: bool,
) -> Option<Candidate<'a>> {
    let mut taken = Vec::new();
    let root = if with_root {
        let root = drafts.root.as_ref()?;
        Keyring::from_root(root, TopRole::Root).ok()?.verify(root).ok()?;
        if let Some(published) = published {
            Keyring::from_root(&published.root, TopRole::Root).ok()?.verify(root).ok()?;
        }
        taken.push(Subject::Root);
        root
    } else {
        &published?.root
    };
    let targets = if with_targets {
        taken.push(Subject::Targets);
        drafts.targets.as_ref()?
    } else {
        published?.targets()?
    };
    Keyring::from_root(root, TopRole::Targets).ok()?.verify(targets).ok()?;
    let current = published.and_then(|published| Some(&published.parts.as_ref()?.delegated));
    let mut boards = BTreeMap::new();
    for delegation in delegations(targets) {
        let (name, ring) = (&delegation.name, Keyring::from_delegation(targets, delegation).ok()?);
        let board = name.checkpoint().and_then(|checkpoint| drafts.boards.get_key_value(&checkpoint));
        if let Some((checkpoint, draft)) = board.filter(|(_, draft)| ring.verify(draft).is_ok()) {
            taken.push(Subject::Board(checkpoint.clone()));
            boards.insert(name.as_str(), draft);
        } else if let Some(current) = current.and_then(|current| current.get(name)) {
            ring.verify(current).ok()?;
            boards.insert(name.as_str(), current);
        }
    }
    Some(Candidate { root, targets, boards, taken })
}

/// Explains why each remaining proposal waits.
fn held(
    drafts: &Drafts,
    published: Option<&PublishedCatalogue>,
    taken: &[Subject],
) -> Result<Vec<PendingProposal>, RepositoryError> {
    let open = proposal_statuses(drafts, published)?;
    let waiting = open.into_iter().filter(|standing| !taken.contains(&standing.subject));
    Ok(waiting
        .map(|standing| {
            let missing = standing.tallies.iter().filter(|tally| tally.missing() > 0);
            let missing: Vec<_> =
                missing.map(|tally| format!("{} more of {}", tally.missing(), tally.quorum.name())).collect();
            let reason = if missing.is_empty() {
                "other metadata that depends on it is not signed yet".to_owned()
            } else {
                format!("it needs {}", missing.join(" and "))
            };
            PendingProposal { subject: standing.subject, reason }
        })
        .collect())
}

fn waits(drafts: &Drafts, published: Option<&PublishedCatalogue>) -> String {
    let held = held(drafts, published, &[]).unwrap_or_default();
    let held: Vec<_> = held.iter().map(|held| format!("{}: {}", held.subject, held.reason)).collect();
    held.join("; ")
}
