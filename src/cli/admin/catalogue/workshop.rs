//! Where a keeper works on the catalogue: a private copy of what the registry has, be it a server or a folder, of which the changes are
//! handed in.
//!
//! What the registry calls proposed is believed only where somebody who may propose it signed it, and what it calls published is
//! measured against what this home trusts before anything is signed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::access::Fault;
use crate::catalogue::{
    Client, Error, Folder, Offer, Parcel, Proposer, Remote as _, Repository, RepositoryError, Subject,
};
use crate::cli::failure::Refusal;
use crate::cli::home::{Home, Place, write_whole};
use crate::cli::output::Output;
use crate::cli::registry;
use crate::client::remote::{RemoteError, RemoteRegistry};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::time::Timestamp;

/// Longest file of a catalogue.
const MAX_BYTES: u64 = 64 << 20;

/// A catalogue to work on.
pub(in crate::cli) struct Workshop {
    repository: Repository,
    source: Source,
    /// What was proposed when the copy was made.
    before: BTreeMap<Subject, Parcel>,
    /// Whether the registry does not tell this person what is proposed.
    is_kept_from_me: bool,
    /// What the registry calls proposed, and nobody who may propose it signed.
    refused: Vec<(Subject, RepositoryError)>,
    copy: TempDir,
}

/// Whose catalogue it is.
enum Source {
    Folder(Repository),
    Server { registry: RemoteRegistry, is_founded: bool },
}

impl Source {
    fn proposals(&self) -> anyhow::Result<BTreeSet<Subject>> {
        Ok(match self {
            Self::Folder(repository) => repository.proposals()?.into_iter().collect(),
            Self::Server { registry, is_founded } => registry.proposals(*is_founded)?.into_iter().collect(),
        })
    }

    fn proposal(&self, subject: &Subject) -> anyhow::Result<Parcel> {
        Ok(match self {
            Self::Folder(repository) => repository.parcel(subject)?,
            Self::Server { registry, is_founded } => registry.proposal(subject, *is_founded)?,
        })
    }
}

impl Workshop {
    /// Copies the catalogue of the home's registry.
    pub(in crate::cli) fn open(home: &Home, output: Output) -> anyhow::Result<Self> {
        Self::open_with(home, output, |source| source.proposals().map(Some))
    }

    /// The same to look at, also for those who keep nothing of it, to whom proposals are not told.
    pub(super) fn open_to_look(home: &Home, output: Output) -> anyhow::Result<Self> {
        home.place()?.require_there()?;
        Self::open_with(home, output, |source| match source.proposals() {
            Err(error) if is_not_told(&error) => Ok(None),
            proposals => proposals.map(Some),
        })
    }

    fn open_with(
        home: &Home,
        output: Output,
        proposals: impl FnOnce(&Source) -> anyhow::Result<Option<BTreeSet<Subject>>>,
    ) -> anyhow::Result<Self> {
        let copy = tempfile::tempdir().context("cannot make a temporary folder")?;
        let (source, name) = match home.place()? {
            Place::Folder(_) => {
                let folder = home.catalogue()?;
                for part in ["metadata", "targets"] {
                    copy_tree(&folder.join(part), &copy.path().join(part))
                        .with_context(|| format!("cannot read {}", folder.display()))?;
                }
                let name = folder.display().to_string();
                (Source::Folder(Repository::new(folder)), name)
            }
            Place::Address(address) => {
                let registry = registry::remote(home, &address, output)?;
                let is_founded = registry.info()?.founded;
                if is_founded {
                    bring_published(&registry, copy.path())?;
                }
                (Source::Server { registry, is_founded }, address.to_string())
            }
        };
        let repository = Repository::new(copy.path()).with_name(name);
        let (mut before, mut refused) = (BTreeMap::new(), Vec::new());
        // In the order in which each follows from the one before it.
        let proposed = proposals(&source)?;
        let is_kept_from_me = proposed.is_none();
        for subject in proposed.unwrap_or_default() {
            let parcel = source.proposal(&subject)?;
            match repository.receive(&subject, &parcel, Offer::Proposal { by: None }) {
                // As it lies here, so that only what is changed here is handed in.
                Ok(_) => drop(before.insert(subject.clone(), repository.parcel(&subject)?)),
                Err(error) => refused.push((subject, error)),
            }
        }
        Ok(Self { repository, source, before, is_kept_from_me, refused, copy })
    }

    /// The same where a catalogue is to be founded, and none may be yet.
    pub(super) fn open_to_found(home: &Home, output: Output) -> anyhow::Result<Self> {
        if let Place::Address(address) = home.place()?
            && registry::remote(home, &address, output)?.info()?.founded
        {
            return Err(RepositoryError::Exists { folder: address.to_string() }.into());
        }
        Self::open(home, output)
    }

    /// The catalogue to work on.
    pub(in crate::cli) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Whether it is a folder that the registry publishes when it is told.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self.source, Source::Folder(_))
    }

    /// Whether what is proposed is told to its keepers only, and this person is none.
    pub(super) fn is_kept_from_me(&self) -> bool {
        self.is_kept_from_me
    }

    /// What the registry calls proposed and was not taken for a proposal, and why.
    pub(super) fn refused(&self) -> &[(Subject, RepositoryError)] {
        &self.refused
    }

    /// Refuses a role whose proposal was not taken for one.
    pub(super) fn require_genuine(&mut self, subject: &Subject) -> Result<(), RepositoryError> {
        match self.refused.iter().position(|(refused, _)| refused == subject) {
            Some(at) => Err(self.refused.remove(at).1),
            None => Ok(()),
        }
    }

    /// Somebody who proposes here, building on the open proposals that they name.
    pub(super) fn proposer(&self, key: VerifyingKey, onto: &[Sha256Digest]) -> Proposer {
        Proposer { onto: onto.iter().copied().collect(), ..Proposer::new(key) }
    }

    /// Checks what is published in this copy against what the home trusts, so that nobody signs a change of a forged or an older
    /// catalogue. Metadata that merely expired passes: renewing it is what keepers do. Before anything is published, there is nothing
    /// to trust.
    pub(super) fn require_trusted_base(&self, home: &Home, now: Timestamp) -> anyhow::Result<()> {
        let client = Client::new(home.catalogue_state());
        let is_published = self.copy.path().join("metadata/1.root.json").exists();
        match client.root()? {
            None if is_published => {
                return Err(Refusal::usage(
                    "this home trusts no catalogue yet, and signs no change of one that it cannot check",
                    "trust it first: `portcullis join <registry> --root 1.root.json`, with the file that the owners handed you",
                )
                .into());
            }
            None => return Ok(()),
            Some(_) => {}
        }
        match client.refresh(&Folder::new(self.copy.path()), now) {
            Ok(_) => Ok(()),
            Err(Error::Expired { .. }) => self.require_not_older(&client),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses roles that this home has seen newer: what expired was not compared.
    fn require_not_older(&self, client: &Client) -> anyhow::Result<()> {
        let published = self.repository.status()?.roles;
        for (file, bytes) in client.trusted_files()? {
            let trusted = crate::json::from_slice::<Value>(&bytes).unwrap_or_default();
            let trusted = trusted["signed"]["version"].as_u64().unwrap_or(0);
            let name = file.rsplit('/').next().unwrap_or(&file).trim_end_matches(".json");
            let offered = published.iter().find(|role| role.role == name);
            if let Some(offered) = offered.filter(|offered| offered.version < trusted) {
                return Err(Error::Rollback { file, trusted, offered: offered.version }.into());
            }
        }
        Ok(())
    }

    /// The roles of which a change was made here.
    pub(super) fn changed(&self) -> anyhow::Result<Vec<Subject>> {
        let mut changed = Vec::new();
        for subject in self.repository.proposals()? {
            if self.before.get(&subject) != Some(&self.repository.parcel(&subject)?) {
                changed.push(subject);
            }
        }
        Ok(changed)
    }

    /// Withdraws the open proposal of a role, also one that was not taken for a proposal here.
    pub(super) fn withdraw(&self, subject: &Subject) -> anyhow::Result<()> {
        match &self.source {
            Source::Folder(folder) => folder.withdraw(subject)?,
            Source::Server { registry, .. } => registry.withdraw_proposal(subject)?,
        }
        Ok(())
    }

    /// Hands in what `key` changed here; the roles that the registry published at once.
    pub(super) fn hand_in(
        &self,
        key: VerifyingKey,
        founding_code: Option<&str>,
    ) -> anyhow::Result<Vec<Subject>> {
        let mut published = Vec::new();
        for subject in self.changed()? {
            let parcel = self.repository.parcel(&subject)?;
            match &self.source {
                Source::Folder(folder) => {
                    folder.receive(&subject, &parcel, Offer::Proposal { by: Some(key.id()) })?;
                }
                Source::Server { registry, is_founded } => {
                    let receipt = registry.propose(&subject, &parcel, founding_code, *is_founded)?;
                    for role in receipt.published {
                        published.push(role.parse()?);
                    }
                }
            }
        }
        Ok(published)
    }
}

/// Copies the files of a folder, if there is one.
/// Whether a registry keeps something from the one who asks, or they have no identity to ask with.
fn is_not_told(error: &anyhow::Error) -> bool {
    let rule = |fault: &Fault| matches!(fault, Fault::Rule);
    match error.downcast_ref::<RemoteError>() {
        Some(RemoteError::Refused { fault, .. }) => rule(fault),
        Some(RemoteError::Credentials { .. }) => true,
        _ => false,
    }
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    std::fs::create_dir_all(to)?;
    for entry in entries {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &to)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Brings every root, the newest of each other role, and the files that they list. All of it is verified when it is used.
fn bring_published(registry: &RemoteRegistry, to: &Path) -> anyhow::Result<()> {
    let listing = registry.catalogue_listing()?.files;
    let mut newest: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    let mut wanted = vec!["metadata/timestamp.json".to_owned()];
    for path in &listing {
        let name = path.strip_prefix("metadata/").and_then(|name| name.strip_suffix(".json"));
        let Some((version, role)) = name.and_then(|name| name.split_once('.')) else { continue };
        let Ok(version) = version.parse::<u64>() else { continue };
        if role == "root" {
            wanted.push(path.clone());
        } else if newest.get(role).is_none_or(|(other, _)| *other < version) {
            newest.insert(role, (version, path));
        }
    }
    wanted.extend(newest.values().map(|(_, path)| (*path).to_owned()));
    let mut targets = Vec::new();
    for path in &wanted {
        let bytes = bring(registry, path, to)?;
        targets.extend(listed(&bytes));
    }
    // Of policies the earlier ones, too: which grants a new one may keep depends on them.
    let policies =
        listing.iter().filter(|path| path.starts_with("targets/") && path.ends_with(".policy.toml"));
    targets.extend(policies.cloned());
    targets.sort();
    targets.dedup();
    for path in targets {
        if listing.contains(&path) {
            bring(registry, &path, to)?;
        }
    }
    Ok(())
}

fn bring(registry: &RemoteRegistry, path: &str, to: &Path) -> anyhow::Result<Vec<u8>> {
    anyhow::ensure!(
        path.split('/').all(|part| !part.is_empty() && !part.starts_with('.')),
        "the registry lists a file `{path}`"
    );
    let bytes = registry.fetch(path, MAX_BYTES)?;
    let bytes = bytes.with_context(|| format!("the registry lists {path} and does not have it"))?;
    write_whole(&to.join(path), &bytes)?;
    Ok(bytes)
}

/// The paths, in a consistent snapshot, of the files that metadata lists.
fn listed(metadata: &[u8]) -> Vec<String> {
    let metadata: Value = crate::json::from_slice(metadata).unwrap_or_default();
    let targets = metadata["signed"]["targets"].as_object();
    let path = |(path, file): (&String, &Value)| {
        let digest = file["hashes"]["sha256"].as_str()?;
        let (folder, name) = path.rsplit_once('/')?;
        Some(format!("targets/{folder}/{digest}.{name}"))
    };
    targets.into_iter().flatten().filter_map(path).collect()
}
