//! Submitted proposals: drafts and signatures that a keeper made on another machine.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::drafts::Drafts;
use super::proposers::{owners, proposers, require_signed};
use super::published::PublishedCatalogue;
use super::sign::proposal_statuses;
use super::{Repository, RepositoryError, Subject};
use crate::catalogue::schema::{Role, RootRole, TargetsRole};
use crate::catalogue::{Document, durable, verify};
use crate::identity::{KeyId, VerifyingKey};

/// A proposal for transfer, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Parcel {
    /// The metadata with its signatures, as JSON text.
    pub document: String,
    /// The new files, in base64, by their paths in a consistent snapshot (`gpt2-124m/<sha256>.policy.toml`).
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// What the submitter of a parcel may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Only add valid signatures to the open proposal.
    Signatures,
    /// Also propose. The proposal must be signed by `by`, if that is given, and by a key that may propose it.
    Proposal {
        /// The submitter's key, if it is known.
        by: Option<KeyId>,
    },
}

/// The effect of a submitted parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveOutcome {
    /// It is now the open proposal, in place of an earlier one.
    Proposed,
    /// The open proposal has more signatures than before.
    Signed,
    /// Nothing is new.
    Known,
}

impl ReceiveOutcome {
    /// Returns the text in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Signed => "signed",
            Self::Known => "known",
        }
    }
}

impl Repository {
    /// Lists the roles with an open proposal.
    ///
    /// # Errors
    /// An invalid catalogue or proposal.
    pub fn proposals(&self) -> Result<Vec<Subject>, RepositoryError> {
        let drafts = self.drafts(self.published()?.as_ref())?;
        let root = drafts.root.iter().map(|_| Subject::Root);
        let targets = drafts.targets.iter().map(|_| Subject::Targets);
        Ok(root.chain(targets).chain(drafts.boards.keys().cloned().map(Subject::Board)).collect())
    }

    /// Packs the open proposal of a role for transfer.
    ///
    /// # Errors
    /// [`RepositoryError::NoProposal`]; an invalid catalogue or proposal.
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

    /// Receives a parcel: valid signatures for the open proposal from any submitter; another proposal only with [`Offer::Proposal`] and its
    /// proposer's signature.
    ///
    /// # Errors
    /// [`RepositoryError::MayNotPropose`], [`RepositoryError::Unsigned`], [`RepositoryError::Stale`], [`RepositoryError::MissingFile`];
    /// an invalid parcel.
    pub fn receive(
        &self,
        subject: &Subject,
        parcel: &Parcel,
        offer: Offer,
    ) -> Result<ReceiveOutcome, RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        let drafts = self.drafts(published.as_ref())?;
        match subject {
            Subject::Root => {
                let offered: Document<RootRole> = parse(subject, parcel)?;
                self.require_catalogue(published.as_ref(), subject, &offered)?;
                // The root of a new catalogue names the owners; one of them must have signed it.
                let proposers = match &published {
                    Some(_) => proposers(subject, &drafts, published.as_ref())?,
                    None => owners(&offered)?,
                };
                let incoming = Incoming { subject, open: drafts.root.as_ref(), offered: &offered };
                let is_new = incoming.require(offer, published.as_ref(), &proposers)?;
                self.take(&incoming, is_new, &drafts, published.as_ref())
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
                self.take(&incoming, is_new, &drafts, published.as_ref())
            }
        }
    }

    fn require_catalogue<T: Role>(
        &self,
        published: Option<&PublishedCatalogue>,
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
        drafts: &Drafts,
        published: Option<&PublishedCatalogue>,
    ) -> Result<ReceiveOutcome, RepositoryError> {
        let Some(open) = open.filter(|_| !is_new) else {
            self.keep(subject, offered)?;
            return Ok(ReceiveOutcome::Proposed);
        };
        let mut open = open.clone();
        let standing =
            proposal_statuses(drafts, published)?.into_iter().find(|standing| standing.subject == **subject);
        let tallies = standing.iter().flat_map(|standing| &standing.tallies);
        let new: usize = tallies.map(|tally| open.merge_signatures(offered, &tally.quorum)).sum();
        self.keep(subject, &open)?;
        Ok(if new > 0 { ReceiveOutcome::Signed } else { ReceiveOutcome::Known })
    }

    /// Stores only the files that the metadata lists.
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
                    return Err(RepositoryError::MissingFile { path: path.to_string(), digest });
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

/// A submitted proposal beside the open one.
struct Incoming<'a, T> {
    subject: &'a Subject,
    open: Option<&'a Document<T>>,
    offered: &'a Document<T>,
}

impl<T: Role> Incoming<'_, T> {
    /// Requires that it may replace the open proposal; returns whether it differs from it.
    fn require(
        &self,
        offer: Offer,
        published: Option<&PublishedCatalogue>,
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
