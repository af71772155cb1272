//! The catalogue's files between their keepers: proposals come in, and what has its threshold is published.
//!
//! The files live in the database. A change is worked out in a folder that nobody else sees and written back by compare-and-swap: of two
//! replicas that change at once, one begins again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::publication::publications;
use super::release::{incoherent, require_coherent};
use super::{Error, Registry};
use crate::catalogue::{
    Days, Offer, Parcel, Publication, ReceiveOutcome, Repository, RepositoryError, Subject,
};
use crate::identity::KeyId;
use crate::store::CatalogueFiles;

/// How often a change is tried before the registry gives up.
const TRIES: usize = 20;
/// Seconds of a day.
const DAY: i64 = 24 * 3600;

impl Registry {
    /// The catalogue's version and the paths of its published files.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn published_files(&self) -> Result<(i64, Vec<String>), Error> {
        let files = self.files().await?;
        let published = files.files.keys().filter(|path| !path.starts_with("proposals/"));
        Ok((files.version, published.cloned().collect()))
    }

    /// A published file.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn catalogue_file(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let files = self.files().await?;
        Ok(files.files.get(path).filter(|_| !path.starts_with("proposals/")).cloned())
    }

    /// Refuses those who keep nothing of the catalogue. Before it is founded, nobody is known, and its first proposals hold nothing
    /// but public keys.
    ///
    /// # Errors
    /// [`Error::NotYours`], [`Error::Store`].
    pub async fn require_keeper(&self, reader: Option<KeyId>) -> Result<(), Error> {
        match self.view().await {
            Ok(view) => {
                let is_keeper = |key| view.is_owner(key) || !view.boards_of(key).is_empty();
                if reader.is_some_and(is_keeper) { Ok(()) } else { Err(Error::NotYours) }
            }
            Err(Error::Unfounded) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The roles of which a change is proposed.
    pub(super) async fn proposals(&self) -> Result<Vec<Subject>, Error> {
        self.look(|repository| Ok(repository.proposals()?)).await
    }

    /// The open proposal of a role.
    pub(super) async fn proposal(&self, subject: &Subject) -> Result<Parcel, Error> {
        self.look(|repository| Ok(repository.parcel(subject)?)).await
    }

    /// Takes in a proposal, or signatures of the open one, and publishes what is complete then. `proposer` is who hands it in, if
    /// they proved it; `founding` lets the very first proposals in. The roles that are in force then, too.
    ///
    /// # Errors
    /// [`Error::Repository`], [`Error::Store`], [`Error::Busy`].
    pub async fn receive(
        &self,
        subject: &Subject,
        parcel: &Parcel,
        (proposer, founding): (Option<KeyId>, bool),
    ) -> Result<(ReceiveOutcome, Vec<Subject>), Error> {
        let (offer, is_founded) = self.offer(subject, proposer, founding).await?;
        let received = self
            .change(|repository| {
                let received = repository.receive(subject, parcel, offer)?;
                if !is_founded {
                    // By another's key, nothing of it could ever be published here.
                    let own = self.signer.verifying_key();
                    repository.require_publishable_by(&own).map_err(|error| match error {
                        RepositoryError::NotTheRegistry { .. } => Error::FoundedForAnother { own: own.id() },
                        error => error.into(),
                    })?;
                }
                if let Subject::Board(checkpoint) = subject {
                    require_coherent(repository, checkpoint)?;
                }
                Ok(received)
            })
            .await;
        let received = match received {
            Err(Error::Repository(RepositoryError::MayNotPropose { .. })) if !is_founded => {
                return Err(Error::FoundingCode);
            }
            received => received?,
        };
        let published = self.publish_if_complete().await?;
        Ok((received, published))
    }

    /// Withdraws the open proposal of a role.
    ///
    /// # Errors
    /// [`Error::Repository`], [`Error::Store`], [`Error::Busy`].
    pub async fn withdraw_proposal(&self, subject: &Subject, by: KeyId) -> Result<(), Error> {
        if self.offer(subject, Some(by), false).await?.0 == Offer::Signatures {
            let role = subject.to_string();
            return Err(RepositoryError::MayNotPropose { role }.into());
        }
        self.change(|repository| Ok(repository.withdraw(subject)?)).await
    }

    /// What a person may hand in, and whether the catalogue is founded.
    async fn offer(
        &self,
        subject: &Subject,
        proposer: Option<KeyId>,
        founding: bool,
    ) -> Result<(Offer, bool), Error> {
        match self.view().await {
            Ok(view) => {
                let may_propose = |key: &KeyId| match subject {
                    Subject::Root | Subject::Targets => view.is_owner(*key),
                    // The owners propose a board's metadata anew when they change its members.
                    Subject::Board(name) => view.boards_of(*key).contains(name) || view.is_owner(*key),
                };
                let by = proposer.filter(may_propose);
                Ok((by.map_or(Offer::Signatures, |key| Offer::Proposal { by: Some(key) }), true))
            }
            // Nobody can prove to be anybody yet: the code lets the founding in, and an owner must have signed it.
            Err(Error::Unfounded) if founding => Ok((Offer::Proposal { by: None }, false)),
            Err(Error::Unfounded) => Ok((Offer::Signatures, false)),
            Err(error) => Err(error),
        }
    }

    /// Renews the timestamp if a day has passed since it was written; whether it did.
    ///
    /// # Errors
    /// [`Error::Unfounded`], [`Error::Repository`], [`Error::Store`], [`Error::Busy`].
    pub async fn renew(&self) -> Result<bool, Error> {
        let days = Days::default();
        match self.view().await {
            Ok(view) => {
                let written =
                    view.catalogue.timestamp_expires().unix_seconds() - i64::from(days.timestamp) * DAY;
                if self.now().unix_seconds() - written < DAY {
                    return Ok(false);
                }
            }
            Err(Error::Unfounded) => return Err(Error::Unfounded),
            // It lapsed while nothing ran: what its keepers signed still holds.
            Err(_) => {}
        }
        self.change(|repository| {
            let held = incoherent(repository)?;
            Ok(repository.publish_except(&held, &*self.signer, self.now(), days)?)
        })
        .await?;
        Ok(true)
    }

    /// Publishes what has its signatures, if anything has.
    async fn publish_if_complete(&self) -> Result<Vec<Subject>, Error> {
        let published = self
            .attempt(|repository| {
                let held = incoherent(repository)?;
                match repository.publish_except(&held, &*self.signer, self.now(), Days::default()) {
                    Ok(Publication { published, .. }) if published.is_empty() => Ok(None),
                    Ok(Publication { published, .. }) => Ok(Some(published)),
                    // What lacks signatures waits for them.
                    Err(RepositoryError::Incomplete { .. } | RepositoryError::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            })
            .await?;
        Ok(published.unwrap_or_default())
    }

    async fn change<T>(&self, change: impl Fn(&Repository) -> Result<T, Error>) -> Result<T, Error> {
        let done = self.attempt(|repository| change(repository).map(Some)).await?;
        done.ok_or(Error::Busy)
    }

    /// Changes the catalogue, unless `change` comes to nothing.
    async fn attempt<T>(
        &self,
        change: impl Fn(&Repository) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        for _ in 0..TRIES {
            let before = self.store.catalogue_files().await?;
            let place = self.unpacked(&before)?;
            let Some(done) = change(&Repository::new(place.path()))? else {
                return Ok(None);
            };
            let after = read_files(place.path()).map_err(|source| Error::Io { source })?;
            let changes = difference(&before.files, after);
            let entries = publications(&before.files, &changes, self.now())?;
            if changes.is_empty() || self.store.replace_catalogue(before.version, &changes, &entries).await? {
                return Ok(Some(done));
            }
        }
        Err(Error::Busy)
    }

    async fn look<T>(&self, look: impl Fn(&Repository) -> Result<T, Error>) -> Result<T, Error> {
        let place = self.unpacked(&*self.files().await?)?;
        look(&Repository::new(place.path()))
    }

    fn unpacked(&self, files: &CatalogueFiles) -> Result<TempDir, Error> {
        let place = tempfile::tempdir_in(&self.state).map_err(|source| Error::Io { source })?;
        write_files(place.path(), &files.files).map_err(|source| Error::Io { source })?;
        Ok(place)
    }
}

fn write_files(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    for (path, bytes) in files {
        let path = folder.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, bytes)?;
    }
    Ok(())
}

/// Every file of `metadata/`, `targets/` and `proposals/`.
fn read_files(folder: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut open = ["metadata", "targets", "proposals"].map(|name| folder.join(name)).to_vec();
    while let Some(place) = open.pop() {
        let Ok(entries) = fs::read_dir(&place) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str) {
                files.insert(name.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

fn difference(
    before: &BTreeMap<String, Vec<u8>>,
    after: BTreeMap<String, Vec<u8>>,
) -> BTreeMap<String, Option<Vec<u8>>> {
    let gone = before.keys().filter(|path| !after.contains_key(*path)).map(|path| (path.clone(), None));
    let mut changes: BTreeMap<_, _> = gone.collect();
    changes.extend(
        after
            .into_iter()
            .filter(|(path, bytes)| before.get(path) != Some(bytes))
            .map(|(path, bytes)| (path, Some(bytes))),
    );
    changes
}
