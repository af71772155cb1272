//! Proposals that travel: what a keeper drafted or signed at home, handed in to where others read it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::published::Published;
use super::sign::standings;
use super::{Repository, RepositoryError, Subject};
use crate::catalogue::schema::{Role, RootRole, TargetsRole};
use crate::catalogue::{Document, durable, verify};

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
    /// where `may_propose`.
    ///
    /// # Errors
    /// [`RepositoryError::MayNotPropose`], [`RepositoryError::Stale`], [`RepositoryError::Lacks`]; what is wrong with the parcel.
    pub fn receive(
        &self,
        subject: &Subject,
        parcel: &Parcel,
        may_propose: bool,
    ) -> Result<Received, RepositoryError> {
        let _lock = self.lock()?;
        let published = self.published()?;
        match subject {
            Subject::Root => {
                let offered: Document<RootRole> = parse(subject, parcel)?;
                let open = self.drafts(published.as_ref())?.root;
                self.take(subject, published.as_ref(), (open, offered), may_propose)
            }
            Subject::Targets | Subject::Board(_) => {
                let offered: Document<TargetsRole> = parse(subject, parcel)?;
                let mut drafts = self.drafts(published.as_ref())?;
                let open = match subject {
                    Subject::Board(name) => drafts.boards.remove(name),
                    _ => drafts.targets,
                };
                let is_new = open.as_ref().is_none_or(|open| open.digest() != offered.digest());
                if is_new && may_propose {
                    self.take_files(subject, &offered, parcel)?;
                }
                self.take(subject, published.as_ref(), (open, offered), may_propose)
            }
        }
    }

    fn take<T: Role>(
        &self,
        subject: &Subject,
        published: Option<&Published>,
        (open, offered): (Option<Document<T>>, Document<T>),
        may_propose: bool,
    ) -> Result<Received, RepositoryError> {
        let expected = Self::next_version(published, subject);
        if offered.version() != expected {
            let role = subject.to_string();
            return Err(RepositoryError::Stale { role, offered: offered.version(), expected });
        }
        if let Some(catalogue) = self.catalogue(published, subject)? {
            offered.require_catalogue(catalogue)?;
        }
        if let Some(mut open) = open.filter(|open| open.digest() == offered.digest()) {
            let drafts = self.drafts(published)?;
            let standing =
                standings(&drafts, published)?.into_iter().find(|standing| standing.subject == *subject);
            let tallies = standing.iter().flat_map(|standing| &standing.tallies);
            let new: usize = tallies.map(|tally| open.adopt(&offered, &tally.quorum)).sum();
            self.keep(subject, &open)?;
            return Ok(if new > 0 { Received::Signed } else { Received::Known });
        }
        if !may_propose {
            return Err(RepositoryError::MayNotPropose { role: subject.to_string() });
        }
        self.keep(subject, &offered)?;
        Ok(Received::Proposed)
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

fn parse<T: Role>(subject: &Subject, parcel: &Parcel) -> Result<Document<T>, RepositoryError> {
    Ok(Document::parse(&format!("{subject}.json"), parcel.document.clone().into_bytes())?)
}
