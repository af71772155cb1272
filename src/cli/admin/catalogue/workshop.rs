//! Where a keeper works on the catalogue: the registry's own folder, or a copy of what a server has, of which the changes are handed in.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::catalogue::{Parcel, Remote as _, Repository, Subject};
use crate::cli::home::{Home, Place, write_whole};
use crate::cli::output::Output;
use crate::cli::registry;
use crate::client::remote::RemoteRegistry;

/// Longest file of a catalogue.
const MOST_BYTES: u64 = 64 << 20;

/// A catalogue to work on.
pub(super) struct Workshop {
    repository: Repository,
    server: Option<Server>,
}

/// The server whose catalogue it is, and what was proposed when the copy was made.
struct Server {
    registry: RemoteRegistry,
    is_founded: bool,
    before: BTreeMap<Subject, Parcel>,
    _copy: TempDir,
}

impl Workshop {
    /// Opens the catalogue of the home's registry.
    pub(super) fn open(home: &Home, output: Output) -> anyhow::Result<Self> {
        match home.place()? {
            Place::Folder(_) => Ok(Self { repository: Repository::at(home.catalogue()?), server: None }),
            Place::Address(address) => Self::copy(registry::remote(home, &address, output)?),
        }
    }

    fn copy(registry: RemoteRegistry) -> anyhow::Result<Self> {
        let copy = tempfile::tempdir().context("cannot make a temporary folder")?;
        let is_founded = registry.info()?.founded;
        if is_founded {
            bring_published(&registry, copy.path())?;
        }
        let repository = Repository::at(copy.path());
        let mut before = BTreeMap::new();
        for subject in registry.proposals(is_founded)? {
            let parcel = registry.proposal(&subject, is_founded)?;
            repository.receive(&subject, &parcel, true)?;
            // As it lies here, so that only what is changed here is handed in.
            before.insert(subject.clone(), repository.parcel(&subject)?);
        }
        let server = Server { registry, is_founded, before, _copy: copy };
        Ok(Self { repository, server: Some(server) })
    }

    /// The catalogue to work on.
    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Whether it is a folder that the registry publishes when it is told.
    pub(super) fn is_folder(&self) -> bool {
        self.server.is_none()
    }

    /// Hands in what changed; the roles that the registry published at once.
    pub(super) fn hand_in(&self, founding_code: Option<&str>) -> anyhow::Result<Vec<Subject>> {
        let Some(server) = &self.server else {
            return Ok(Vec::new());
        };
        let mut published = Vec::new();
        let now = self.repository.proposals()?;
        for gone in server.before.keys().filter(|subject| !now.contains(subject)) {
            server.registry.withdraw_proposal(gone)?;
        }
        for subject in now {
            let parcel = self.repository.parcel(&subject)?;
            if server.before.get(&subject) == Some(&parcel) {
                continue;
            }
            let receipt = server.registry.propose(&subject, &parcel, founding_code, server.is_founded)?;
            for role in receipt.published {
                published.push(role.parse()?);
            }
        }
        Ok(published)
    }
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
    let bytes = registry.fetch(path, MOST_BYTES)?;
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
