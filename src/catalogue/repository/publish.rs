//! Publishing: the registry takes up every proposal that has its signatures, and signs a new snapshot and timestamp.
//!
//! What is taken up together must hold together: targets under the root, each board's metadata under the targets. A proposal that would break
//! that, such as a new board that has not yet signed its checkpoint's metadata again, is held back.

use std::collections::BTreeMap;

use super::drafts::Drafts;
use super::published::Published;
use super::sign::standings;
use super::{Days, Repository, RepositoryError, Subject};
use crate::catalogue::document::TopRole;
use crate::catalogue::schema::{FileMeta, RootRole, SnapshotOnly, SnapshotRole, TargetsRole, TimestampRole};
use crate::catalogue::trusted::delegations;
use crate::catalogue::{Document, Keyring, durable, verify};
use crate::identity::{Signer, VerifyingKey};
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// What publishing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The version of the new snapshot and timestamp.
    pub version: u64,
    /// Until when clients believe it.
    pub expires: Timestamp,
    /// Proposals that are in force now.
    pub published: Vec<Subject>,
    /// Proposals that wait.
    pub held: Vec<Held>,
}

/// A proposal that waits, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Of which role.
    pub subject: Subject,
    /// What it waits for.
    pub reason: String,
}

/// A set of documents that hold together.
struct Candidate<'a> {
    root: &'a Document<RootRole>,
    targets: &'a Document<TargetsRole>,
    boards: BTreeMap<&'a str, &'a Document<TargetsRole>>,
    taken: Vec<Subject>,
}

impl Repository {
    /// Publishes every complete proposal and renews snapshot and timestamp.
    ///
    /// # Errors
    /// [`RepositoryError::NotYet`], [`RepositoryError::NotTheRegistry`], [`RepositoryError::Lacks`].
    pub fn publish(
        &self,
        signer: &dyn Signer,
        now: Timestamp,
        days: Days,
    ) -> Result<Publication, RepositoryError> {
        self.publish_but(&BTreeMap::new(), signer, now, days)
    }

    /// The same, but for these checkpoints' proposals, which wait for the reasons given.
    ///
    /// # Errors
    /// Those of [`Self::publish`].
    pub fn publish_but(
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
            .ok_or_else(|| RepositoryError::NotYet { reason: waits(&drafts, published.as_ref()) })?;
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
            meta.insert(format!("{name}.json"), FileMeta::of(document.version(), document.bytes()));
        }
        let version = |before: Option<u64>| before.map_or(1, |version| version + 1);
        let (snapshot_version, timestamp_version) = (
            version(parts.map(|parts| parts.snapshot.version())),
            version(parts.map(|parts| parts.timestamp.version())),
        );
        let file = verify::snapshot_file(snapshot_version);
        let expires = now.plus_days(days.snapshot);
        let mut snapshot =
            Document::unsigned(&file, &SnapshotRole { meta }, snapshot_version, expires, None)?;
        snapshot.sign(signer)?;
        let listed = FileMeta::of(snapshot_version, snapshot.bytes());
        let role = TimestampRole { meta: SnapshotOnly { snapshot: listed } };
        let expires = now.plus_days(days.timestamp);
        let mut timestamp = Document::unsigned("timestamp.json", &role, timestamp_version, expires, None)?;
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
        held.extend(held_back.iter().map(|(checkpoint, reason)| Held {
            subject: Subject::Board(checkpoint.clone()),
            reason: reason.clone(),
        }));
        Ok(Publication { version: timestamp_version, expires, published: taken, held })
    }

    /// Refuses a proposed root by which this key could not publish.
    ///
    /// # Errors
    /// [`RepositoryError::NotTheRegistry`]; what is wrong with the catalogue or the proposal.
    pub fn require_publishable_by(&self, key: &VerifyingKey) -> Result<(), RepositoryError> {
        let drafts = self.drafts(self.published()?.as_ref())?;
        drafts.root.as_ref().map_or(Ok(()), |root| require_registry(root, key))
    }

    /// Target files first, then the metadata that lists them.
    fn write_role(&self, subject: &Subject, document: &Document<TargetsRole>) -> Result<(), RepositoryError> {
        for (path, file) in &document.role().targets {
            let digest = file.hashes.sha256;
            let Some(bytes) = self.file(subject, path, digest, file.length)? else {
                return Err(RepositoryError::Lacks { path: path.to_string(), digest });
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

    /// Removes proposals that are in force.
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

/// The registry's key alone must do: it is the one that is online.
fn require_registry(root: &Document<RootRole>, key: &VerifyingKey) -> Result<(), RepositoryError> {
    for role in [TopRole::Timestamp, TopRole::Snapshot] {
        let ring = Keyring::of(root, role)?;
        if ring.quorum().threshold() != 1 || !ring.quorum().keys().contains(key) {
            return Err(RepositoryError::NotTheRegistry { key: key.id() });
        }
    }
    Ok(())
}

/// The candidate that takes up the most, root first.
fn best<'a>(drafts: &'a Drafts, published: Option<&'a Published>) -> Option<Candidate<'a>> {
    [(true, true), (true, false), (false, true), (false, false)]
        .into_iter()
        .find_map(|(root, targets)| candidate(drafts, published, root, targets))
}

fn candidate<'a>(
    drafts: &'a Drafts,
    published: Option<&'a Published>,
    with_root: bool,
    with_targets: bool,
) -> Option<Candidate<'a>> {
    let mut taken = Vec::new();
    let root = if with_root {
        let root = drafts.root.as_ref()?;
        Keyring::of(root, TopRole::Root).ok()?.verify(root).ok()?;
        if let Some(published) = published {
            Keyring::of(&published.root, TopRole::Root).ok()?.verify(root).ok()?;
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
    Keyring::of(root, TopRole::Targets).ok()?.verify(targets).ok()?;
    let current = published.and_then(|published| Some(&published.parts.as_ref()?.delegated));
    let mut boards = BTreeMap::new();
    for delegation in delegations(targets) {
        let (name, ring) = (&delegation.name, Keyring::of_delegation(targets, delegation).ok()?);
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

/// Why each proposal that was not taken up waits.
fn held(
    drafts: &Drafts,
    published: Option<&Published>,
    taken: &[Subject],
) -> Result<Vec<Held>, RepositoryError> {
    let open = standings(drafts, published)?;
    let waiting = open.into_iter().filter(|standing| !taken.contains(&standing.subject));
    Ok(waiting
        .map(|standing| {
            let missing = standing.tallies.iter().filter(|tally| tally.missing() > 0);
            let missing: Vec<_> =
                missing.map(|tally| format!("{} more of {}", tally.missing(), tally.quorum.name())).collect();
            let reason = if missing.is_empty() {
                "what depends on it is not signed yet".to_owned()
            } else {
                format!("it needs {}", missing.join(" and "))
            };
            Held { subject: standing.subject, reason }
        })
        .collect())
}

fn waits(drafts: &Drafts, published: Option<&Published>) -> String {
    let held = held(drafts, published, &[]).unwrap_or_default();
    let held: Vec<_> = held.iter().map(|held| format!("{}: {}", held.subject, held.reason)).collect();
    held.join("; ")
}
