//! Proposals that travel: what a keeper drafted or signed at home, handed in to where others read it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::drafts::Drafts;
use super::proposers::{owners, proposers, require_signed};
use super::published::Published;
use super::sign::standings;
use super::{Repository, RepositoryError, Subject};
use crate::catalogue::schema::{Role, RootRole, TargetsRole};
use crate::catalogue::{Document, durable, verify};
use crate::identity::{KeyId, VerifyingKey};

/// A proposal as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Parcel {
    /// The metadata with the signatures that it has, as JSON text.
    pub document: String,
    /// The files that it brings, as base64 by their names in a consistent snapshot (`gpt2-124m/<sha256>.policy.toml`).
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// What whoever hands in a parcel may do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Add signatures to the open proposal: each proves itself.
    Signatures,
    /// Propose, too. The proposal must be signed by `by`, where it is known who brings it, and by somebody who may propose it.
    Proposal {
        /// Who brings it.
        by: Option<KeyId>,
    },
}

/// What came of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It is the proposal now; another that was open is gone.
    Proposed,
    /// The open proposal has more signatures than before.
    Signed,
    /// Nothing that was not known.
    Known,
}

impl Received {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Signed => "signed",
            Self::Known => "known",
        }
    }
}

impl Repository {
    /// The roles of which a change is proposed.
    ///
    /// # Errors
    /// What is wrong with the catalogue or the proposals.
    pub fn proposals(&self) -> Result<Vec<Subject>, RepositoryError> {
        let drafts = self.drafts(self.published()?.as_ref())?;
        let root = drafts.root.iter().map(|_| Subject::Root);
        let targets = drafts.targets.iter().map(|_| Subject::Targets);
        Ok(root.chain(targets).chain(drafts.boards.keys().cloned().map(Subject::Board)).collect())
    }

    /// The open proposal of a role, to be sent.
    ///
    /// # Errors
    /// [`RepositoryError::NoProposal`]; what is wrong with the catalogue or the proposal.
    pub fn parcel(&self, subject: &Subject) -> Result<Parcel, RepositoryError> {
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        let none = || RepositoryError::NoProposal { role: subject.to_string() };
        let (bytes, targets) = match subject {
            Subject::Root => (drafts.root.as_ref().ok_or_else(none)?.bytes(), None),
            Subject::Targets => {
                let document = drafts.targets.as_ref().ok_or_else(none)?;
                (document.bytes(), Some(document))
            }
            Subject::Board(name) => {
                let document = drafts.boards.get(name).ok_or_else(none)?;
                (document.bytes(), Some(document))
            }
        };
        let mut files = BTreeMap::new();
        for (path, file) in targets.iter().flat_map(|document| &document.role().targets) {
            let digest = file.hashes.sha256;
            let name = path.consistent(digest);
            let kept =
                durable::read(&self.proposal(subject).join("targets").join(&name), &name, file.length)?;
            if let Some(bytes) = kept {
                files.insert(name, STANDARD.encode(bytes));
            }
        }
        Ok(Parcel { document: String::from_utf8_lossy(bytes).into_owned(), files })
    }

    /// Takes in a parcel: more signatures of the open proposal from anybody, since each proves itself; another proposal only
    /// where the offer is one, and its proposer signed it.
    ///
    /// # Errors
    /// [`RepositoryError::MayNotPropose`], [`RepositoryError::Unsigned`], [`RepositoryError::Stale`], [`RepositoryError::Lacks`]; what is wrong with the parcel.
    pub fn receive(
        &self,
        subject: &Subject,
        parcel: &Parcel,
        offer: Offer,
    ) -> Result<Received, RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        match subject {
            Subject::Root => {
                let offered: Document<RootRole> = parse(subject, parcel)?;
                self.require_catalogue(published.as_ref(), subject, &offered)?;
                // A founding names the owners itself: one of them must have signed it.
                let proposers = match &published {
                    Some(_) => proposers(subject, &drafts, published.as_ref())?,
                    None => owners(&offered)?,
                };
                let incoming = Incoming { subject, open: drafts.root.as_ref(), offered: &offered };
                let is_new = incoming.require(offer, published.as_ref(), &proposers)?;
                self.take(&incoming, is_new, (&drafts, published.as_ref()))
            }
            Subject::Targets | Subject::Board(_) => {
                let offered: Document<TargetsRole> = parse(subject, parcel)?;
                self.require_catalogue(published.as_ref(), subject, &offered)?;
                let open = match subject {
                    Subject::Board(name) => drafts.boards.get(name),
                    _ => drafts.targets.as_ref(),
                };
                let proposers = proposers(subject, &drafts, published.as_ref())?;
                let incoming = Incoming { subject, open, offered: &offered };
                let is_new = incoming.require(offer, published.as_ref(), &proposers)?;
                if is_new {
                    self.take_files(subject, &offered, parcel)?;
                }
                self.take(&incoming, is_new, (&drafts, published.as_ref()))
            }
        }
    }

    fn require_catalogue<T: Role>(
        &self,
        published: Option<&Published>,
        subject: &Subject,
        offered: &Document<T>,
    ) -> Result<(), RepositoryError> {
        match self.catalogue(published, subject)? {
            Some(catalogue) => Ok(offered.require_catalogue(catalogue)?),
            None => Ok(()),
        }
    }

    fn take<T: Role + Clone>(
        &self,
        Incoming { subject, open, offered }: &Incoming<'_, T>,
        is_new: bool,
        (drafts, published): (&Drafts, Option<&Published>),
    ) -> Result<Received, RepositoryError> {
        let Some(open) = open.filter(|_| !is_new) else {
            self.keep(subject, offered)?;
            return Ok(Received::Proposed);
        };
        let mut open = open.clone();
        let standing =
            standings(drafts, published)?.into_iter().find(|standing| standing.subject == **subject);
        let tallies = standing.iter().flat_map(|standing| &standing.tallies);
        let new: usize = tallies.map(|tally| open.adopt(offered, &tally.quorum)).sum();
        self.keep(subject, &open)?;
        Ok(if new > 0 { Received::Signed } else { Received::Known })
    }

    /// Keeps the files that the metadata lists and no others.
    fn take_files(
        &self,
        subject: &Subject,
        offered: &Document<TargetsRole>,
        parcel: &Parcel,
    ) -> Result<(), RepositoryError> {
        for (path, file) in &offered.role().targets {
            let digest = file.hashes.sha256;
            let name = path.consistent(digest);
            let Some(text) = parcel.files.get(&name) else {
                if self.file(subject, path, digest, file.length)?.is_none() {
                    return Err(RepositoryError::Lacks { path: path.to_string(), digest });
                }
                continue;
            };
            let bytes = STANDARD.decode(text).unwrap_or_default();
            verify::require_digest(path.as_str(), digest, &bytes)?;
            durable::write(&self.proposal(subject).join("targets").join(&name), &bytes)?;
        }
        Ok(())
    }
}

/// A proposal that was handed in, beside the one that is open.
struct Incoming<'a, T> {
    subject: &'a Subject,
    open: Option<&'a Document<T>>,
    offered: &'a Document<T>,
}

impl<T: Role> Incoming<'_, T> {
    /// Whether it is another proposal than the open one, and may take its place.
    fn require(
        &self,
        offer: Offer,
        published: Option<&Published>,
        proposers: &BTreeSet<VerifyingKey>,
    ) -> Result<bool, RepositoryError> {
        let expected = Repository::next_version(published, self.subject);
        let (role, offered) = (self.subject.to_string(), self.offered.version());
        if offered != expected {
            return Err(RepositoryError::Stale { role, offered, expected });
        }
        if self.open.is_some_and(|open| open.digest() == self.offered.digest()) {
            return Ok(false);
        }
        match offer {
            Offer::Signatures => Err(RepositoryError::MayNotPropose { role }),
            Offer::Proposal { by } => {
                require_signed(self.subject, self.offered, proposers, by)?;
                Ok(true)
            }
        }
    }
}

fn parse<T: Role>(subject: &Subject, parcel: &Parcel) -> Result<Document<T>, RepositoryError> {
    Ok(Document::parse(&format!("{subject}.json"), parcel.document.clone().into_bytes())?)
}
