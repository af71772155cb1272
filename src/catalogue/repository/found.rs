//! Proposals: a new catalogue, new files of a checkpoint, new keys.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{
    BoardPlan, Files, Founding, Proposer, Rotation, Signers, admit, admit_all, delegate, keep_keys, list,
    require_quorum, rotated,
};
use super::drafts::Drafts;
use super::published::PublishedCatalogue;
use super::{Repository, RepositoryError, Subject};
use crate::catalogue::document::{TopRole, board_name};
use crate::catalogue::schema::{RoleKeys, RootRole, TargetsRole, TopLevel};
use crate::catalogue::target::{CheckpointFile, TargetPath};
use crate::catalogue::trusted::delegations;
use crate::catalogue::{Document, Keyring};
use crate::identity::VerifyingKey;
use crate::name::CheckpointId;
use crate::statement::Envelope;
use crate::time::Timestamp;

type Keys = BTreeSet<VerifyingKey>;

const OWNERS: &str = "the owners";

impl Repository {
    /// Proposes a new catalogue: version 1 of root and targets, which the owners must sign. Until it is published, it can be proposed
    /// again: a different proposal by the same person replaces the earlier one; another person's is replaced only if its digest is named.
    ///
    /// # Errors
    /// [`RepositoryError::Exists`], [`RepositoryError::AlreadyProposed`], [`RepositoryError::NotAnOwner`], [`RepositoryError::NamedTwice`],
    /// [`RepositoryError::Quorum`], [`RepositoryError::Card`], [`RepositoryError::Reserved`].
    pub fn found(
        &self,
        founding: &Founding,
        by: &Proposer,
        now: Timestamp,
        days: super::Days,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        if self.published()?.is_some() {
            return Err(RepositoryError::Exists { folder: self.name.clone() });
        }
        let open = self.drafts(None)?;
        by.base_root(&open, None)?;
        by.base_targets(&open, None)?;
        let mut files = Files::new();
        let owners = admit_all(OWNERS, &founding.owners, &mut files)?;
        require_quorum(OWNERS, &owners, founding.threshold)?;
        if !owners.contains(&by.key) {
            return Err(RepositoryError::NotAnOwner { key: by.key.id() });
        }
        let registry = BTreeSet::from([admit(&founding.registry, &mut files)?.verifying_key]);
        let mut targets = TargetsRole::default();
        for (checkpoint, plan) in &founding.boards {
            let members = admit_all(&board_name(checkpoint), &plan.members, &mut files)?;
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
        list(&mut targets, &files);
        // An identical proposal keeps its signatures.
        let is_root_same = open.root.as_ref().is_some_and(|draft| *draft.role() == root);
        let are_targets_same = open.targets.as_ref().is_some_and(|draft| *draft.role() == targets);
        // The root first: the targets name its digest.
        if !is_root_same {
            self.put(&Subject::Root, &root, None, now.plus_days(days.root))?;
        }
        if is_root_same && are_targets_same {
            return Ok(());
        }
        self.bring(&Subject::Targets, &mut targets, &files)?;
        self.put(&Subject::Targets, &targets, None, now.plus_days(days.targets))
    }

    /// Proposes files of a checkpoint, which its board must sign; without files, only a later expiry.
    ///
    /// # Errors
    /// [`RepositoryError::NoBoard`], [`RepositoryError::MayNotPropose`], [`RepositoryError::AlreadyProposed`],
    /// [`RepositoryError::NotFound`].
    pub fn propose(
        &self,
        checkpoint: &CheckpointId,
        files: &BTreeMap<CheckpointFile, Vec<u8>>,
        expires: Timestamp,
        by: &Proposer,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let targets = drafts.next_targets(published.as_ref()).ok_or_else(|| self.none())?;
        if !delegations(targets).any(|delegation| delegation.name == *checkpoint) {
            return Err(no_board(checkpoint, targets));
        }
        let parts = published.as_ref().and_then(|published| published.parts.as_ref());
        let current = parts.and_then(|parts| parts.delegated.get(checkpoint.as_str()));
        let subject = Subject::Board(checkpoint.clone());
        by.require_say(&subject, &drafts, published.as_ref())?;
        let base = by.base(&subject, drafts.boards.get(checkpoint), current)?;
        let mut role = base.map(|base| base.role().clone()).unwrap_or_default();
        let files = files.iter().map(|(file, bytes)| (file.target_path(checkpoint), bytes.clone())).collect();
        self.bring(&subject, &mut role, &files)?;
        self.put(&subject, &role, published.as_ref(), expires)
    }

    /// Proposes files that the owners sign, such as misuse rules; without files, only a later expiry.
    ///
    /// # Errors
    /// [`RepositoryError::MayNotPropose`], [`RepositoryError::AlreadyProposed`], [`RepositoryError::NotFound`].
    pub fn propose_targets(
        &self,
        files: &BTreeMap<TargetPath, Vec<u8>>,
        expires: Timestamp,
        by: &Proposer,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        self.amend_targets(published.as_ref(), &drafts, Amendment { expires, files, by }, |_| Ok(()))
    }

    /// Proposes the current root with a later expiry.
    ///
    /// # Errors
    /// [`RepositoryError::MayNotPropose`], [`RepositoryError::AlreadyProposed`], [`RepositoryError::NotFound`].
    pub fn renew_root(&self, expires: Timestamp, by: &Proposer) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let root = by.base_root(&drafts, published.as_ref())?.ok_or_else(|| self.none())?;
        by.require_say(&Subject::Root, &drafts, published.as_ref())?;
        self.put(&Subject::Root, root.role(), published.as_ref(), expires)
    }

    /// Proposes other owners, or another threshold: a root that the old and the new owners must sign, and targets that the new owners
    /// must sign.
    ///
    /// # Errors
    /// [`RepositoryError::AlreadyIn`], [`RepositoryError::NotIn`], [`RepositoryError::Quorum`].
    pub fn rotate_owners(
        &self,
        rotation: &Rotation,
        by: &Proposer,
        now: Timestamp,
        days: super::Days,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let base = by.base_root(&drafts, published.as_ref())?.ok_or_else(|| self.none())?;
        by.require_say(&Subject::Root, &drafts, published.as_ref())?;
        let ring = Keyring::from_root(base, TopRole::Root)?;
        let before = Signers { keys: ring.quorum().keys(), threshold: base.role().roles.root.threshold };
        let mut files = Files::new();
        let (keys, threshold) = rotated(OWNERS, &before, rotation, &mut files)?;
        let mut root = base.role().clone();
        set_owners(&mut root, &keys, threshold);
        if root == *base.role() {
            return Err(RepositoryError::NoChange { role: OWNERS.to_owned() });
        }
        self.put(&Subject::Root, &root, published.as_ref(), now.plus_days(days.root))?;
        // The new owners must also sign the targets: the old owners' signatures become invalid.
        let amendment = Amendment { expires: now.plus_days(days.targets), files: &files, by };
        self.amend_targets(published.as_ref(), &drafts, amendment, |_| Ok(()))
    }

    /// Proposes another key for the registry.
    ///
    /// # Errors
    /// [`RepositoryError::NoChange`], [`RepositoryError::NotFound`].
    pub fn rotate_registry(
        &self,
        card: &Envelope,
        by: &Proposer,
        now: Timestamp,
        days: super::Days,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let base = by.base_root(&drafts, published.as_ref())?.ok_or_else(|| self.none())?;
        by.require_say(&Subject::Root, &drafts, published.as_ref())?;
        let mut files = Files::new();
        let key = admit(card, &mut files)?.verifying_key;
        let mut root = base.role().clone();
        set_registry(&mut root, &BTreeSet::from([key]));
        if root == *base.role() {
            return Err(RepositoryError::NoChange { role: "the registry's key".to_owned() });
        }
        self.put(&Subject::Root, &root, published.as_ref(), now.plus_days(days.root))?;
        let amendment = Amendment { expires: now.plus_days(days.targets), files: &files, by };
        self.amend_targets(published.as_ref(), &drafts, amendment, |_| Ok(()))
    }

    /// Proposes a board for a checkpoint that has none, or one that policies consult, such as `ethics`.
    ///
    /// # Errors
    /// [`RepositoryError::HasBoard`], [`RepositoryError::NamedTwice`], [`RepositoryError::Quorum`], [`RepositoryError::Reserved`].
    pub fn add_board(
        &self,
        checkpoint: &CheckpointId,
        plan: &BoardPlan,
        by: &Proposer,
        expires: Timestamp,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let base = by.base_targets(&drafts, published.as_ref())?.ok_or_else(|| self.none())?;
        if delegations(base).any(|delegation| delegation.name == *checkpoint) {
            return Err(RepositoryError::HasBoard { checkpoint: checkpoint.to_string() });
        }
        let mut files = Files::new();
        let name = board_name(checkpoint);
        let members = admit_all(&name, &plan.members, &mut files)?;
        require_quorum(&name, &members, plan.threshold)?;
        self.amend_targets(published.as_ref(), &drafts, Amendment { expires, files: &files, by }, |role| {
            delegate(role, checkpoint, &members, plan.threshold)
        })
    }

    /// Proposes other members of a checkpoint's board, or another threshold: targets that the owners must sign, and the checkpoint's
    /// metadata for the new board to sign again, because signatures of former members become invalid.
    ///
    /// # Errors
    /// [`RepositoryError::NoBoard`], [`RepositoryError::AlreadyIn`], [`RepositoryError::NotIn`], [`RepositoryError::Quorum`].
    pub fn rotate_board(
        &self,
        checkpoint: &CheckpointId,
        rotation: &Rotation,
        by: &Proposer,
        now: Timestamp,
        days: super::Days,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let base = by.base_targets(&drafts, published.as_ref())?.ok_or_else(|| self.none())?;
        by.require_say(&Subject::Targets, &drafts, published.as_ref())?;
        let name = board_name(checkpoint);
        let mut files = Files::new();
        let delegation = delegations(base).find(|delegation| delegation.name == *checkpoint);
        let delegation = delegation.ok_or_else(|| no_board(checkpoint, base))?;
        let ring = Keyring::from_delegation(base, delegation)?;
        let before = Signers { keys: ring.quorum().keys(), threshold: delegation.signers.threshold };
        let (keys, threshold) = rotated(&name, &before, rotation, &mut files)?;
        if before == (Signers { keys: &keys, threshold }) {
            return Err(RepositoryError::NoChange { role: name });
        }
        let expires = now.plus_days(days.targets);
        self.amend_targets(published.as_ref(), &drafts, Amendment { expires, files: &files, by }, |role| {
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

    pub(super) fn amend_targets(
        &self,
        published: Option<&PublishedCatalogue>,
        drafts: &Drafts,
        Amendment { expires, files, by }: Amendment<'_>,
        edit: impl FnOnce(&mut TargetsRole) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let mut role = by.base_targets(drafts, published)?.ok_or_else(|| self.none())?.role().clone();
        by.require_say(&Subject::Targets, drafts, published)?;
        edit(&mut role)?;
        self.bring(&Subject::Targets, &mut role, files)?;
        self.put(&Subject::Targets, &role, published, expires)
    }
}

fn no_board(checkpoint: &CheckpointId, targets: &Document<TargetsRole>) -> RepositoryError {
    let known: Vec<_> = delegations(targets).map(|delegation| delegation.name.to_string()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    RepositoryError::NoBoard { checkpoint: checkpoint.to_string(), known }
}

/// A change of the targets: its expiry, its new files and its proposer.
pub(super) struct Amendment<'a> {
    pub(super) expires: Timestamp,
    pub(super) files: &'a Files,
    pub(super) by: &'a Proposer,
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
