//! The keys that may propose a change of a role. A proposal is valid only if one of them signed it: no other draft is passed on,
//! displayed as theirs, or built upon (promise P9).

use std::collections::BTreeSet;

use super::drafts::Drafts;
use super::published::PublishedCatalogue;
use super::{Proposer, RepositoryError, Subject};
use crate::catalogue::document::TopRole;
use crate::catalogue::schema::{Role, RootRole, TargetsRole};
use crate::catalogue::trusted::delegations;
use crate::catalogue::{Document, Keyring};
use crate::identity::{KeyId, VerifyingKey};

type Keys = BTreeSet<VerifyingKey>;

/// The keys that may propose a change of `subject`: for root and targets the owners; for a checkpoint's files its board, and the owners,
/// who propose them again when they change the board's members. Before the first publication, the owners are those that the first root
/// names.
pub(super) fn proposers(
    subject: &Subject,
    drafts: &Drafts,
    published: Option<&PublishedCatalogue>,
) -> Result<Keys, RepositoryError> {
    let root = published.map(|published| &published.root).or(drafts.root.as_ref());
    let mut keys = root.map(owners).transpose()?.unwrap_or_default();
    if let Subject::Board(name) = subject {
        let targets = [published.and_then(PublishedCatalogue::targets), drafts.targets.as_ref()];
        for targets in targets.into_iter().flatten() {
            for delegation in delegations(targets).filter(|delegation| delegation.name == *name) {
                keys.extend(Keyring::from_delegation(targets, delegation)?.quorum().keys());
            }
        }
    }
    Ok(keys)
}

/// The owners that a root names.
pub(super) fn owners(root: &Document<RootRole>) -> Result<Keys, RepositoryError> {
    Ok(Keyring::from_root(root, TopRole::Root)?.quorum().keys().clone())
}

/// Requires that one of `proposers` signed the proposal, and the submitter, if it is known.
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
        None if signed.is_empty() => "any key that may propose it".to_owned(),
        _ => return Ok(()),
    };
    Err(RepositoryError::Unsigned { role: subject.to_string(), who })
}

impl Proposer {
    /// Requires that the proposer may propose a change of `subject`.
    pub(super) fn require_say(
        &self,
        subject: &Subject,
        drafts: &Drafts,
        published: Option<&PublishedCatalogue>,
    ) -> Result<(), RepositoryError> {
        if proposers(subject, drafts, published)?.contains(&self.key) {
            return Ok(());
        }
        Err(RepositoryError::MayNotPropose { role: subject.to_string() })
    }

    /// Returns the metadata that a change builds on: the open proposal, if the proposer signed it or named its digest; otherwise the
    /// published metadata. So a proposer never signs another person's proposal unknowingly.
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
        Err(RepositoryError::AlreadyProposed { role: subject.to_string(), digest: open.digest() })
    }

    /// As [`Self::base`], for the targets.
    pub(super) fn base_targets<'a>(
        &self,
        drafts: &'a Drafts,
        published: Option<&'a PublishedCatalogue>,
    ) -> Result<Option<&'a Document<TargetsRole>>, RepositoryError> {
        let published = published.and_then(PublishedCatalogue::targets);
        self.base(&Subject::Targets, drafts.targets.as_ref(), published)
    }

    /// As [`Self::base`], for the root.
    pub(super) fn base_root<'a>(
        &self,
        drafts: &'a Drafts,
        published: Option<&'a PublishedCatalogue>,
    ) -> Result<Option<&'a Document<RootRole>>, RepositoryError> {
        let published = published.map(|published| &published.root);
        self.base(&Subject::Root, drafts.root.as_ref(), published)
    }
}
