//! Earlier states of the catalogue, rebuilt from the metadata in the log, in the order in which it came into force.
//!
//! [`super::Client`] also checks expiry and rollback. An auditor verifies old metadata years later, so here each document only needs the
//! signatures of the keys that the documents before it name.

use std::collections::BTreeMap;

use super::document::TopRole;
use super::schema::{RootRole, SnapshotRole, TargetsRole, TimestampRole};
use super::trusted::{Delegated, Parts, delegations};
use super::{Document, Error, Keyring, RoleName, TrustedCatalogue, verify};
use crate::digest::Sha256Digest;
use crate::statement::{CatalogueId, Quorum};

/// The metadata in force after the documents applied so far.
#[derive(Debug, Clone)]
pub struct History {
    root: Document<RootRole>,
    first_root: Sha256Digest,
    first_root_content: Sha256Digest,
    targets: Option<Document<TargetsRole>>,
    boards: Delegated,
    timestamp: Document<TimestampRole>,
    snapshot: Document<SnapshotRole>,
}

impl History {
    /// Begins at the first root; `files` are the catalogue's current metadata files by name.
    ///
    /// # Errors
    /// [`Error::Missing`]; an invalid root.
    pub fn begin(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, Error> {
        let file = |name: &str| {
            files
                .get(&format!("metadata/{name}"))
                .cloned()
                .ok_or_else(|| Error::Missing { file: name.to_owned() })
        };
        let root = verify::first_root("1.root.json", file("1.root.json")?)?;
        let timestamp: Document<TimestampRole> = Document::parse("timestamp.json", file("timestamp.json")?)?;
        let name = verify::snapshot_file(timestamp.role().meta.snapshot.version);
        let snapshot = Document::parse(&name, file(&name)?)?;
        let (first_root, first_root_content) = (Sha256Digest::compute(root.bytes()), root.digest());
        Ok(Self {
            root,
            first_root,
            first_root_content,
            targets: None,
            boards: Delegated::new(),
            timestamp,
            snapshot,
        })
    }

    /// Returns the digest of the signed part of the first root, which clients store as their root of trust.
    pub fn first_root_content(&self) -> Sha256Digest {
        self.first_root_content
    }

    /// Returns the SHA-256 of the first root's file.
    pub fn first_root(&self) -> Sha256Digest {
        self.first_root
    }

    /// Verifies and applies metadata that came into force.
    ///
    /// # Errors
    /// Invalid metadata; the error names the file.
    pub fn apply(&mut self, file: &str, bytes: &[u8]) -> Result<(), Error> {
        let malformed = || Error::malformed(file, "it is not metadata of a catalogue");
        let stem = file.trim_start_matches("metadata/").strip_suffix(".json");
        let (version, stem) = stem.and_then(|stem| stem.split_once('.')).ok_or_else(malformed)?;
        match stem {
            "root" if version == "1" => {
                verify::require_digest(file, self.first_root, bytes)?;
            }
            "root" => self.root = verify::next_root(&self.root, bytes.to_vec())?,
            "targets" => {
                let document = Document::parse(file, bytes.to_vec())?;
                Keyring::from_root(&self.root, TopRole::Targets)?.verify(&document)?;
                self.require_catalogue(&document, self.targets.as_ref())?;
                self.targets = Some(document);
            }
            stem => {
                let name: RoleName = stem.parse().map_err(|_| malformed())?;
                let targets = self.targets.as_ref().ok_or_else(malformed)?;
                let delegation = delegations(targets).find(|delegation| delegation.name == name);
                let delegation = delegation.ok_or_else(malformed)?;
                let document = Document::parse(file, bytes.to_vec())?;
                Keyring::from_delegation(targets, delegation)?.verify(&document)?;
                self.require_catalogue(&document, Some(targets))?;
                self.boards.insert(name, document);
            }
        }
        Ok(())
    }

    /// Old metadata may name no catalogue; once the owners' metadata names it, all must.
    fn require_catalogue(
        &self,
        document: &Document<TargetsRole>,
        owners: Option<&Document<TargetsRole>>,
    ) -> Result<(), Error> {
        let is_of_before = owners.is_none_or(|owners| owners.catalogue().is_none());
        if document.catalogue().is_none() && is_of_before {
            return Ok(());
        }
        document.require_catalogue(self.id())
    }

    /// Returns the catalogue's id.
    pub fn id(&self) -> CatalogueId {
        CatalogueId::new(self.first_root_content)
    }

    /// Returns the registry's keys.
    ///
    /// # Errors
    /// None for a root that was applied.
    pub fn registry(&self) -> Result<Quorum, Error> {
        Ok(Keyring::from_root(&self.root, TopRole::Timestamp)?.quorum().clone().with_catalogue(self.id()))
    }

    /// Returns the catalogue, or `None` before the first targets.
    ///
    /// # Errors
    /// Invalid metadata.
    pub fn catalogue(&self) -> Result<Option<TrustedCatalogue>, Error> {
        let Some(targets) = self.targets.clone() else { return Ok(None) };
        let parts = Parts {
            root: self.root.clone(),
            timestamp: self.timestamp.clone(),
            snapshot: self.snapshot.clone(),
            targets,
            delegated: self.boards.clone(),
            closed: BTreeMap::new(),
        };
        TrustedCatalogue::new(self.id(), parts, None).map(Some)
    }
}
