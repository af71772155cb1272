//! Open proposals: at most one draft of metadata for each role, with its new files.

use std::collections::BTreeMap;

use super::change::{Files, list};
use super::published::PublishedCatalogue;
use super::{Repository, RepositoryError, Subject};
use crate::catalogue::schema::{Role, RootRole, TargetsRole};
use crate::catalogue::trusted::delegations;
use crate::catalogue::{Document, durable};
use crate::name::CheckpointId;
use crate::statement::CatalogueId;
use crate::time::Timestamp;

/// All open proposals with the signatures that they have.
#[derive(Debug, Clone, Default)]
pub(super) struct Drafts {
    pub(super) root: Option<Document<RootRole>>,
    pub(super) targets: Option<Document<TargetsRole>>,
    pub(super) boards: BTreeMap<CheckpointId, Document<TargetsRole>>,
}

impl Drafts {
    /// The targets after all proposals are published.
    pub(super) fn next_targets<'a>(
        &'a self,
        published: Option<&'a PublishedCatalogue>,
    ) -> Option<&'a Document<TargetsRole>> {
        self.targets.as_ref().or_else(|| published?.targets())
    }

    pub(super) fn next_root<'a>(
        &'a self,
        published: Option<&'a PublishedCatalogue>,
    ) -> Option<&'a Document<RootRole>> {
        self.root.as_ref().or(published.map(|published| &published.root))
    }
}

/// The version after the published one.
fn next(published: Option<u64>) -> u64 {
    published.map_or(1, |version| version.saturating_add(1))
}

impl Repository {
    /// Returns the version that a change of `subject` must have.
    pub(super) fn next_version(published: Option<&PublishedCatalogue>, subject: &Subject) -> u64 {
        let parts = published.and_then(|published| published.parts.as_ref());
        next(match subject {
            Subject::Root => published.map(|published| published.root.version()),
            Subject::Targets => parts.map(|parts| parts.targets.version()),
            Subject::Board(id) => parts.and_then(|parts| {
                // A board that was removed and added again continues its versions: clients store them.
                let listed = parts.snapshot.role().meta.get(&format!("{id}.json"));
                listed.map(|listed| listed.version)
            }),
        })
    }

    /// Returns the catalogue that a change of `subject` must name; `None` for the first root, and before one exists.
    pub(super) fn catalogue(
        &self,
        published: Option<&PublishedCatalogue>,
        subject: &Subject,
    ) -> Result<Option<CatalogueId>, RepositoryError> {
        Ok(match (published, subject) {
            (Some(published), _) => Some(published.id),
            (None, Subject::Root) => None,
            (None, _) => {
                let root: Option<Document<RootRole>> = self.draft(None, &Subject::Root)?;
                root.map(|root| CatalogueId::new(root.digest()))
            }
        })
    }

    /// Reads the open proposals. Files whose version does not follow the published one are leftovers and ignored.
    pub(super) fn drafts(&self, published: Option<&PublishedCatalogue>) -> Result<Drafts, RepositoryError> {
        let mut drafts = Drafts {
            root: self.draft(published, &Subject::Root)?,
            targets: self.draft(published, &Subject::Targets)?,
            boards: BTreeMap::new(),
        };
        let names: Vec<_> = drafts
            .next_targets(published)
            .iter()
            .flat_map(|targets| delegations(targets).filter_map(|delegation| delegation.name.checkpoint()))
            .collect();
        for name in names {
            if let Some(draft) = self.draft(published, &Subject::Board(name.clone()))? {
                drafts.boards.insert(name, draft);
            }
        }
        Ok(drafts)
    }

    fn draft<T: Role>(
        &self,
        published: Option<&PublishedCatalogue>,
        subject: &Subject,
    ) -> Result<Option<Document<T>>, RepositoryError> {
        let name = format!("proposals/{subject}/{subject}.json");
        let Some(bytes) = durable::read(&self.folder.join(&name), &name, T::MAX_BYTES)? else {
            return Ok(None);
        };
        let document = Document::parse(&name, bytes)?;
        let catalogue = self.catalogue(published, subject)?;
        Ok(Some(document).filter(|draft| {
            draft.version() == Self::next_version(published, subject) && draft.catalogue() == catalogue
        }))
    }

    /// Writes a proposal in place of an earlier one, whose signatures are lost if the content differs.
    pub(super) fn put<T: Role + PartialEq>(
        &self,
        subject: &Subject,
        role: &T,
        published: Option<&PublishedCatalogue>,
        expires: Timestamp,
    ) -> Result<(), RepositoryError> {
        let version = Self::next_version(published, subject);
        let catalogue = self.catalogue(published, subject)?;
        let document = Document::new_unsigned(&format!("{subject}.json"), role, version, expires, catalogue)?;
        Ok(self.keep(subject, &document)?)
    }

    pub(super) fn keep<T: Role>(
        &self,
        subject: &Subject,
        document: &Document<T>,
    ) -> Result<(), crate::catalogue::Error> {
        durable::write(&self.proposal(subject).join(format!("{subject}.json")), document.bytes())
    }

    /// Lists files in a role and stores them beside its proposal.
    pub(super) fn bring(
        &self,
        subject: &Subject,
        role: &mut TargetsRole,
        files: &Files,
    ) -> Result<(), RepositoryError> {
        list(role, files);
        for (path, bytes) in files {
            let path = path.consistent(crate::digest::Sha256Digest::compute(bytes));
            durable::write(&self.proposal(subject).join("targets").join(path), bytes)?;
        }
        Ok(())
    }

    /// Withdraws a proposal.
    ///
    /// # Errors
    /// [`RepositoryError::NoProposal`].
    pub fn withdraw(&self, subject: &Subject) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        if !self.proposal(subject).is_dir() {
            return Err(RepositoryError::NoProposal { role: subject.to_string() });
        }
        Ok(durable::remove(&self.proposal(subject))?)
    }
}
