//! What proposals would change, and the status of the catalogue, as data for display.

use std::collections::{BTreeMap, BTreeSet};

use super::drafts::Drafts;
use super::published::PublishedCatalogue;
use super::sign::{ProposalStatus, proposal_statuses};
use super::{Repository, RepositoryError, Roster, Subject};
use crate::catalogue::document::TopRole;
use crate::catalogue::schema::{RootRole, TargetsRole};
use crate::catalogue::target::TargetPath;
use crate::catalogue::trusted::delegations;
use crate::catalogue::{CheckpointFile, Document, Keyring, RoleSummary, TargetFile, TrustedCatalogue};
use crate::name::CheckpointId;
use crate::statement::{Envelope, Quorum, verify_card};
use crate::time::Timestamp;

/// A change to one part of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file is added, removed or replaced; with its bytes if they are available.
    File {
        /// The file's path.
        path: TargetPath,
        /// The published bytes.
        before: Option<(TargetFile, Option<Vec<u8>>)>,
        /// The proposed bytes.
        after: Option<(TargetFile, Option<Vec<u8>>)>,
    },
    /// The keys or the threshold of a role change.
    Signers {
        /// The published quorum.
        before: Option<Quorum>,
        /// The proposed quorum.
        after: Option<Quorum>,
    },
    /// The expiry changes.
    Expiry {
        /// The published expiry.
        before: Option<Timestamp>,
        /// The proposed expiry.
        after: Timestamp,
    },
}

/// An open proposal: its changes and its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The changes to the published metadata.
    pub changes: Vec<Change>,
    /// The signatures so far.
    pub standing: ProposalStatus,
}

/// The status of a catalogue.
#[derive(Debug, Clone)]
pub struct Status {
    /// The published roles; empty before the first publication.
    pub roles: Vec<RoleSummary>,
    /// The published boards.
    pub boards: BTreeMap<CheckpointId, Quorum>,
    /// The open proposals.
    pub open: Vec<ProposalStatus>,
    /// The cards of the keys in the catalogue.
    pub roster: Roster,
}

impl Repository {
    /// Compares all open proposals with the published metadata.
    ///
    /// # Errors
    /// An invalid catalogue or proposal.
    pub fn review(&self) -> Result<Vec<Review>, RepositoryError> {
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let mut reviews = Vec::new();
        for standing in proposal_statuses(&drafts, published.as_ref())? {
            let mut changes = self.changes(&standing.subject, &drafts, published.as_ref())?;
            let before = expiry(&standing.subject, published.as_ref());
            changes.push(Change::Expiry { before, after: standing.expires });
            reviews.push(Review { changes, standing });
        }
        Ok(reviews)
    }

    /// Returns the published roles, the open proposals and the cards.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`]; an invalid catalogue or proposal.
    pub fn status(&self) -> Result<Status, RepositoryError> {
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let open = proposal_statuses(&drafts, published.as_ref())?;
        if published.is_none() && open.is_empty() {
            return Err(self.none());
        }
        let whole = published.as_ref().and_then(|published| Some((published.id, published.parts.clone()?)));
        let catalogue = whole.map(|(id, parts)| TrustedCatalogue::new(id, parts, None)).transpose()?;
        let roles = catalogue.as_ref().map(TrustedCatalogue::roles).transpose()?.unwrap_or_default();
        let boards = catalogue.map(|catalogue| catalogue.boards().clone()).unwrap_or_default();
        let roster = self.roster_of(&drafts, published.as_ref())?;
        Ok(Status { roles, boards, open, roster })
    }

    /// Returns the published and proposed cards by key.
    ///
    /// # Errors
    /// An invalid catalogue or proposal.
    pub fn roster(&self) -> Result<Roster, RepositoryError> {
        let published = self.published()?;
        self.roster_of(&self.drafts(published.as_ref())?, published.as_ref())
    }

    /// Returns the boards after all proposals are published.
    ///
    /// # Errors
    /// An invalid catalogue or proposal.
    pub fn boards(&self) -> Result<BTreeMap<CheckpointId, Quorum>, RepositoryError> {
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let mut boards = BTreeMap::new();
        if let Some(targets) = drafts.next_targets(published.as_ref()) {
            for delegation in delegations(targets) {
                let quorum = Keyring::from_delegation(targets, delegation)?.quorum().clone();
                boards.extend(delegation.name.checkpoint().map(|name| (name, quorum)));
            }
        }
        Ok(boards)
    }

    /// Returns the published bytes of a checkpoint's file.
    ///
    /// # Errors
    /// An invalid catalogue.
    pub fn published_file(
        &self,
        checkpoint: &CheckpointId,
        file: CheckpointFile,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let published = self.published()?;
        let parts = published.as_ref().and_then(|published| published.parts.as_ref());
        self.file_of(checkpoint, file, parts.and_then(|parts| parts.delegated.get(checkpoint.as_str())))
    }

    /// Returns the proposed bytes of a checkpoint's file, or the published ones if no proposal changes it.
    ///
    /// # Errors
    /// An invalid catalogue or proposal.
    pub fn proposed_file(
        &self,
        checkpoint: &CheckpointId,
        file: CheckpointFile,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        match drafts.boards.get(checkpoint) {
            Some(draft) => self.file_of(checkpoint, file, Some(draft)),
            None => self.published_file(checkpoint, file),
        }
    }

    fn file_of(
        &self,
        checkpoint: &CheckpointId,
        file: CheckpointFile,
        role: Option<&Document<TargetsRole>>,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let path = file.target_path(checkpoint);
        let Some(listed) = role.and_then(|role| role.role().targets.get(&path)) else {
            return Ok(None);
        };
        self.file(&Subject::Board(checkpoint.clone()), &path, listed.hashes.sha256, listed.length)
    }

    fn roster_of(
        &self,
        drafts: &Drafts,
        published: Option<&PublishedCatalogue>,
    ) -> Result<Roster, RepositoryError> {
        let mut roster = Roster::new();
        let Some(targets) = drafts.next_targets(published) else {
            return Ok(roster);
        };
        for (path, file) in
            targets.role().targets.iter().filter(|(path, _)| path.as_str().starts_with("cards/"))
        {
            let bytes = self.file(&Subject::Targets, path, file.hashes.sha256, file.length)?;
            // Cards only provide names: without a readable card, the key id is displayed.
            let card = bytes.and_then(|bytes| verify_card(&Envelope::parse(&bytes).ok()?).ok());
            if let Some(card) = card.filter(|card| TargetPath::card(&card.verifying_key) == *path) {
                roster.insert(card.verifying_key, card.into_inner());
            }
        }
        Ok(roster)
    }

    fn changes(
        &self,
        subject: &Subject,
        drafts: &Drafts,
        published: Option<&PublishedCatalogue>,
    ) -> Result<Vec<Change>, RepositoryError> {
        let parts = published.and_then(|published| published.parts.as_ref());
        match subject {
            Subject::Root => {
                let after = drafts.root.as_ref();
                root_changes(published.map(|published| &published.root), after)
            }
            Subject::Targets => {
                let (before, after) = (parts.map(|parts| &parts.targets), drafts.targets.as_ref());
                let mut changes = board_changes(before, after)?;
                changes.extend(self.file_changes(subject, before, after)?);
                Ok(changes)
            }
            Subject::Board(name) => {
                let before = parts.and_then(|parts| parts.delegated.get(name.as_str()));
                self.file_changes(subject, before, drafts.boards.get(name))
            }
        }
    }

    fn file_changes(
        &self,
        subject: &Subject,
        before: Option<&Document<TargetsRole>>,
        after: Option<&Document<TargetsRole>>,
    ) -> Result<Vec<Change>, RepositoryError> {
        let none = BTreeMap::new();
        let before = before.map_or(&none, |before| &before.role().targets);
        let after = after.map_or(&none, |after| &after.role().targets);
        let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let mut changes = Vec::new();
        for path in paths {
            let (before, after) = (before.get(path), after.get(path));
            if before == after {
                continue;
            }
            let with_bytes = |file: Option<&TargetFile>| {
                let read = |file: &TargetFile| {
                    let bytes = self.file(subject, path, file.hashes.sha256, file.length)?;
                    Ok::<_, RepositoryError>((*file, bytes))
                };
                file.map(read).transpose()
            };
            changes.push(Change::File {
                path: path.clone(),
                before: with_bytes(before)?,
                after: with_bytes(after)?,
            });
        }
        Ok(changes)
    }
}

fn root_changes(
    before: Option<&Document<RootRole>>,
    after: Option<&Document<RootRole>>,
) -> Result<Vec<Change>, RepositoryError> {
    let mut changes = Vec::new();
    for role in [TopRole::Root, TopRole::Targets, TopRole::Snapshot, TopRole::Timestamp] {
        let quorum = |root: Option<&Document<RootRole>>| {
            root.map(|root| Keyring::from_root(root, role).map(|ring| ring.quorum().clone())).transpose()
        };
        push_signers(&mut changes, quorum(before)?, quorum(after)?);
    }
    Ok(changes)
}

fn board_changes(
    before: Option<&Document<TargetsRole>>,
    after: Option<&Document<TargetsRole>>,
) -> Result<Vec<Change>, RepositoryError> {
    let (before, after) = (boards(before)?, boards(after)?);
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        push_signers(&mut changes, before.get(name).cloned(), after.get(name).cloned());
    }
    Ok(changes)
}

fn boards(
    targets: Option<&Document<TargetsRole>>,
) -> Result<BTreeMap<CheckpointId, Quorum>, RepositoryError> {
    let mut boards = BTreeMap::new();
    for (targets, delegation) in
        targets.iter().flat_map(|targets| delegations(targets).map(move |delegation| (targets, delegation)))
    {
        let ring = Keyring::from_delegation(targets, delegation)?;
        if let Some(checkpoint) = delegation.name.checkpoint() {
            boards.entry(checkpoint).or_insert_with(|| ring.quorum().clone());
        }
    }
    Ok(boards)
}

fn push_signers(changes: &mut Vec<Change>, before: Option<Quorum>, after: Option<Quorum>) {
    if before != after {
        changes.push(Change::Signers { before, after });
    }
}

fn expiry(subject: &Subject, published: Option<&PublishedCatalogue>) -> Option<Timestamp> {
    let published = published?;
    let parts = published.parts.as_ref();
    match subject {
        Subject::Root => Some(published.root.expires()),
        Subject::Targets => parts.map(|parts| parts.targets.expires()),
        Subject::Board(name) => parts?.delegated.get(name.as_str()).map(Document::expires),
    }
}
