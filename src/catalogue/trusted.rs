//! A verified catalogue. Everything that it returns comes from verified metadata.

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

/// Longest target that is fetched into memory, in bytes; the manifest of a large checkpoint has a few MB.
const MAX_TARGET_BYTES: u64 = 64 << 20;

/// Delegated roles by name.
pub(super) type Delegated = BTreeMap<RoleName, Document<TargetsRole>>;

/// The verified documents of a catalogue.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) root: Document<RootRole>,
    pub(super) timestamp: Document<TimestampRole>,
    pub(super) snapshot: Document<SnapshotRole>,
    pub(super) targets: Document<TargetsRole>,
    pub(super) delegated: Delegated,
    /// Boards whose metadata is not valid: their checkpoints cannot be used; the others can.
    pub(super) closed: BTreeMap<RoleName, ClosureReason>,
}

/// Why a board's metadata is not valid.
#[derive(Debug, Clone)]
pub(super) enum ClosureReason {
    /// See [`Error::Expired`].
    Expired { file: String, expired: Timestamp, now: Timestamp },
    /// See [`Error::NoCatalogue`].
    NoCatalogue { file: String },
}

impl From<ClosureReason> for Error {
    fn from(closed: ClosureReason) -> Self {
        match closed {
            ClosureReason::Expired { file, expired, now } => Self::Expired { file, expired, now },
            ClosureReason::NoCatalogue { file } => Self::NoCatalogue { file },
        }
    }
}

/// A verified catalogue. Only [`super::Client`], [`super::History`] and [`super::Repository`] make one.
#[derive(Debug, Clone)]
pub struct TrustedCatalogue {
    id: CatalogueId,
    parts: Parts,
    owners: Quorum,
    registry: Quorum,
    boards: BTreeMap<CheckpointId, Quorum>,
    cache: Option<PathBuf>,
}

/// A target file in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetInfo {
    /// The path.
    pub path: TargetPath,
    /// The length in bytes.
    pub length: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256Digest,
    /// The role that lists it: `targets`, or a checkpoint's.
    pub role: String,
    /// The version of that role's metadata.
    pub version: u64,
}

/// A summary of one role for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSummary {
    /// The role's name.
    pub role: String,
    /// The version of its metadata.
    pub version: u64,
    /// When the metadata expires.
    pub expires: Timestamp,
    /// The keys that signed it.
    pub signers: BTreeSet<VerifyingKey>,
    /// The keys that may sign it, and the threshold.
    pub quorum: Quorum,
}

impl TrustedCatalogue {
    /// Makes a catalogue whose quorums verify only statements for the catalogue `id`.
    pub(super) fn new(id: CatalogueId, parts: Parts, cache: Option<PathBuf>) -> Result<Self, Error> {
        let owners = Keyring::from_root(&parts.root, TopRole::Root)?.quorum().clone().with_catalogue(id);
        let registry =
            Keyring::from_root(&parts.root, TopRole::Timestamp)?.quorum().clone().with_catalogue(id);
        let mut boards = BTreeMap::new();
        for delegation in delegations(&parts.targets) {
            let board =
                Keyring::from_delegation(&parts.targets, delegation)?.quorum().clone().with_catalogue(id);
            if let Some(checkpoint) = delegation.name.checkpoint() {
                boards.entry(checkpoint).or_insert(board);
            }
        }
        Ok(Self { id, parts, owners, registry, boards, cache })
    }

    /// Returns the catalogue's id, the same for all versions.
    pub fn id(&self) -> CatalogueId {
        self.id
    }

    /// Returns the owners' keys and threshold.
    pub fn owners(&self) -> &Quorum {
        &self.owners
    }

    /// Returns the registry's keys: those that sign timestamps.
    pub fn registry(&self) -> &Quorum {
        &self.registry
    }

    /// Returns the keys and threshold of a checkpoint's board.
    pub fn board(&self, checkpoint: &CheckpointId) -> Option<&Quorum> {
        self.boards.get(checkpoint)
    }

    /// Returns all boards by name: of checkpoints, and those that policies consult, such as `ethics`.
    pub fn boards(&self) -> &BTreeMap<CheckpointId, Quorum> {
        &self.boards
    }

    /// Returns when the timestamp expires: until then the catalogue counts as current.
    pub fn timestamp_expires(&self) -> Timestamp {
        self.parts.timestamp.expires()
    }

    /// Iterates over the checkpoints that have a board.
    pub fn checkpoints(&self) -> impl Iterator<Item = &CheckpointId> {
        self.boards.keys().filter(|name| name.as_str() != AUDITORS)
    }

    /// Iterates over the checkpoints whose board published metadata, valid or not.
    pub fn published_checkpoints(&self) -> impl Iterator<Item = &CheckpointId> {
        let Parts { delegated, closed, .. } = &self.parts;
        self.checkpoints()
            .filter(|name| delegated.contains_key(name.as_str()) || closed.contains_key(name.as_str()))
    }

    /// Looks up the file at `path` (TUF 1.0, 5.6.7): the first role that lists it, from the top, depth first.
    pub fn target(&self, path: &TargetPath) -> Option<TargetInfo> {
        let load = |_: &_, delegation: &Delegation| Ok(self.parts.delegated.get(&delegation.name));
        // Loading cannot fail, since all metadata is in memory.
        let (role, document, file) = walk(&self.parts.targets, path.as_str(), load).ok().flatten()?;
        Some(info(path.clone(), role, document, file))
    }

    /// Lists all files, ordered by path.
    pub fn targets(&self) -> Vec<TargetInfo> {
        let documents = std::iter::once(&self.parts.targets).chain(self.parts.delegated.values());
        let paths: BTreeSet<_> = documents.flat_map(|document| document.role().targets.keys()).collect();
        paths.into_iter().filter_map(|path| self.target(path)).collect()
    }

    /// Returns the verified bytes of the file at `path`, from the cache or from `remote`.
    ///
    /// # Errors
    /// [`Error::NoTarget`], [`Error::Missing`], [`Error::Length`], [`Error::Digest`], errors of the remote.
    pub fn fetch_target(&self, remote: &dyn Remote, path: &TargetPath) -> Result<Vec<u8>, Error> {
        let info = self.target(path).ok_or_else(|| Error::NoTarget { path: path.to_string() })?;
        self.fetch(remote, &info)
    }

    fn fetch(&self, remote: &dyn Remote, info: &TargetInfo) -> Result<Vec<u8>, Error> {
        fetch(remote, self.cache.as_deref(), info)
    }

    /// Looks up a file of a checkpoint, which its board must have signed.
    ///
    /// # Errors
    /// [`Error::NoTarget`], [`Error::NotFromBoard`], [`Error::Expired`], [`Error::NoCatalogue`].
    pub fn checkpoint_target(
        &self,
        checkpoint: &CheckpointId,
        file: CheckpointFile,
    ) -> Result<TargetInfo, Error> {
        if let Some(closed) = self.parts.closed.get(checkpoint.as_str()).cloned() {
            return Err(closed.into());
        }
        let path = file.target_path(checkpoint);
        let info = self.target(&path).ok_or_else(|| Error::NoTarget { path: path.to_string() })?;
        if info.role == checkpoint.as_str() {
            return Ok(info);
        }
        Err(Error::NotFromBoard { path: path.to_string(), role: info.role })
    }

    /// Returns the verified bytes of a file of a checkpoint.
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

    /// Returns the policy of a checkpoint, as TOML.
    ///
    /// # Errors
    /// Those of [`Self::checkpoint_file`].
    pub fn policy(&self, remote: &dyn Remote, checkpoint: &CheckpointId) -> Result<Vec<u8>, Error> {
        self.checkpoint_file(remote, checkpoint, CheckpointFile::Policy)
    }

    /// Returns the manifest of a checkpoint, as JSON.
    ///
    /// # Errors
    /// Those of [`Self::checkpoint_file`].
    pub fn manifest(&self, remote: &dyn Remote, checkpoint: &CheckpointId) -> Result<Vec<u8>, Error> {
        self.checkpoint_file(remote, checkpoint, CheckpointFile::Manifest)
    }

    /// Returns the agreement of a checkpoint, as Markdown.
    ///
    /// # Errors
    /// Those of [`Self::checkpoint_file`].
    pub fn agreement(&self, remote: &dyn Remote, checkpoint: &CheckpointId) -> Result<Vec<u8>, Error> {
        self.checkpoint_file(remote, checkpoint, CheckpointFile::Agreement)
    }

    /// Returns the stage of a checkpoint.
    ///
    /// # Errors
    /// Those of [`Self::checkpoint_file`]; [`Error::Malformed`].
    pub fn stage(&self, remote: &dyn Remote, checkpoint: &CheckpointId) -> Result<StageTarget, Error> {
        let bytes = self.checkpoint_file(remote, checkpoint, CheckpointFile::Stage)?;
        let path = CheckpointFile::Stage.target_path(checkpoint);
        let stage: StageTarget =
            crate::json::from_slice(&bytes).map_err(|error| Error::malformed(path.as_str(), error))?;
        if stage.schema != StageTarget::SCHEMA || stage.checkpoint != *checkpoint {
            let reason = format!("it is for {}, schema {}", stage.checkpoint, stage.schema);
            return Err(Error::malformed(path.as_str(), reason));
        }
        Ok(stage)
    }

    /// Returns the misuse rules, as TOML, which the owners sign.
    ///
    /// # Errors
    /// Those of [`Self::fetch_target`].
    pub fn misuse_rules(&self, remote: &dyn Remote) -> Result<Vec<u8>, Error> {
        self.fetch_target(remote, &TargetPath::misuse_rules())
    }

    /// Returns each organization's registrars, of whom any one may confirm members.
    ///
    /// # Errors
    /// Those of [`Self::fetch_target`]; [`Error::Malformed`].
    pub fn organizations(&self, remote: &dyn Remote) -> Result<BTreeMap<Label, Quorum>, Error> {
        let path = TargetPath::organizations();
        // Only the owners may sign it, whatever they delegated.
        let Some(info) = self.target(&path).filter(|info| info.role == "targets") else {
            return Ok(BTreeMap::new());
        };
        let organizations = Organizations::parse(&self.fetch(remote, &info)?)?;
        let quorum = |(name, keys): (&Label, &BTreeSet<_>)| {
            let registrars = Quorum::new(format!("a registrar of {name}"), keys.iter().copied(), 1);
            let registrars = registrars.map_err(|error| Error::malformed(path.as_str(), error))?;
            Ok((name.clone(), registrars.with_catalogue(self.id)))
        };
        organizations.iter().map(quorum).collect()
    }

    /// Returns the card of a key.
    ///
    /// # Errors
    /// Those of [`Self::fetch_target`], [`Error::NoTarget`] if the owners published none; [`Error::Malformed`] if it is not a card of
    /// that key.
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

    /// Returns the cards of all keys in the catalogue: owners, registry and boards.
    ///
    /// # Errors
    /// Those of [`Self::card`].
    pub fn cards(&self, remote: &dyn Remote) -> Result<Vec<Verified<Card>>, Error> {
        let quorums = [&self.owners, &self.registry].into_iter().chain(self.boards.values());
        let keys: BTreeSet<_> = quorums.flat_map(Quorum::keys).collect();
        keys.into_iter().map(|key| self.card(remote, key)).collect()
    }

    /// Summarizes all roles.
    ///
    /// # Errors
    /// None for a verified catalogue.
    pub fn roles(&self) -> Result<Vec<RoleSummary>, Error> {
        let Parts { root, timestamp, snapshot, targets, delegated, .. } = &self.parts;
        let mut roles = vec![
            summary("root", root, Keyring::from_root(root, TopRole::Root)?),
            summary("timestamp", timestamp, Keyring::from_root(root, TopRole::Timestamp)?),
            summary("snapshot", snapshot, Keyring::from_root(root, TopRole::Snapshot)?),
            summary("targets", targets, Keyring::from_root(root, TopRole::Targets)?),
        ];
        for delegation in delegations(targets) {
            if let Some(document) = delegated.get(&delegation.name) {
                let keyring = Keyring::from_delegation(targets, delegation)?;
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

/// Returns the verified bytes of a target, from `cache` or from `remote`.
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
