//! Fetches single targets: delegated roles are fetched only when the search reaches them (TUF 1.0, 5.6.7), and each is verified with the
//! keys that the search found for it. For TUF repositories of others; this program's catalogues use [`Client::refresh`].

use super::source::Online;
use super::{Client, role};
use crate::catalogue::durable::Lock;
use crate::catalogue::schema::{SnapshotRole, TargetsRole};
use crate::catalogue::trusted::{fetch, info};
use crate::catalogue::walk::walk;
use crate::catalogue::{Document, Error, Keyring, Remote, TargetInfo};
use crate::time::Timestamp;

/// A search for targets that begins at up-to-date top-level metadata.
pub struct Search<'a> {
    client: &'a Client,
    remote: &'a dyn Remote,
    now: Timestamp,
    epoch: String,
    snapshot: Document<SnapshotRole>,
    targets: Document<TargetsRole>,
    _lock: Lock,
}

impl Client {
    /// Updates the top-level metadata and begins a search.
    ///
    /// # Errors
    /// Those of [`Client::refresh`].
    pub fn search<'a>(&'a self, remote: &'a dyn Remote, now: Timestamp) -> Result<Search<'a>, Error> {
        let lock = self.state.lock()?;
        self.require_sane_clock(now)?;
        let root = self.follow_roots(remote)?;
        root.require_unexpired(now)?;
        let epoch = self.state.epoch(&root);
        let online = Online { remote, state: &self.state, epoch: epoch.clone() };
        let (_, snapshot, targets) = self.top(&root, &online, now)?;
        self.state.keep_clock(now)?;
        Ok(Search { client: self, remote, now, epoch, snapshot, targets, _lock: lock })
    }
}

impl Search<'_> {
    /// Fetches the target at `path` and verifies it.
    ///
    /// # Errors
    /// [`Error::NoTarget`]; an invalid role on the path, or wrong bytes.
    pub fn fetch(&self, path: &str) -> Result<Vec<u8>, Error> {
        let no_target = || Error::NoTarget { path: path.chars().take(80).collect() };
        let info = self.target(path)?.ok_or_else(no_target)?;
        fetch(self.remote, Some(&self.client.state.cache()), &info)
    }

    fn target(&self, path: &str) -> Result<Option<TargetInfo>, Error> {
        let source = Online { remote: self.remote, state: &self.client.state, epoch: self.epoch.clone() };
        let found = walk(self.targets.clone(), path, |parent, delegation| {
            let Some(listed) = self.snapshot.role().meta.get(&format!("{}.json", delegation.name)) else {
                return Ok(None);
            };
            let keyring = Keyring::from_delegation(parent, delegation)?;
            role(&keyring, &delegation.name.file_stem(), listed, &source, self.now).map(Some)
        })?;
        Ok(found.and_then(|(role, document, file)| Some(info(path.parse().ok()?, role, &document, file))))
    }
}
