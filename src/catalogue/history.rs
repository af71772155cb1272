//! The catalogue of earlier days, from the metadata that the log recorded, in the order in which it came into force.
//!
//! What a client sees is checked by [`super::Client`], with its expiry and its floors. Here each document only has to be signed by those whom the
//! documents before it named, as an auditor has to find it years later.

use std::collections::BTreeMap;

use super::document::TopRole;
use super::schema::{RootRole, SnapshotRole, TargetsRole, TimestampRole};
use super::trusted::{Delegated, Parts, delegations};
use super::{Document, Error, Keyring, RoleName, TrustedCatalogue, verify};
use crate::digest::Sha256Digest;
use crate::statement::{CatalogueId, Quorum};

/// What was in force at a time.
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
    /// Begins at the first root; `files` are the catalogue's as they are now.
    ///
    /// # Errors
    /// [`Error::Missing`], what is wrong with the root.
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
        let (first_root, first_root_content) = (Sha256Digest::of(root.bytes()), root.digest());
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

    /// What a client remembers of the first root that it was told to trust: the digest of what is signed.
    pub fn first_root_content(&self) -> Sha256Digest {
        self.first_root_content
    }

    /// The SHA-256 of the first root's file.
    pub fn first_root(&self) -> Sha256Digest {
        self.first_root
    }

    /// Takes up metadata that came into force, if those signed it whom it takes.
    ///
    /// # Errors
    /// What is wrong with it, naming the file.
    pub fn apply(&mut self, file: &str, bytes: &[u8]) -> Result<(), Error> {
        let malformed = || Error::malformed(file, "it is no metadata of a catalogue");
        let stem = file.trim_start_matches("metadata/").strip_suffix(".json");
        let (version, stem) = stem.and_then(|stem| stem.split_once('.')).ok_or_else(malformed)?;
        match stem {
            "root" if version == "1" => {
                verify::require_digest(file, self.first_root, bytes)?;
            }
            "root" => self.root = verify::next_root(&self.root, bytes.to_vec())?,
            "targets" => {
                let document = Document::parse(file, bytes.to_vec())?;
                Keyring::of(&self.root, TopRole::Targets)?.verify(&document)?;
                self.require_catalogue(&document, self.targets.as_ref())?;
                self.targets = Some(document);
            }
            stem => {
                let name: RoleName = stem.parse().map_err(|_| malformed())?;
                let targets = self.targets.as_ref().ok_or_else(malformed)?;
                let delegation = delegations(targets).find(|delegation| delegation.name == name);
                let delegation = delegation.ok_or_else(malformed)?;
                let document = Document::parse(file, bytes.to_vec())?;
                Keyring::of_delegation(targets, delegation)?.verify(&document)?;
                self.require_catalogue(&document, Some(targets))?;
                self.boards.insert(name, document);
            }
        }
        Ok(())
    }

    /// Metadata of before may name no catalogue; once the owners' does, everything must.
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

    /// Which catalogue it is.
    pub fn id(&self) -> CatalogueId {
        CatalogueId::new(self.first_root_content)
    }

    /// The registry's keys.
    ///
    /// # Errors
    /// None that a root which was taken up gives.
    pub fn registry(&self) -> Result<Quorum, Error> {
        Ok(Keyring::of(&self.root, TopRole::Timestamp)?.quorum().clone().in_catalogue(self.id()))
    }

    /// The catalogue as it was; none before the first targets.
    ///
    /// # Errors
    /// Those of the metadata in it.
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
