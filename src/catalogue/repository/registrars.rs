//! Changes of an organization's registrars, in the owners' targets.

use super::change::{Files, admit_all};
use super::found::Amendment;
use super::{Proposer, Repository, RepositoryError};
use crate::catalogue::{Organizations, Subject, TargetPath};
use crate::identity::VerifyingKey;
use crate::name::Label;
use crate::statement::Envelope;
use crate::time::Timestamp;

impl Repository {
    /// Proposes additional registrars of an organization, with their cards. The owners must sign it.
    ///
    /// # Errors
    /// [`RepositoryError::NoChange`], [`RepositoryError::NamedTwice`], [`RepositoryError::MayNotPropose`],
    /// [`RepositoryError::AlreadyProposed`], [`RepositoryError::NotFound`]; [`RepositoryError::Catalogue`] if there are too many
    /// registrars.
    pub fn add_registrars(
        &self,
        organization: &Label,
        registrars: &[Envelope],
        by: &Proposer,
        expires: Timestamp,
    ) -> Result<(), RepositoryError> {
        let mut files = Files::new();
        let keys = admit_all(&role(organization), registrars, &mut files)?;
        self.amend_organizations(by, expires, files, |organizations| {
            match organizations.add(organization.clone(), keys) {
                true => Ok(()),
                false => Err(RepositoryError::NoChange { role: role(organization) }),
            }
        })
    }

    /// Proposes to remove registrars, and an organization with its last one. Their affiliations become invalid when the change is
    /// published.
    ///
    /// # Errors
    /// [`RepositoryError::NotIn`], [`RepositoryError::MayNotPropose`], [`RepositoryError::AlreadyProposed`], [`RepositoryError::NotFound`].
    pub fn remove_registrars(
        &self,
        organization: &Label,
        registrars: &[VerifyingKey],
        by: &Proposer,
        expires: Timestamp,
    ) -> Result<(), RepositoryError> {
        self.amend_organizations(by, expires, Files::new(), |organizations| {
            for key in registrars {
                if !organizations.remove(organization, |known| known == key) {
                    let name = format!("the key {}", key.id().short());
                    return Err(RepositoryError::NotIn { name, quorum: role(organization) });
                }
            }
            Ok(())
        })
    }

    fn organizations_in(
        &self,
        targets: &crate::catalogue::schema::TargetsRole,
    ) -> Result<Organizations, RepositoryError> {
        let path = TargetPath::organizations();
        let Some(listed) = targets.targets.get(&path) else { return Ok(Organizations::default()) };
        let digest = listed.hashes.sha256;
        let bytes = self.file(&Subject::Targets, &path, digest, listed.length)?;
        let bytes = bytes.ok_or_else(|| RepositoryError::MissingFile { path: path.to_string(), digest })?;
        Ok(Organizations::parse(&bytes)?)
    }

    fn amend_organizations(
        &self,
        by: &Proposer,
        expires: Timestamp,
        mut files: Files,
        edit: impl FnOnce(&mut Organizations) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let base = by.base_targets(&drafts, published.as_ref())?.ok_or_else(|| self.none())?;
        let mut organizations = self.organizations_in(base.role())?;
        edit(&mut organizations)?;
        files.insert(TargetPath::organizations(), organizations.to_bytes()?);
        self.amend_targets(published.as_ref(), &drafts, Amendment { expires, files: &files, by }, |_| Ok(()))
    }
}

fn role(organization: &Label) -> String {
    format!("the registrars of {organization}")
}
