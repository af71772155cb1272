//! Signing proposals, and how many signatures each still needs.

use std::collections::BTreeSet;

use super::drafts::Drafts;
use super::proposers::proposers;
use super::published::Published;
use super::{Repository, RepositoryError, Subject};
use crate::catalogue::document::TopRole;
use crate::catalogue::schema::{Role, TargetsRole};
use crate::catalogue::trusted::delegations;
use crate::catalogue::{Document, Error, Keyring, Organizations, TargetPath, durable, verify};
use crate::digest::Sha256Digest;
use crate::identity::{Signer, VerifyingKey};
use crate::statement::Quorum;
use crate::time::Timestamp;

/// Who signed for one quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Who may sign, and how many must.
    pub quorum: Quorum,
    /// Who did.
    pub signed: BTreeSet<VerifyingKey>,
}

impl Tally {
    /// How many signatures are missing.
    pub fn missing(&self) -> usize {
        self.quorum.threshold().saturating_sub(self.signed.len())
    }
}

/// How far a proposal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Of which role.
    pub subject: Subject,
    /// The SHA-256 of what is signed: what a signer names.
    pub digest: Sha256Digest,
    /// Those who may propose it, and signed it.
    pub proposers: BTreeSet<VerifyingKey>,
    /// The version that it would be.
    pub version: u64,
    /// When it would expire.
    pub expires: Timestamp,
    /// Every quorum that must sign: of a root, the old owners and the new.
    pub tallies: Vec<Tally>,
}

impl Standing {
    /// Whether everybody signed who must.
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
) -> Standing {
    let tally = |ring: &Keyring| Tally { quorum: ring.quorum().clone(), signed: ring.signers(document) };
    let mut tallies: Vec<_> = rings.iter().map(tally).collect();
    tallies.dedup();
    Standing {
        subject,
        digest: document.digest(),
        proposers: document.signed_by(proposers),
        version: document.version(),
        expires: document.expires(),
        tallies,
    }
}

/// How far every proposal is, the keys being those that will count once all of them are published.
pub(super) fn standings(
    drafts: &Drafts,
    published: Option<&Published>,
) -> Result<Vec<Standing>, RepositoryError> {
    let mut found = Vec::new();
    if let Some(root) = &drafts.root {
        let mut rings = vec![Keyring::of(root, TopRole::Root)?];
        if let Some(published) = published {
            rings.insert(0, Keyring::of(&published.root, TopRole::Root)?);
        }
        let proposers = proposers(&Subject::Root, drafts, published)?;
        found.push(standing(Subject::Root, root, &rings, &proposers));
    }
    if let (Some(targets), Some(root)) = (&drafts.targets, drafts.next_root(published)) {
        let proposers = proposers(&Subject::Targets, drafts, published)?;
        found.push(standing(Subject::Targets, targets, &[Keyring::of(root, TopRole::Targets)?], &proposers));
    }
    let parent = drafts.next_targets(published);
    for (name, document) in &drafts.boards {
        let delegation = parent.and_then(|parent| {
            let delegation = delegations(parent).find(|delegation| delegation.name == *name)?;
            Some(Keyring::of_delegation(parent, delegation))
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
    /// How far every open proposal is.
    ///
    /// # Errors
    /// What is wrong with the catalogue or a proposal.
    pub fn standings(&self) -> Result<Vec<Standing>, RepositoryError> {
        let published = self.published()?;
        standings(&self.drafts(published.as_ref())?, published.as_ref())
    }

    /// Signs the proposed change of a role, if it still is what `reviewed` is the digest of; how far it is then.
    ///
    /// # Errors
    /// [`RepositoryError::Swapped`], [`RepositoryError::NoProposal`], [`RepositoryError::NoSay`], [`RepositoryError::Lacks`].
    pub fn sign(
        &self,
        signer: &dyn Signer,
        subject: &Subject,
        reviewed: Sha256Digest,
    ) -> Result<Standing, RepositoryError> {
        self.sign_reviewed(signer, subject, reviewed, |open, key| open.admits(key))
    }

    /// Signs a change as the one who proposes it. An owner who proposes a board's files anew has no say in them; the signature
    /// says whose proposal it is.
    ///
    /// # Errors
    /// Those of [`Self::sign`].
    pub fn sign_as_proposer(
        &self,
        signer: &dyn Signer,
        subject: &Subject,
        reviewed: Sha256Digest,
    ) -> Result<Standing, RepositoryError> {
        let published = self.published()?;
        let proposers = proposers(subject, &self.drafts(published.as_ref())?, published.as_ref())?;
        self.sign_reviewed(signer, subject, reviewed, |_, key| proposers.contains(key))
    }

    fn sign_reviewed(
        &self,
        signer: &dyn Signer,
        subject: &Subject,
        reviewed: Sha256Digest,
        may_sign: impl FnOnce(&Standing, &VerifyingKey) -> bool,
    ) -> Result<Standing, RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let mut drafts = self.drafts(published.as_ref())?;
        let key = signer.verifying_key();
        let role = subject.to_string();
        let find = |drafts: &Drafts| {
            let found = standings(drafts, published.as_ref())?;
            let found = found.into_iter().find(|open| open.subject == *subject);
            found.ok_or_else(|| RepositoryError::NoProposal { role: role.clone() })
        };
        let open = find(&drafts)?;
        if open.digest != reviewed {
            return Err(RepositoryError::Swapped { role, reviewed, open: open.digest });
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

    /// Nobody signs for, and nothing is published with, files that are not there.
    pub(super) fn require_files(
        &self,
        subject: &Subject,
        document: Option<&Document<TargetsRole>>,
    ) -> Result<(), RepositoryError> {
        for (path, file) in document.iter().flat_map(|document| &document.role().targets) {
            let digest = file.hashes.sha256;
            let Some(bytes) = self.file(subject, path, digest, file.length)? else {
                return Err(RepositoryError::Lacks { path: path.to_string(), digest });
            };
            // Everybody reads this one to decide; one that cannot be read would close every checkpoint.
            if *subject == Subject::Targets && *path == TargetPath::organizations() {
                Organizations::parse(&bytes)?;
            }
        }
        Ok(())
    }

    /// A file that is proposed or published, verified.
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

fn no_say(key: &VerifyingKey, open: &Standing) -> RepositoryError {
    let who: BTreeSet<_> =
        open.tallies.iter().map(|tally| tally.quorum.name().split(" (").next().unwrap_or_default()).collect();
    let who = who.into_iter().collect::<Vec<_>>().join(", ");
    RepositoryError::NoSay { key: key.id(), what: open.subject.to_string(), who }
}
