//! A look at single targets: delegated roles are fetched only as the search comes to them (TUF 1.0, 5.6.7), each checked against the keys
//! that this very search found for it. What a board's whole catalogue needs is [`Client::refresh`]; this is for repositories of others.

use super::source::Online;
use super::{Client, role};
use crate::catalogue::durable::Lock;
use crate::catalogue::schema::{SnapshotRole, TargetsRole};
use crate::catalogue::trusted::{fetch, info};
use crate::catalogue::walk::walk;
use crate::catalogue::{Document, Error, Keyring, Remote, TargetInfo};
use crate::time::Timestamp;

/// The top-level metadata, brought up to date, from which searches begin.
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
    /// Brings the top-level metadata up to date, to search from it.
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
    /// The bytes of the target at `path`, verified.
    ///
    /// # Errors
    /// [`Error::NoTarget`]; what is wrong with a role on the way, or with the bytes.
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
            let keyring = Keyring::of_delegation(parent, delegation)?;
            role(&keyring, &delegation.name.file_stem(), listed, &source, self.now).map(Some)
        })?;
        Ok(found.and_then(|(role, document, file)| Some(info(path.parse().ok()?, role, &document, file))))
    }
}
