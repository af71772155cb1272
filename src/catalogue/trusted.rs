//! A catalogue whose whole chain held: what is asked of it is answered from verified metadata only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::document::TopRole;
use super::schema::{Delegation, RootRole, SnapshotRole, TargetFile, TargetsRole, TimestampRole};
use super::target::{CheckpointFile, StageTarget, TargetPath};
use super::walk::walk;
use super::{AUDITORS, Document, Error, Keyring, Organizations, Remote, RoleName, durable, verify};
use crate::digest::Sha256Digest;
use crate::identity::{Card, VerifyingKey};
use crate::name::{CheckpointId, Label};
use crate::statement::{CatalogueId, Envelope, Quorum, Verified, verify_card};
use crate::time::Timestamp;

/// Longest target that is fetched into memory; a manifest of a large checkpoint takes a few MB.
const MAX_TARGET_BYTES: u64 = 64 << 20;

/// Delegated roles by name.
pub(super) type Delegated = BTreeMap<RoleName, Document<TargetsRole>>;

/// The verified documents that make a catalogue.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) root: Document<RootRole>,
    pub(super) timestamp: Document<TimestampRole>,
    pub(super) snapshot: Document<SnapshotRole>,
    pub(super) targets: Document<TargetsRole>,
    pub(super) delegated: Delegated,
    /// Boards whose metadata does not count: their checkpoints cannot be used, and the others can.
    pub(super) closed: BTreeMap<RoleName, Closed>,
}

/// Why a board's metadata does not count.
#[derive(Debug, Clone)]
pub(super) enum Closed {
    /// See [`Error::Expired`].
    Expired { file: String, expired: Timestamp, now: Timestamp },
    /// See [`Error::NoCatalogue`].
    NoCatalogue { file: String },
}

impl From<Closed> for Error {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Expired { file, expired, now } => Self::Expired { file, expired, now },
            Closed::NoCatalogue { file } => Self::NoCatalogue { file },
        }
    }
}

/// A verified catalogue. Only a client and a repository make one.
#[derive(Debug, Clone)]
pub struct TrustedCatalogue {
    id: CatalogueId,
    parts: Parts,
    owners: Quorum,
    registry: Quorum,
    boards: BTreeMap<CheckpointId, Quorum>,
    cache: Option<PathBuf>,
}

/// What the catalogue says of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetInfo {
    /// Its path.
    pub path: TargetPath,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    /// The role that vouches for it: `targets`, or a checkpoint's.
    pub role: String,
    /// The version of that role's metadata.
    pub version: u64,
}

/// What a person wants to know of one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSummary {
    /// Its name.
    pub role: String,
    /// The version of its metadata.
    pub version: u64,
    /// When that stops being believed.
    pub expires: Timestamp,
    /// Whose signatures it has.
    pub signers: BTreeSet<VerifyingKey>,
    /// Who may sign it, and how many must.
    pub quorum: Quorum,
}

impl TrustedCatalogue {
    /// Its quorums verify statements for the catalogue `id` only.
    pub(super) fn new(id: CatalogueId, parts: Parts, cache: Option<PathBuf>) -> Result<Self, Error> {
        let owners = Keyring::of(&parts.root, TopRole::Root)?.quorum().clone().in_catalogue(id);
        let registry = Keyring::of(&parts.root, TopRole::Timestamp)?.quorum().clone().in_catalogue(id);
        let mut boards = BTreeMap::new();
        for delegation in delegations(&parts.targets) {
            let board = Keyring::of_delegation(&parts.targets, delegation)?.quorum().clone().in_catalogue(id);
            if let Some(checkpoint) = delegation.name.checkpoint() {
                boards.entry(checkpoint).or_insert(board);
            }
        }
        Ok(Self { id, parts, owners, registry, boards, cache })
    }

    /// Which catalogue it is, whatever version of it.
    pub fn id(&self) -> CatalogueId {
        self.id
    }

    /// Who owns the catalogue.
    pub fn owners(&self) -> &Quorum {
        &self.owners
    }

    /// The keys of the registry: those that sign timestamps.
    pub fn registry(&self) -> &Quorum {
        &self.registry
    }

    /// The board of a checkpoint: the keys and threshold that the owners delegated it to.
    pub fn board(&self, checkpoint: &CheckpointId) -> Option<&Quorum> {
        self.boards.get(checkpoint)
    }

    /// Every board by its name: a checkpoint's, or one that policies ask, such as `ethics`.
    pub fn boards(&self) -> &BTreeMap<CheckpointId, Quorum> {
        &self.boards
    }

    /// Until when it is believed that nothing newer is out.
    pub fn timestamp_expires(&self) -> Timestamp {
        self.parts.timestamp.expires()
    }

    /// Every checkpoint that has a board.
    pub fn checkpoints(&self) -> impl Iterator<Item = &CheckpointId> {
        self.boards.keys().filter(|name| name.as_str() != AUDITORS)
    }

    /// Every checkpoint of which its board published something, whether or not that still counts.
    pub fn published_checkpoints(&self) -> impl Iterator<Item = &CheckpointId> {
        let Parts { delegated, closed, .. } = &self.parts;
        self.checkpoints()
            .filter(|name| delegated.contains_key(name.as_str()) || closed.contains_key(name.as_str()))
    }

    /// What the catalogue says of the file at `path` (TUF 1.0, 5.6.7): the first role that lists it, from the top, depth first.
    pub fn target(&self, path: &TargetPath) -> Option<TargetInfo> {
        let load = |_: &_, delegation: &Delegation| Ok(self.parts.delegated.get(&delegation.name));
        // Loading fails never, since all of it is here.
        let (role, document, file) = walk(&self.parts.targets, path.as_str(), load).ok().flatten()?;
        Some(info(path.clone(), role, document, file))
    }

    /// Every file that the catalogue vouches for, by path.
    pub fn targets(&self) -> Vec<TargetInfo> {
        let documents = std::iter::once(&self.parts.targets).chain(self.parts.delegated.values());
        let paths: BTreeSet<_> = documents.flat_map(|document| document.role().targets.keys()).collect();
        paths.into_iter().filter_map(|path| self.target(path)).collect()
    }

    /// The file at `path`, verified: from this machine where it was fetched before, or else from `remote`.
    ///
    /// # Errors
    /// [`Error::NoTarget`], [`Error::Missing`], [`Error::Length`], [`Error::Digest`], what the remote says.
    pub fn fetch_target(&self, remote: &dyn Remote, path: &TargetPath) -> Result<Vec<u8>, Error> {
        let info = self.target(path).ok_or_else(|| Error::NoTarget { path: path.to_string() })?;
        self.fetch(remote, &info)
    }

    fn fetch(&self, remote: &dyn Remote, info: &TargetInfo) -> Result<Vec<u8>, Error> {
        fetch(remote, self.cache.as_deref(), info)
    }

    /// What the catalogue says of a file that a checkpoint's board keeps; nobody else may speak for it.
    ///
    /// # Errors
    /// [`Error::NoTarget`], [`Error::NotTheBoards`], [`Error::Expired`], [`Error::NoCatalogue`].
    pub fn checkpoint_target(
        &self,
        checkpoint: &CheckpointId,
        file: CheckpointFile,
    ) -> Result<TargetInfo, Error> {
        if let Some(closed) = self.parts.closed.get(checkpoint.as_str()).cloned() {
            return Err(closed.into());
        }
        let path = file.of(checkpoint);
        let info = self.target(&path).ok_or_else(|| Error::NoTarget { path: path.to_string() })?;
        if info.role == checkpoint.as_str() {
            return Ok(info);
        }
        Err(Error::NotTheBoards { path: path.to_string(), role: info.role })
    }

    /// A file that a checkpoint's board keeps, verified.
    ///
    /// # Errors
    /// Those of [`Self::checkpoint_target`] and [`Self::fetch_target`].
    pub fn checkpoint_file(
        &self,
        remote: &dyn Remote,
        checkpoint: &CheckpointId,
        file: CheckpointFile,
    ) -> Result<Vec<u8>, Error> {
        self.fetch(remote, &self.checkpoint_target(checkpoint, file)?)
    }

    /// The policy of a checkpoint, as TOML.
    ///
    /// # Errors
    /// Those of [`Self::checkpoint_file`].
    pub fn policy(&self, remote: &dyn Remote, checkpoint: &CheckpointId) -> Result<Vec<u8>, Error> {
        self.checkpoint_file(remote, checkpoint, CheckpointFile::Policy)
    }

    /// The manifest of a checkpoint, as JSON.
    ///
    /// # Errors
    /// Those of [`Self::checkpoint_file`].
    pub fn manifest(&self, remote: &dyn Remote, checkpoint: &CheckpointId) -> Result<Vec<u8>, Error> {
        self.checkpoint_file(remote, checkpoint, CheckpointFile::Manifest)
    }

    /// The agreement that researchers sign for a checkpoint, as Markdown.
    ///
    /// # Errors
    /// Those of [`Self::checkpoint_file`].
    pub fn agreement(&self, remote: &dyn Remote, checkpoint: &CheckpointId) -> Result<Vec<u8>, Error> {
        self.checkpoint_file(remote, checkpoint, CheckpointFile::Agreement)
    }

    /// The stage that a checkpoint is in.
    ///
    /// # Errors
    /// Those of [`Self::checkpoint_file`]; [`Error::Malformed`].
    pub fn stage(&self, remote: &dyn Remote, checkpoint: &CheckpointId) -> Result<StageTarget, Error> {
        let bytes = self.checkpoint_file(remote, checkpoint, CheckpointFile::Stage)?;
        let path = CheckpointFile::Stage.of(checkpoint);
        let stage: StageTarget =
            crate::json::from_slice(&bytes).map_err(|error| Error::malformed(path.as_str(), error))?;
        if stage.schema != StageTarget::SCHEMA || stage.checkpoint != *checkpoint {
            let reason = format!("it is for {}, schema {}", stage.checkpoint, stage.schema);
            return Err(Error::malformed(path.as_str(), reason));
        }
        Ok(stage)
    }

    /// The rules by which misuse is found, as TOML; the owners keep them.
    ///
    /// # Errors
    /// Those of [`Self::fetch_target`].
    pub fn misuse_rules(&self, remote: &dyn Remote) -> Result<Vec<u8>, Error> {
        self.fetch_target(remote, &TargetPath::misuse_rules())
    }

    /// The registrars of each organization for which the owners named some; any one of them speaks for it.
    ///
    /// # Errors
    /// Those of [`Self::fetch_target`]; [`Error::Malformed`].
    pub fn organizations(&self, remote: &dyn Remote) -> Result<BTreeMap<Label, Quorum>, Error> {
        let path = TargetPath::organizations();
        // Nobody but the owners may speak for it, whatever they delegated.
        let Some(info) = self.target(&path).filter(|info| info.role == "targets") else {
            return Ok(BTreeMap::new());
        };
        let organizations = Organizations::parse(&self.fetch(remote, &info)?)?;
        let quorum = |(name, keys): (&Label, &BTreeSet<_>)| {
            let registrars = Quorum::new(format!("a registrar of {name}"), keys.iter().copied(), 1);
            let registrars = registrars.map_err(|error| Error::malformed(path.as_str(), error))?;
            Ok((name.clone(), registrars.in_catalogue(self.id)))
        };
        organizations.iter().map(quorum).collect()
    }

    /// The card of a key, if the owners published one.
    ///
    /// # Errors
    /// Those of [`Self::fetch_target`]; [`Error::Malformed`] where it is no card of that key.
    pub fn card(&self, remote: &dyn Remote, key: &VerifyingKey) -> Result<Verified<Card>, Error> {
        let path = TargetPath::card(key);
        let bytes = self.fetch_target(remote, &path)?;
        let malformed = |error: crate::statement::Error| Error::malformed(path.as_str(), error);
        let card = verify_card(&Envelope::parse(&bytes).map_err(malformed)?).map_err(malformed)?;
        if card.verifying_key == *key {
            return Ok(card);
        }
        Err(Error::malformed(
            path.as_str(),
            format!("it is the card of another key, {}", card.verifying_key.id()),
        ))
    }

    /// The cards of everybody who has a key in the catalogue now: owners, registry and boards.
    ///
    /// # Errors
    /// Those of [`Self::card`].
    pub fn cards(&self, remote: &dyn Remote) -> Result<Vec<Verified<Card>>, Error> {
        let quorums = [&self.owners, &self.registry].into_iter().chain(self.boards.values());
        let keys: BTreeSet<_> = quorums.flat_map(Quorum::keys).collect();
        keys.into_iter().map(|key| self.card(remote, key)).collect()
    }

    /// Every role: its version, its expiry, who signed it.
    ///
    /// # Errors
    /// None that a verified catalogue gives.
    pub fn roles(&self) -> Result<Vec<RoleSummary>, Error> {
        let Parts { root, timestamp, snapshot, targets, delegated, .. } = &self.parts;
        let mut roles = vec![
            summary("root", root, Keyring::of(root, TopRole::Root)?),
            summary("timestamp", timestamp, Keyring::of(root, TopRole::Timestamp)?),
            summary("snapshot", snapshot, Keyring::of(root, TopRole::Snapshot)?),
            summary("targets", targets, Keyring::of(root, TopRole::Targets)?),
        ];
        for delegation in delegations(targets) {
            if let Some(document) = delegated.get(&delegation.name) {
                let keyring = Keyring::of_delegation(targets, delegation)?;
                roles.push(summary(delegation.name.as_str(), document, keyring));
            }
        }
        Ok(roles)
    }
}

pub(super) fn delegations(document: &Document<TargetsRole>) -> impl Iterator<Item = &Delegation> {
    document.role().delegations.iter().flat_map(|delegations| &delegations.roles)
}

pub(super) fn info(
    path: TargetPath,
    role: Option<String>,
    document: &Document<TargetsRole>,
    file: TargetFile,
) -> TargetInfo {
    let role = role.unwrap_or_else(|| "targets".to_owned());
    let TargetFile { length, hashes } = file;
    TargetInfo { path, length, sha256: hashes.sha256, role, version: document.version() }
}

/// A target's bytes, verified: from `cache` where they are there, or else from `remote`.
pub(super) fn fetch(remote: &dyn Remote, cache: Option<&Path>, info: &TargetInfo) -> Result<Vec<u8>, Error> {
    let file = info.path.as_str();
    if info.length > MAX_TARGET_BYTES {
        return Err(Error::TooLong { file: file.to_owned(), max: MAX_TARGET_BYTES });
    }
    let cached = cache.map(|cache| cache.join(info.sha256.to_string()));
    if let Some(cached) = &cached
        && let Ok(Some(bytes)) = durable::read(cached, file, info.length)
        && verify::require_digest(file, info.sha256, &bytes).is_ok()
    {
        return Ok(bytes);
    }
    let path = format!("targets/{}", info.path.consistent(info.sha256));
    let bytes = remote.fetch(&path, info.length)?.ok_or_else(|| Error::Missing { file: path.clone() })?;
    verify::require_length(file, info.length, &bytes)?;
    verify::require_digest(file, info.sha256, &bytes)?;
    if let Some(cached) = &cached {
        durable::write(cached, &bytes)?;
    }
    Ok(bytes)
}

fn summary<T: super::Role>(role: &str, document: &Document<T>, keyring: Keyring) -> RoleSummary {
    RoleSummary {
        role: role.to_owned(),
        version: document.version(),
        expires: document.expires(),
        signers: keyring.signers(document),
        quorum: keyring.quorum().clone(),
    }
}
