//! Signing proposals, and the signatures that each still needs.

use std::collections::BTreeSet;

use super::drafts::Drafts;
use super::proposers::proposers;
use super::published::PublishedCatalogue;
use super::{Repository, RepositoryError, Subject};
use crate::catalogue::document::TopRole;
use crate::catalogue::schema::{Role, TargetsRole};
use crate::catalogue::trusted::delegations;
use crate::catalogue::{Document, Error, Keyring, Organizations, TargetPath, durable, verify};
use crate::digest::Sha256Digest;
use crate::identity::{Signer, VerifyingKey};
use crate::statement::Quorum;
use crate::time::Timestamp;

/// The signatures of one quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The keys that may sign, and the threshold.
    pub quorum: Quorum,
    /// The keys that signed.
    pub signed: BTreeSet<VerifyingKey>,
}

impl Tally {
    /// Returns how many signatures are missing.
    pub fn missing(&self) -> usize {
        self.quorum.threshold().saturating_sub(self.signed.len())
    }
}

/// The status of an open proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalStatus {
    /// The role that it changes.
    pub subject: Subject,
    /// The SHA-256 of the signed part, which signers name to say what they reviewed.
    pub digest: Sha256Digest,
    /// The keys that may propose it and signed it.
    pub proposers: BTreeSet<VerifyingKey>,
    /// The proposed version.
    pub version: u64,
    /// The proposed expiry.
    pub expires: Timestamp,
    /// The quorums that must sign: for a root, the old and the new owners.
    pub tallies: Vec<Tally>,
}

impl ProposalStatus {
    /// Whether all required signatures are there.
    pub fn is_complete(&self) -> bool {
        self.tallies.iter().all(|tally| tally.missing() == 0)
    }

    /// Whether `key` may sign.
    fn admits(&self, key: &VerifyingKey) -> bool {
        self.tallies.iter().any(|tally| tally.quorum.keys().contains(key))
    }
}

fn standing<T: Role>(
    subject: Subject,
    document: &Document<T>,
    rings: &[Keyring],
    proposers: &BTreeSet<VerifyingKey>,
) -> ProposalStatus {
    let tally = |ring: &Keyring| Tally { quorum: ring.quorum().clone(), signed: ring.signers(document) };
    let mut tallies: Vec<_> = rings.iter().map(tally).collect();
    tallies.dedup();
    ProposalStatus {
        subject,
        digest: document.digest(),
        proposers: document.signed_by(proposers),
        version: document.version(),
        expires: document.expires(),
        tallies,
    }
}

/// Computes the status of all proposals with the keys that are valid after all of them are published.
pub(super) fn proposal_statuses(
    drafts: &Drafts,
    published: Option<&PublishedCatalogue>,
) -> Result<Vec<ProposalStatus>, RepositoryError> {
    let mut found = Vec::new();
    if let Some(root) = &drafts.root {
        let mut rings = vec![Keyring::from_root(root, TopRole::Root)?];
        if let Some(published) = published {
            rings.insert(0, Keyring::from_root(&published.root, TopRole::Root)?);
        }
        let proposers = proposers(&Subject::Root, drafts, published)?;
        found.push(standing(Subject::Root, root, &rings, &proposers));
    }
    if let (Some(targets), Some(root)) = (&drafts.targets, drafts.next_root(published)) {
        let proposers = proposers(&Subject::Targets, drafts, published)?;
        found.push(standing(
            Subject::Targets,
            targets,
            &[Keyring::from_root(root, TopRole::Targets)?],
            &proposers,
        ));
    }
    let parent = drafts.next_targets(published);
    for (name, document) in &drafts.boards {
        let delegation = parent.and_then(|parent| {
            let delegation = delegations(parent).find(|delegation| delegation.name == *name)?;
            Some(Keyring::from_delegation(parent, delegation))
        });
        if let Some(ring) = delegation.transpose()? {
            let subject = Subject::Board(name.clone());
            let proposers = proposers(&subject, drafts, published)?;
            found.push(standing(subject, document, &[ring], &proposers));
        }
    }
    Ok(found)
}

impl Repository {
    /// Returns the status of all open proposals.
    ///
    /// # Errors
    /// An invalid catalogue or proposal.
    pub fn proposal_statuses(&self) -> Result<Vec<ProposalStatus>, RepositoryError> {
        let published = self.published()?;
        proposal_statuses(&self.drafts(published.as_ref())?, published.as_ref())
    }

    /// Signs the proposed change of a role if its digest is still `reviewed`; returns its new status.
    ///
    /// # Errors
    /// [`RepositoryError::ProposalChanged`], [`RepositoryError::NoProposal`], [`RepositoryError::NoSay`], [`RepositoryError::MissingFile`].
    pub fn sign(
        &self,
        signer: &dyn Signer,
        subject: &Subject,
        reviewed: Sha256Digest,
    ) -> Result<ProposalStatus, RepositoryError> {
        self.sign_reviewed(signer, subject, reviewed, |open, key| open.admits(key))
    }

    /// Signs a change as its proposer. An owner who proposes a board's files again is not one of the board's signers; the signature only
    /// proves who proposed it.
    ///
    /// # Errors
    /// Those of [`Self::sign`].
    pub fn sign_as_proposer(
        &self,
        signer: &dyn Signer,
        subject: &Subject,
        reviewed: Sha256Digest,
    ) -> Result<ProposalStatus, RepositoryError> {
        let published = self.published()?;
        let proposers = proposers(subject, &self.drafts(published.as_ref())?, published.as_ref())?;
        self.sign_reviewed(signer, subject, reviewed, |_, key| proposers.contains(key))
    }

    fn sign_reviewed(
        &self,
        signer: &dyn Signer,
        subject: &Subject,
        reviewed: Sha256Digest,
        may_sign: impl FnOnce(&ProposalStatus, &VerifyingKey) -> bool,
    ) -> Result<ProposalStatus, RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let mut drafts = self.drafts(published.as_ref())?;
        let key = signer.verifying_key();
        let role = subject.to_string();
        let find = |drafts: &Drafts| {
            let found = proposal_statuses(drafts, published.as_ref())?;
            let found = found.into_iter().find(|open| open.subject == *subject);
            found.ok_or_else(|| RepositoryError::NoProposal { role: role.clone() })
        };
        let open = find(&drafts)?;
        if open.digest != reviewed {
            return Err(RepositoryError::ProposalChanged { role, reviewed, open: open.digest });
        }
        if !may_sign(&open, &key) {
            return Err(no_say(&key, &open));
        }
        self.sign_one(&mut drafts, subject, signer)?;
        find(&drafts)
    }

    fn sign_one(
        &self,
        drafts: &mut Drafts,
        subject: &Subject,
        signer: &dyn Signer,
    ) -> Result<(), RepositoryError> {
        match subject {
            Subject::Root => self.sign_document(subject, drafts.root.as_mut(), signer),
            Subject::Targets => {
                self.require_files(subject, drafts.targets.as_ref())?;
                self.sign_document(subject, drafts.targets.as_mut(), signer)
            }
            Subject::Board(name) => {
                self.require_files(subject, drafts.boards.get(name))?;
                self.sign_document(subject, drafts.boards.get_mut(name), signer)
            }
        }
    }

    fn sign_document<T: Role>(
        &self,
        subject: &Subject,
        document: Option<&mut Document<T>>,
        signer: &dyn Signer,
    ) -> Result<(), RepositoryError> {
        let Some(document) = document else {
            return Err(RepositoryError::NoProposal { role: subject.to_string() });
        };
        document.sign(signer)?;
        Ok(self.keep(subject, document)?)
    }

    /// Requires that all files of a proposal exist, before it is signed or published.
    pub(super) fn require_files(
        &self,
        subject: &Subject,
        document: Option<&Document<TargetsRole>>,
    ) -> Result<(), RepositoryError> {
        for (path, file) in document.iter().flat_map(|document| &document.role().targets) {
            let digest = file.hashes.sha256;
            let Some(bytes) = self.file(subject, path, digest, file.length)? else {
                return Err(RepositoryError::MissingFile { path: path.to_string(), digest });
            };
            // All decisions read this file: a malformed one would close all checkpoints.
            if *subject == Subject::Targets && *path == TargetPath::organizations() {
                Organizations::parse(&bytes)?;
            }
        }
        Ok(())
    }

    /// Returns a proposed or published file, verified.
    pub(super) fn file(
        &self,
        subject: &Subject,
        path: &crate::catalogue::TargetPath,
        digest: crate::digest::Sha256Digest,
        length: u64,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let name = path.consistent(digest);
        for folder in [self.proposal(subject).join("targets"), self.folder.join("targets")] {
            match durable::read(&folder.join(&name), path.as_str(), length) {
                Ok(Some(bytes)) if verify::require_digest(path.as_str(), digest, &bytes).is_ok() => {
                    return Ok(Some(bytes));
                }
                Ok(_) | Err(Error::TooLong { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

fn no_say(key: &VerifyingKey, open: &ProposalStatus) -> RepositoryError {
    let who: BTreeSet<_> =
        open.tallies.iter().map(|tally| tally.quorum.name().split(" (").next().unwrap_or_default()).collect();
    let who = who.into_iter().collect::<Vec<_>>().join(", ");
    RepositoryError::NoSay { key: key.id(), what: open.subject.to_string(), who }
}
