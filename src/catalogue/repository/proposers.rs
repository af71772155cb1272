//! Who may propose a change of a role. A proposal counts as one only if one of them signed it: nobody else's draft is handed on, shown
//! as theirs, or built upon (promise P9).

use std::collections::BTreeSet;

use super::drafts::Drafts;
use super::published::Published;
use super::{Proposer, RepositoryError, Subject};
use crate::catalogue::document::TopRole;
use crate::catalogue::schema::{Role, RootRole, TargetsRole};
use crate::catalogue::trusted::delegations;
use crate::catalogue::{Document, Keyring};
use crate::identity::{KeyId, VerifyingKey};

type Keys = BTreeSet<VerifyingKey>;

/// Who may propose a change of `subject`: of root and targets the owners; of a checkpoint's files its board, and the owners, who propose
/// them anew where they change the board's members. Before anything is published, the owners are those whom the first root names.
pub(super) fn proposers(
    subject: &Subject,
    drafts: &Drafts,
    published: Option<&Published>,
) -> Result<Keys, RepositoryError> {
    let root = published.map(|published| &published.root).or(drafts.root.as_ref());
    let mut keys = root.map(owners).transpose()?.unwrap_or_default();
    if let Subject::Board(name) = subject {
        let targets = [published.and_then(Published::targets), drafts.targets.as_ref()];
        for targets in targets.into_iter().flatten() {
            for delegation in delegations(targets).filter(|delegation| delegation.name == *name) {
                keys.extend(Keyring::of_delegation(targets, delegation)?.quorum().keys());
            }
        }
    }
    Ok(keys)
}

/// The owners whom a root names.
pub(super) fn owners(root: &Document<RootRole>) -> Result<Keys, RepositoryError> {
    Ok(Keyring::of(root, TopRole::Root)?.quorum().keys().clone())
}

/// Refuses a proposal that none of `proposers` signed, or not the one who brings it, where that is known.
pub(super) fn require_signed<T: Role>(
    subject: &Subject,
    offered: &Document<T>,
    proposers: &Keys,
    by: Option<KeyId>,
) -> Result<(), RepositoryError> {
    let signed = offered.signed_by(proposers);
    let who = match by {
        Some(by) if !signed.iter().any(|key| key.id() == by) => {
            format!("the key {by}, which proposes it")
        }
        None if signed.is_empty() => "anybody who may propose it".to_owned(),
        _ => return Ok(()),
    };
    Err(RepositoryError::Unsigned { role: subject.to_string(), who })
}

impl Proposer {
    /// Refuses those who have no say in `subject`.
    pub(super) fn require_say(
        &self,
        subject: &Subject,
        drafts: &Drafts,
        published: Option<&Published>,
    ) -> Result<(), RepositoryError> {
        if proposers(subject, drafts, published)?.contains(&self.key) {
            return Ok(());
        }
        Err(RepositoryError::MayNotPropose { role: subject.to_string() })
    }

    /// What a change of a role builds on: the open proposal, if they signed it or named its digest; otherwise what is published.
    /// Nobody signs what somebody else proposed by proposing something of their own.
    pub(super) fn base<'a, T: Role>(
        &self,
        subject: &Subject,
        open: Option<&'a Document<T>>,
        published: Option<&'a Document<T>>,
    ) -> Result<Option<&'a Document<T>>, RepositoryError> {
        let Some(open) = open else { return Ok(published) };
        let is_theirs = !open.signed_by(&BTreeSet::from([self.key])).is_empty();
        if is_theirs || self.onto.contains(&open.digest()) {
            return Ok(Some(open));
        }
        Err(RepositoryError::Open { role: subject.to_string(), digest: open.digest() })
    }

    /// What a change of targets builds on.
    pub(super) fn base_targets<'a>(
        &self,
        drafts: &'a Drafts,
        published: Option<&'a Published>,
    ) -> Result<Option<&'a Document<TargetsRole>>, RepositoryError> {
        let published = published.and_then(Published::targets);
        self.base(&Subject::Targets, drafts.targets.as_ref(), published)
    }

    /// What a change of root builds on.
    pub(super) fn base_root<'a>(
        &self,
        drafts: &'a Drafts,
        published: Option<&'a Published>,
    ) -> Result<Option<&'a Document<RootRole>>, RepositoryError> {
        let published = published.map(|published| &published.root);
        self.base(&Subject::Root, drafts.root.as_ref(), published)
    }
}
