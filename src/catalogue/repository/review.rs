//! What proposals would change, and how the catalogue stands, as data for people.

use std::collections::{BTreeMap, BTreeSet};

use super::drafts::Drafts;
use super::published::Published;
use super::sign::{Standing, standings};
use super::{Repository, RepositoryError, Roster, Subject};
use crate::catalogue::document::TopRole;
use crate::catalogue::schema::{RootRole, TargetsRole};
use crate::catalogue::target::TargetPath;
use crate::catalogue::trusted::delegations;
use crate::catalogue::{CheckpointFile, Document, Keyring, RoleSummary, TargetFile, TrustedCatalogue};
use crate::name::CheckpointId;
use crate::statement::{Envelope, Quorum, verify_card};
use crate::time::Timestamp;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file comes, goes, or is replaced; with its bytes where they are to be had.
    File {
        /// Its path.
        path: TargetPath,
        /// What is published.
        before: Option<(TargetFile, Option<Vec<u8>>)>,
        /// What would be.
        after: Option<(TargetFile, Option<Vec<u8>>)>,
    },
    /// Others sign, or more, or fewer.
    Signers {
        /// Who signs now.
        before: Option<Quorum>,
        /// Who would.
        after: Option<Quorum>,
    },
    /// It expires at another time.
    Expiry {
        /// When what is published does.
        before: Option<Timestamp>,
        /// When it would.
        after: Timestamp,
    },
}

/// One proposal: what it changes, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// What it changes.
    pub changes: Vec<Change>,
    /// How far it is.
    pub standing: Standing,
}

/// How the catalogue stands.
#[derive(Debug, Clone)]
pub struct Status {
    /// Every published role; empty before the first publication.
    pub roles: Vec<RoleSummary>,
    /// The boards as they are published.
    pub boards: BTreeMap<CheckpointId, Quorum>,
    /// Open proposals.
    pub open: Vec<Standing>,
    /// Names of those who have a key.
    pub roster: Roster,
}

impl Repository {
    /// What every open proposal changes.
    ///
    /// # Errors
    /// What is wrong with the catalogue or a proposal.
    pub fn review(&self) -> Result<Vec<Review>, RepositoryError> {
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let mut reviews = Vec::new();
        for standing in standings(&drafts, published.as_ref())? {
            let mut changes = self.changes(&standing.subject, &drafts, published.as_ref())?;
            let before = expiry(&standing.subject, published.as_ref());
            changes.push(Change::Expiry { before, after: standing.expires });
            reviews.push(Review { changes, standing });
        }
        Ok(reviews)
    }

    /// The published roles, the open proposals, the names.
    ///
    /// # Errors
    /// [`RepositoryError::None`]; what is wrong with the catalogue or a proposal.
    pub fn status(&self) -> Result<Status, RepositoryError> {
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let open = standings(&drafts, published.as_ref())?;
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

    /// The cards that the catalogue holds or is about to, by key.
    ///
    /// # Errors
    /// What is wrong with the catalogue or a proposal.
    pub fn roster(&self) -> Result<Roster, RepositoryError> {
        let published = self.published()?;
        self.roster_of(&self.drafts(published.as_ref())?, published.as_ref())
    }

    /// The boards as they will be, if all that is proposed comes true.
    ///
    /// # Errors
    /// What is wrong with the catalogue or a proposal.
    pub fn boards(&self) -> Result<BTreeMap<CheckpointId, Quorum>, RepositoryError> {
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let mut boards = BTreeMap::new();
        if let Some(targets) = drafts.next_targets(published.as_ref()) {
            for delegation in delegations(targets) {
                let quorum = Keyring::of_delegation(targets, delegation)?.quorum().clone();
                boards.extend(delegation.name.checkpoint().map(|name| (name, quorum)));
            }
        }
        Ok(boards)
    }

    /// A checkpoint's file as it is published.
    ///
    /// # Errors
    /// What is wrong with the catalogue.
    pub fn published_file(
        &self,
        checkpoint: &CheckpointId,
        file: CheckpointFile,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let published = self.published()?;
        let parts = published.as_ref().and_then(|published| published.parts.as_ref());
        self.file_of(checkpoint, file, parts.and_then(|parts| parts.delegated.get(checkpoint.as_str())))
    }

    /// A checkpoint's file as it is proposed, or else published.
    ///
    /// # Errors
    /// What is wrong with the catalogue or a proposal.
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
        let path = file.of(checkpoint);
        let Some(listed) = role.and_then(|role| role.role().targets.get(&path)) else {
            return Ok(None);
        };
        self.file(&Subject::Board(checkpoint.clone()), &path, listed.hashes.sha256, listed.length)
    }

    fn roster_of(&self, drafts: &Drafts, published: Option<&Published>) -> Result<Roster, RepositoryError> {
        let mut roster = Roster::new();
        let Some(targets) = drafts.next_targets(published) else {
            return Ok(roster);
        };
        for (path, file) in
            targets.role().targets.iter().filter(|(path, _)| path.as_str().starts_with("cards/"))
        {
            let bytes = self.file(&Subject::Targets, path, file.hashes.sha256, file.length)?;
            // Names are a courtesy here: a card that cannot be read leaves its owner a key id.
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
        published: Option<&Published>,
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
            root.map(|root| Keyring::of(root, role).map(|ring| ring.quorum().clone())).transpose()
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
        let ring = Keyring::of_delegation(targets, delegation)?;
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

fn expiry(subject: &Subject, published: Option<&Published>) -> Option<Timestamp> {
    let published = published?;
    let parts = published.parts.as_ref();
    match subject {
        Subject::Root => Some(published.root.expires()),
        Subject::Targets => parts.map(|parts| parts.targets.expires()),
        Subject::Board(name) => parts?.delegated.get(name.as_str()).map(Document::expires),
    }
}
