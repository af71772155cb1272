//! The published catalogue: verified from the first root on; expiry is ignored, since keepers must renew expired metadata.

use super::{Repository, RepositoryError, Subject};
use crate::catalogue::document::TopRole;
use crate::catalogue::schema::{Role, RootRole, SnapshotRole, TargetsRole, TimestampRole};
use crate::catalogue::trusted::{Delegated, Parts, delegations};
use crate::catalogue::{CheckpointFile, Document, Error, Folder, Keyring, Remote as _, verify};
use crate::name::CheckpointId;
use crate::statement::CatalogueId;

/// Maximum number of roots, more than any catalogue has.
const MAX_ROOTS: u64 = 10_000;
/// Longest accepted policy, in bytes.
const MAX_POLICY: u64 = 64 * 1024;

/// The published roots, and the other metadata once the first publication is complete.
#[derive(Debug, Clone)]
pub(super) struct PublishedCatalogue {
    pub(super) id: CatalogueId,
    pub(super) root: Document<RootRole>,
    pub(super) parts: Option<Parts>,
}

impl PublishedCatalogue {
    pub(super) fn targets(&self) -> Option<&Document<TargetsRole>> {
        self.parts.as_ref().map(|parts| &parts.targets)
    }
}

impl Repository {
    /// Reads the published catalogue, or returns `None` if nothing is published.
    pub(super) fn published(&self) -> Result<Option<PublishedCatalogue>, RepositoryError> {
        let Some(bytes) = self.fetch::<RootRole>(&verify::root_file(1))? else {
            return Ok(None);
        };
        let mut root = verify::first_root(&verify::root_file(1), bytes)?;
        let id = CatalogueId::new(root.digest());
        let mut before = None;
        while root.version() < MAX_ROOTS
            && let Some(bytes) = self.fetch::<RootRole>(&verify::root_file(root.version() + 1))?
        {
            let next = verify::next_root(&root, bytes)?;
            before = Some(std::mem::replace(&mut root, next));
        }
        let parts = match (self.parts(&root), before) {
            // A publication that changes keys was killed between root and timestamp: the other files still belong to the old root.
            (Err(Error::Threshold { .. }), Some(before)) => self.parts(&before)?,
            (parts, _) => parts?,
        };
        Ok(Some(PublishedCatalogue { id, root, parts }))
    }

    /// Returns all policies of a checkpoint that were ever published here and whose files still exist with the right digest, in any order.
    ///
    /// # Errors
    /// [`RepositoryError::Catalogue`] if the folder cannot be read.
    pub fn published_policies(&self, checkpoint: &CheckpointId) -> Result<Vec<Vec<u8>>, RepositoryError> {
        let folder = self.folder.join("targets").join(checkpoint.as_str());
        let ending = format!(".{}", CheckpointFile::Policy.name());
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", &folder)(error).into()),
        };
        let mut texts = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::io("read", &folder))?.file_name();
            let digest = name.to_str().and_then(|name| name.strip_suffix(&ending)?.parse().ok());
            let Some(digest) = digest else { continue };
            let path = CheckpointFile::Policy.target_path(checkpoint);
            if let Some(text) = self.file(&Subject::Board(checkpoint.clone()), &path, digest, MAX_POLICY)? {
                texts.push(text);
            }
        }
        Ok(texts)
    }

    fn fetch<T: Role>(&self, file: &str) -> Result<Option<Vec<u8>>, Error> {
        Folder::new(&self.folder).fetch(&format!("metadata/{file}"), T::MAX_BYTES)
    }

    fn require<T: Role>(&self, file: &str) -> Result<Vec<u8>, Error> {
        self.fetch::<T>(file)?.ok_or_else(|| Error::Missing { file: file.to_owned() })
    }

    fn parts(&self, root: &Document<RootRole>) -> Result<Option<Parts>, Error> {
        let Some(bytes) = self.fetch::<TimestampRole>("timestamp.json")? else {
            return Ok(None);
        };
        let timestamp = verify::next_timestamp(root, None, bytes)?;
        let listed = &timestamp.role().meta.snapshot;
        let bytes = self.require::<SnapshotRole>(&verify::snapshot_file(listed.version))?;
        let snapshot = verify::next_snapshot(root, listed, None, bytes)?;
        let targets = self.role("targets", &Keyring::from_root(root, TopRole::Targets)?, &snapshot)?;
        let targets = targets.ok_or_else(|| Error::Missing { file: "targets.json".to_owned() })?;
        let mut delegated = Delegated::new();
        for delegation in delegations(&targets) {
            let keyring = Keyring::from_delegation(&targets, delegation)?;
            if let Some(document) = self.role(&delegation.name.file_stem(), &keyring, &snapshot)? {
                delegated.entry(delegation.name.clone()).or_insert(document);
            }
        }
        let closed = Default::default();
        Ok(Some(Parts { root: root.clone(), timestamp, snapshot, targets, delegated, closed }))
    }

    fn role(
        &self,
        name: &str,
        keyring: &Keyring,
        snapshot: &Document<SnapshotRole>,
    ) -> Result<Option<Document<TargetsRole>>, Error> {
        let Some(listed) = snapshot.role().meta.get(&format!("{name}.json")) else {
            return Ok(None);
        };
        let file = verify::targets_file(name, listed.version);
        let bytes = self.require::<TargetsRole>(&file)?;
        verify::next_targets(keyring, &file, listed, bytes).map(Some)
    }
}
