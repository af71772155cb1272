//! Proposing: a founding, new files of a checkpoint, other keys.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{
    Files, Founding, Rotation, admit, admit_all, delegate, keep_keys, require_quorum, rotated,
};
use super::drafts::Drafts;
use super::published::Published;
use super::{Repository, RepositoryError, Subject};
use crate::catalogue::Keyring;
use crate::catalogue::document::{TopRole, board_name};
use crate::catalogue::schema::{RoleKeys, RootRole, TargetsRole, TopLevel};
use crate::catalogue::target::{CheckpointFile, TargetPath};
use crate::catalogue::trusted::delegations;
use crate::identity::VerifyingKey;
use crate::name::CheckpointId;
use crate::statement::Envelope;
use crate::time::Timestamp;

type Keys = BTreeSet<VerifyingKey>;

const OWNERS: &str = "the owners";

impl Repository {
    /// Proposes a new catalogue: version 1 of root and of targets, for the owners to sign.
    ///
    /// # Errors
    /// [`RepositoryError::Exists`], [`RepositoryError::Quorum`], [`RepositoryError::Card`], [`RepositoryError::Reserved`].
    pub fn found(
        &self,
        founding: &Founding,
        now: Timestamp,
        days: super::Days,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let is_there = self.proposal(&Subject::Root).exists() || self.published()?.is_some();
        if is_there {
            return Err(RepositoryError::Exists { folder: self.folder.display().to_string() });
        }
        let mut files = Files::new();
        let owners = admit_all(&founding.owners, &mut files)?;
        require_quorum(OWNERS, &owners, founding.threshold)?;
        let registry = BTreeSet::from([admit(&founding.registry, &mut files)?.verifying_key]);
        let mut targets = TargetsRole::default();
        for (checkpoint, plan) in &founding.boards {
            let members = admit_all(&plan.members, &mut files)?;
            require_quorum(&board_name(checkpoint), &members, plan.threshold)?;
            delegate(&mut targets, checkpoint, &members, plan.threshold)?;
        }
        let mut root = RootRole {
            consistent_snapshot: true,
            keys: BTreeMap::new(),
            roles: TopLevel {
                root: RoleKeys::new([], 0),
                timestamp: RoleKeys::new([], 0),
                snapshot: RoleKeys::new([], 0),
                targets: RoleKeys::new([], 0),
            },
        };
        set_owners(&mut root, &owners, founding.threshold);
        set_registry(&mut root, &registry);
        // Root first: the targets name it.
        self.put(&Subject::Root, &root, None, now.plus_days(days.root))?;
        self.bring(&Subject::Targets, &mut targets, &files)?;
        self.put(&Subject::Targets, &targets, None, now.plus_days(days.targets))
    }

    /// Proposes files of a checkpoint, for its board to sign; without any, a later expiry alone.
    ///
    /// # Errors
    /// [`RepositoryError::NoBoard`], [`RepositoryError::None`].
    pub fn propose(
        &self,
        checkpoint: &CheckpointId,
        files: &BTreeMap<CheckpointFile, Vec<u8>>,
        expires: Timestamp,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let targets = drafts.next_targets(published.as_ref()).ok_or_else(|| self.none())?;
        if !delegations(targets).any(|delegation| delegation.name == *checkpoint) {
            return Err(RepositoryError::NoBoard { checkpoint: checkpoint.to_string() });
        }
        let parts = published.as_ref().and_then(|published| published.parts.as_ref());
        let base = drafts.boards.get(checkpoint).or_else(|| parts?.delegated.get(checkpoint.as_str()));
        let mut role = base.map(|base| base.role().clone()).unwrap_or_default();
        let files = files.iter().map(|(file, bytes)| (file.of(checkpoint), bytes.clone())).collect();
        let subject = Subject::Board(checkpoint.clone());
        self.bring(&subject, &mut role, &files)?;
        self.put(&subject, &role, published.as_ref(), expires)
    }

    /// Proposes files that the owners keep, such as misuse rules; without any, a later expiry alone.
    ///
    /// # Errors
    /// [`RepositoryError::None`].
    pub fn propose_targets(
        &self,
        files: &BTreeMap<TargetPath, Vec<u8>>,
        expires: Timestamp,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        self.amend_targets(published.as_ref(), &drafts, expires, files, |_| Ok(()))
    }

    /// Proposes the same root again with a later expiry.
    ///
    /// # Errors
    /// [`RepositoryError::None`].
    pub fn renew_root(&self, expires: Timestamp) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let root = drafts.next_root(published.as_ref()).ok_or_else(|| self.none())?;
        self.put(&Subject::Root, root.role(), published.as_ref(), expires)
    }

    /// Proposes other owners, or another threshold: a root that the old and the new owners sign, and targets that the new ones do.
    ///
    /// # Errors
    /// [`RepositoryError::AlreadyIn`], [`RepositoryError::NotIn`], [`RepositoryError::Quorum`].
    pub fn rotate_owners(
        &self,
        rotation: &Rotation,
        now: Timestamp,
        days: super::Days,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let base = drafts.next_root(published.as_ref()).ok_or_else(|| self.none())?;
        let ring = Keyring::of(base, TopRole::Root)?;
        let before = Some((ring.quorum().keys(), base.role().roles.root.threshold));
        let mut files = Files::new();
        let (keys, threshold) = rotated(OWNERS, before, rotation, &mut files)?;
        let mut root = base.role().clone();
        set_owners(&mut root, &keys, threshold);
        if root == *base.role() {
            return Err(RepositoryError::NoChange { role: OWNERS.to_owned() });
        }
        self.put(&Subject::Root, &root, published.as_ref(), now.plus_days(days.root))?;
        // The new owners must sign targets too, or those of the old ones would stop counting.
        self.amend_targets(published.as_ref(), &drafts, now.plus_days(days.targets), &files, |_| Ok(()))
    }

    /// Proposes another key for the registry.
    ///
    /// # Errors
    /// [`RepositoryError::NoChange`], [`RepositoryError::None`].
    pub fn rotate_registry(
        &self,
        card: &Envelope,
        now: Timestamp,
        days: super::Days,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let base = drafts.next_root(published.as_ref()).ok_or_else(|| self.none())?;
        let mut files = Files::new();
        let key = admit(card, &mut files)?.verifying_key;
        let mut root = base.role().clone();
        set_registry(&mut root, &BTreeSet::from([key]));
        if root == *base.role() {
            return Err(RepositoryError::NoChange { role: "the registry's key".to_owned() });
        }
        self.put(&Subject::Root, &root, published.as_ref(), now.plus_days(days.root))?;
        self.amend_targets(published.as_ref(), &drafts, now.plus_days(days.targets), &files, |_| Ok(()))
    }

    /// Proposes another board for a checkpoint, or its first: targets that the owners sign, and the checkpoint's own metadata again
    /// for the new board to sign, since signatures of those who left no longer count.
    ///
    /// # Errors
    /// [`RepositoryError::AlreadyIn`], [`RepositoryError::NotIn`], [`RepositoryError::Quorum`], [`RepositoryError::Reserved`].
    pub fn rotate_board(
        &self,
        checkpoint: &CheckpointId,
        rotation: &Rotation,
        now: Timestamp,
        days: super::Days,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let base = drafts.next_targets(published.as_ref()).ok_or_else(|| self.none())?;
        let name = board_name(checkpoint);
        let mut files = Files::new();
        let delegation = delegations(base).find(|delegation| delegation.name == *checkpoint);
        let ring = delegation.map(|delegation| Keyring::of_delegation(base, delegation)).transpose()?;
        let before = ring.as_ref().zip(delegation);
        let before = before.map(|(ring, delegation)| (ring.quorum().keys(), delegation.signers.threshold));
        let (keys, threshold) = rotated(&name, before, rotation, &mut files)?;
        if before == Some((&keys, threshold)) {
            return Err(RepositoryError::NoChange { role: name });
        }
        let expires = now.plus_days(days.targets);
        self.amend_targets(published.as_ref(), &drafts, expires, &files, |role| {
            delegate(role, checkpoint, &keys, threshold)
        })?;
        let parts = published.as_ref().and_then(|published| published.parts.as_ref());
        match parts.and_then(|parts| parts.delegated.get(checkpoint.as_str())) {
            Some(current) if !drafts.boards.contains_key(checkpoint) => {
                self.put(&Subject::Board(checkpoint.clone()), current.role(), published.as_ref(), expires)
            }
            _ => Ok(()),
        }
    }

    fn amend_targets(
        &self,
        published: Option<&Published>,
        drafts: &Drafts,
        expires: Timestamp,
        files: &Files,
        edit: impl FnOnce(&mut TargetsRole) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let mut role = drafts.next_targets(published).ok_or_else(|| self.none())?.role().clone();
        edit(&mut role)?;
        self.bring(&Subject::Targets, &mut role, files)?;
        self.put(&Subject::Targets, &role, published, expires)
    }
}

fn set_owners(root: &mut RootRole, owners: &Keys, threshold: u32) {
    root.roles.root = RoleKeys::new(owners.iter().copied(), threshold);
    root.roles.targets = root.roles.root.clone();
    keep_root_keys(root, owners);
}

fn set_registry(root: &mut RootRole, registry: &Keys) {
    root.roles.timestamp = RoleKeys::new(registry.iter().copied(), 1);
    root.roles.snapshot = root.roles.timestamp.clone();
    keep_root_keys(root, registry);
}

fn keep_root_keys(root: &mut RootRole, new: &Keys) {
    let roles = &root.roles;
    let all = [&roles.root, &roles.timestamp, &roles.snapshot, &roles.targets];
    let used = all.iter().flat_map(|role| role.keyids.iter().cloned()).collect();
    keep_keys(&mut root.keys, new, &used);
}
