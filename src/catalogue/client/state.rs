//! The trusted state: a folder that belongs to one client.
//!
//! ```text
//! first.json                 the digest of the root that the user trusted
//! root.json                  the newest trusted root
//! online-<epoch>/            timestamp.json, snapshot.json under the keys of this epoch
//! targets/<role>.json        the newest accepted targets metadata
//! clock.json                 the latest time at which the catalogue was valid
//! cache/<sha256>             target files, each verified
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::catalogue::document::TopRole;
use crate::catalogue::durable::{self, Lock};
use crate::catalogue::schema::{Role, RootRole, SnapshotRole, TargetsRole, TimestampRole};
use crate::catalogue::{Document, Error, Keyring, verify};
use crate::digest::Sha256Digest;
use crate::statement::CatalogueId;
use crate::time::Timestamp;

#[derive(Debug, Clone)]
pub(super) struct State {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    latest: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    root: Sha256Digest,
}

/// Longest accepted `clock.json` and `first.json`, in bytes.
const MAX_NOTE_BYTES: u64 = 1024;

type Seen = (Option<Document<TimestampRole>>, Option<Document<SnapshotRole>>);

impl State {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn lock(&self) -> Result<Lock, Error> {
        Lock::take(&self.folder)
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    pub(super) fn root(&self) -> Result<Option<Document<RootRole>>, Error> {
        self.parse("root.json", RootRole::MAX_BYTES, |bytes| verify::first_root("root.json", bytes))
    }

    /// Returns the digest of the root that the user trusted first.
    pub(super) fn first_root(&self) -> Result<Option<Sha256Digest>, Error> {
        self.note("first.json").map(|note: Option<First>| note.map(|first| first.root))
    }

    /// Returns the catalogue of `root`. Later roots name it. For a root of an old version that does not, the root that the user trusted
    /// first must be the catalogue's first root.
    pub(super) fn catalogue(&self, root: &Document<RootRole>) -> Result<CatalogueId, Error> {
        if root.version() == 1 {
            return Ok(CatalogueId::new(root.digest()));
        }
        let named = root.catalogue();
        let first = named.is_none().then(|| self.first_root()).transpose()?.flatten();
        named.or(first.map(CatalogueId::new)).ok_or_else(|| Error::NoRoot { path: self.folder.clone() })
    }

    pub(super) fn keep_first_root(&self, root: &Document<RootRole>) -> Result<(), Error> {
        self.keep_note("first.json", &First { root: root.digest() })?;
        self.keep_root(root)
    }

    pub(super) fn keep_root(&self, root: &Document<RootRole>) -> Result<(), Error> {
        durable::write(&self.folder.join("root.json"), root.bytes())
    }

    /// Returns a name derived from the keys that sign timestamps and snapshots.
    pub(super) fn epoch(&self, root: &Document<RootRole>) -> String {
        let mut text = String::new();
        for role in [TopRole::Timestamp, TopRole::Snapshot] {
            // A trusted root has these quorums; without them the epoch is an empty one.
            if let Ok(keyring) = Keyring::from_root(root, role) {
                text += &format!("{:?} of {:?};", keyring.quorum().threshold(), keyring.quorum().keys());
            }
        }
        let digest = Sha256Digest::compute(text.as_bytes()).to_string();
        format!("online-{}", digest.chars().take(16).collect::<String>())
    }

    /// Removes the files of other epochs.
    pub(super) fn leave_other_epochs(&self, epoch: &str) -> Result<(), Error> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(Error::io("list", &self.folder))?,
        };
        for entry in entries {
            let entry = entry.map_err(Error::io("list", &self.folder))?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("online-") && name != epoch) {
                durable::remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Returns the last accepted timestamp and snapshot, the lower bounds for new ones.
    pub(super) fn seen(&self, root: &Document<RootRole>) -> Result<Seen, Error> {
        let epoch = self.epoch(root);
        let timestamp =
            self.parse(&format!("{epoch}/timestamp.json"), TimestampRole::MAX_BYTES, |bytes| {
                verify::next_timestamp(root, None, bytes)
            })?;
        let snapshot = self.parse(&format!("{epoch}/snapshot.json"), SnapshotRole::MAX_BYTES, |bytes| {
            let document = Document::parse("snapshot.json", bytes)?;
            Keyring::from_root(root, TopRole::Snapshot)?.verify(&document)?;
            Ok(document)
        })?;
        Ok((timestamp, snapshot))
    }

    pub(super) fn clock(&self) -> Result<Option<Timestamp>, Error> {
        self.note("clock.json").map(|note: Option<Clock>| note.map(|clock| clock.latest))
    }

    /// Stores that the catalogue was valid at `now`; never stores an earlier time.
    pub(super) fn keep_clock(&self, now: Timestamp) -> Result<(), Error> {
        if self.clock()?.is_some_and(|latest| latest >= now) {
            return Ok(());
        }
        self.keep_note("clock.json", &Clock { latest: now })
    }

    pub(super) fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, Error> {
        durable::read(&self.folder.join(name), name, max)
    }

    pub(super) fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        durable::write(&self.folder.join(name), bytes)
    }

    /// Returns the stored metadata by file name.
    pub(super) fn files(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut files = Vec::new();
        let Some(root) = self.root()? else {
            return Ok(files);
        };
        for folder in [self.epoch(&root), "targets".to_owned()] {
            let folder = self.folder.join(folder);
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries.map_err(Error::io("list", &folder))?,
            };
            for entry in entries {
                let path = entry.map_err(Error::io("list", &folder))?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
                if let Some(bytes) = durable::read(&path, &name, TargetsRole::MAX_BYTES)? {
                    files.push((name, bytes));
                }
            }
        }
        files.push(("root.json".to_owned(), root.bytes().to_vec()));
        Ok(files)
    }

    /// Parses a file of the state. Damage is an error, not absence, which would reset the state.
    fn parse<T>(
        &self,
        name: &str,
        max: u64,
        parse: impl FnOnce(Vec<u8>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let damaged = |source| Error::State { path: self.folder.join(name), source: Box::new(source) };
        match self.read(name, max) {
            Ok(Some(bytes)) => parse(bytes).map(Some).map_err(damaged),
            Ok(None) => Ok(None),
            Err(error @ Error::TooLong { .. }) => Err(damaged(error)),
            Err(error) => Err(error),
        }
    }

    fn note<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, Error> {
        self.parse(name, MAX_NOTE_BYTES, |bytes| {
            crate::json::from_slice(&bytes).map_err(|error| Error::malformed(name, error))
        })
    }

    fn keep_note(&self, name: &str, note: &impl Serialize) -> Result<(), Error> {
        let bytes = serde_json::to_vec(note).map_err(|error| Error::malformed(name, error))?;
        self.keep(name, &bytes)
    }
}
