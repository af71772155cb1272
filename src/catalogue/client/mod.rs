//! The catalogue client: TUF 1.0, section 5, with state on disk that never moves backwards (promise P5).
//!
//! Each file is written durably when it is accepted, in the order of acceptance: roots, timestamp, snapshot, targets, boards. After a
//! kill, the client still refuses anything older than it accepted; offline use then requires a complete refresh.
//!
//! A change of the timestamp's or snapshot's keys begins a new *epoch*. Their files are in a folder named after the keys, so a root that
//! changes the keys also abandons the old files (fast-forward recovery, 5.3.11) in one atomic step.
//!
//! The client also checks the clock: it stores the latest time at which the catalogue was valid, and refuses a clock that is more than
//! [`CLOCK_TOLERANCE`] behind it, which would make expired metadata valid again. It stores only times at which nothing had expired, so
//! that a clock that once ran years ahead does no lasting harm.
//!
//! An attacker who can write to the state can reset it. The state is as private as the identity beside it.

mod search;
mod source;
mod state;

pub use search::Search;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::document::TopRole;
use super::schema::{Delegation, FileMeta, RootRole, TargetsRole, TimestampRole};
use super::trusted::{ClosureReason, Delegated, Parts};
use super::{Document, Error, Keyring, Remote, RoleName, TrustedCatalogue, verify};
use crate::catalogue::schema::{MAX_DELEGATIONS, SnapshotRole};
use crate::digest::Sha256Digest;
use crate::statement::CatalogueId;
use crate::time::Timestamp;
use source::{Offline, Online, Source};
use state::State;

/// How far the clock may be behind the latest known time, in seconds: clocks of two machines may differ by this much.
pub const CLOCK_TOLERANCE: i64 = 5 * 60;

/// Maximum number of new roots that one refresh follows.
const MAX_ROOTS: u64 = 32;

/// Timestamp, snapshot and targets.
type Top = (Document<TimestampRole>, Document<SnapshotRole>, Document<TargetsRole>);

/// A client with its trusted state in a folder.
#[derive(Debug, Clone)]
pub struct Client {
    state: State,
    /// Whether the stored time advances only with [`Self::confirm_clock`].
    confirms_clock: bool,
}

impl Client {
    /// A client with its state in `folder`, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { state: State::new(folder.into()), confirms_clock: false }
    }

    /// Advances the stored time only when the caller confirms it, so that a refused step with a wrong clock leaves no trace.
    #[must_use]
    pub fn with_clock_confirmation(mut self) -> Self {
        self.confirms_clock = true;
        self
    }

    /// Stores that a step at this time succeeded; earlier times are refused from then on.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::Io`], [`Error::Busy`].
    pub fn confirm_clock(&self, now: Timestamp) -> Result<(), Error> {
        let _lock = self.state.lock()?;
        self.state.keep_clock(now)
    }

    /// Trusts a root of any version that the user chose; its owners must have signed it. Trusting the same catalogue again changes nothing.
    ///
    /// # Errors
    /// [`Error::OtherRoot`] if the state trusts another catalogue; an invalid root.
    pub fn trust(&self, root: &[u8]) -> Result<Document<RootRole>, Error> {
        let _lock = self.state.lock()?;
        let offered = verify::first_root("the given root", root.to_vec())?;
        let Some(trusted) = self.state.root()? else {
            self.state.keep_first_root(&offered)?;
            return Ok(offered);
        };
        let first = self.state.first_root()?;
        if offered.digest() == trusted.digest() || first.is_some_and(|first| first == offered.digest()) {
            return Ok(trusted);
        }
        Err(Error::OtherRoot { trusted: trusted.version(), offered: offered.version() })
    }

    /// Verifies a first root and returns the id of its catalogue, without trusting it.
    ///
    /// # Errors
    /// An invalid root.
    pub fn identify_root(root: &[u8]) -> Result<CatalogueId, Error> {
        Ok(CatalogueId::new(verify::first_root("the root", root.to_vec())?.digest()))
    }

    /// Returns the newest trusted root, if any.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::Io`].
    pub fn root(&self) -> Result<Option<Document<RootRole>>, Error> {
        self.state.root()
    }

    /// Returns the digest of the signed part of the root that the user trusted first, if any.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::Io`].
    pub fn first_root(&self) -> Result<Option<Sha256Digest>, Error> {
        self.state.first_root()
    }

    /// Updates the state from `remote` and returns the catalogue, verified and unexpired at `now`.
    ///
    /// # Errors
    /// Invalid metadata, with the file's name; [`Error::NoRoot`], [`Error::Clock`], [`Error::Busy`]. The state keeps what was accepted
    /// before the error.
    pub fn refresh(&self, remote: &dyn Remote, now: Timestamp) -> Result<TrustedCatalogue, Error> {
        let _lock = self.state.lock()?;
        self.require_sane_clock(now)?;
        let root = self.follow_roots(remote)?;
        root.require_unexpired(now)?;
        let online = Online { remote, state: &self.state, epoch: self.state.epoch(&root) };
        let catalogue = self.complete(root, &online, now)?;
        if !self.confirms_clock {
            self.state.keep_clock(now)?;
        }
        Ok(catalogue)
    }

    /// Returns the catalogue of the last complete refresh, unexpired at `now`, without a network.
    ///
    /// # Errors
    /// Those of [`Self::refresh`]; [`Error::Missing`] or [`Error::Version`] if the last refresh was interrupted.
    pub fn load_offline(&self, now: Timestamp) -> Result<TrustedCatalogue, Error> {
        let _lock = self.state.lock()?;
        self.require_sane_clock(now)?;
        let root = self.trusted_root()?;
        root.require_unexpired(now)?;
        let offline = Offline { state: &self.state, epoch: self.state.epoch(&root) };
        let catalogue = self.complete(root, &offline, now)?;
        if !self.confirms_clock {
            self.state.keep_clock(now)?;
        }
        Ok(catalogue)
    }

    /// Returns the trusted metadata: file names without versions, and bytes.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::State`].
    pub fn trusted_files(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.state.files()
    }

    fn trusted_root(&self) -> Result<Document<RootRole>, Error> {
        self.state.root()?.ok_or_else(|| Error::NoRoot { path: self.state.folder().to_owned() })
    }

    fn require_sane_clock(&self, now: Timestamp) -> Result<(), Error> {
        match self.state.clock()? {
            Some(seen) if seen.seconds_since(now) > CLOCK_TOLERANCE => Err(Error::Clock { now, seen }),
            _ => Ok(()),
        }
    }

    /// 5.3: follows the roots from the trusted one, each signed by its predecessor's owners.
    fn follow_roots(&self, remote: &dyn Remote) -> Result<Document<RootRole>, Error> {
        let mut root = self.trusted_root()?;
        for _ in 0..MAX_ROOTS {
            let path = format!("metadata/{}", verify::root_file(root.version() + 1));
            let Some(bytes) = remote.fetch(&path, <RootRole as super::Role>::MAX_BYTES)? else {
                break;
            };
            let next = verify::next_root(&root, bytes)?;
            if next.catalogue().is_some() {
                next.require_catalogue(self.state.catalogue(&root)?)?;
            }
            root = next;
            self.state.keep_root(&root)?;
        }
        self.state.leave_other_epochs(&self.state.epoch(&root))?;
        Ok(root)
    }

    /// 5.4 to 5.6: loads timestamp, snapshot, targets and all delegated roles.
    fn complete(
        &self,
        root: Document<RootRole>,
        source: &dyn Source,
        now: Timestamp,
    ) -> Result<TrustedCatalogue, Error> {
        let catalogue = self.state.catalogue(&root)?;
        let (timestamp, snapshot, targets) = self.top(&root, source, now)?;
        if targets.catalogue().is_some() {
            targets.require_catalogue(catalogue)?;
        }
        let (delegated, closed) = delegated(catalogue, &targets, &snapshot, source, now)?;
        let parts = Parts { root, timestamp, snapshot, targets, delegated, closed };
        TrustedCatalogue::new(catalogue, parts, Some(self.state.cache()))
    }

    /// 5.4 to 5.6: loads timestamp, snapshot and targets, without delegated roles.
    fn top(&self, root: &Document<RootRole>, source: &dyn Source, now: Timestamp) -> Result<Top, Error> {
        let (seen_timestamp, seen_snapshot) = self.state.seen(root)?;
        let timestamp = verify::next_timestamp(root, seen_timestamp, source.timestamp()?)?;
        timestamp.require_unexpired(now)?;
        source.keep_timestamp(&timestamp)?;
        let snapshot = snapshot(root, &timestamp, seen_snapshot.as_ref(), source)?;
        snapshot.require_unexpired(now)?;
        source.keep_snapshot(&snapshot)?;
        let keyring = Keyring::from_root(root, TopRole::Targets)?;
        let Some(listed) = snapshot.role().meta.get("targets.json") else {
            return Err(Error::Missing { file: "targets.json".to_owned() });
        };
        let targets = role(&keyring, "targets", listed, source, now)?;
        Ok((timestamp, snapshot, targets))
    }
}

fn snapshot(
    root: &Document<RootRole>,
    timestamp: &Document<TimestampRole>,
    seen: Option<&Document<SnapshotRole>>,
    source: &dyn Source,
) -> Result<Document<SnapshotRole>, Error> {
    let listed = &timestamp.role().meta.snapshot;
    if let Some(bytes) = source.kept_snapshot()?
        && let Ok(kept) = verify::next_snapshot(root, listed, seen, bytes)
    {
        return Ok(kept);
    }
    verify::next_snapshot(root, listed, seen, source.snapshot(listed.version)?)
}

fn role(
    keyring: &Keyring,
    name: &str,
    listed: &FileMeta,
    source: &dyn Source,
    now: Timestamp,
) -> Result<Document<TargetsRole>, Error> {
    let file = verify::targets_file(name, listed.version);
    let kept = source.kept_targets(name)?;
    let kept = kept.and_then(|bytes| verify::next_targets(keyring, &file, listed, bytes).ok());
    let is_kept = kept.is_some();
    let document = match kept {
        Some(kept) => kept,
        None => verify::next_targets(keyring, &file, listed, source.targets(name, listed.version)?)?,
    };
    document.require_unexpired(now)?;
    if !is_kept {
        source.keep_targets(name, &document)?;
    }
    Ok(document)
}

/// Loads all delegated and published roles, each name once, so that loops end. A role for another catalogue is an error. A role that
/// names no catalogue, or whose owners' metadata names none, is closed, so that its board can sign it again.
fn delegated(
    catalogue: CatalogueId,
    targets: &Document<TargetsRole>,
    snapshot: &Document<SnapshotRole>,
    source: &dyn Source,
    now: Timestamp,
) -> Result<(Delegated, BTreeMap<RoleName, ClosureReason>), Error> {
    let mut found = Delegated::new();
    let mut closed = BTreeMap::new();
    let mut open: Vec<(Keyring, Delegation)> = Vec::new();
    push_delegations(targets, &mut open)?;
    let mut next = 0;
    while next < open.len() {
        let (keyring, delegation) = open[next].clone();
        next += 1;
        let name = &delegation.name;
        // A board that published nothing yet does not affect the others.
        let Some(listed) = snapshot.role().meta.get(&format!("{name}.json")) else {
            continue;
        };
        if found.contains_key(name) || closed.contains_key(name) {
            continue;
        }
        if found.len() + closed.len() == MAX_DELEGATIONS {
            return Err(Error::malformed(
                targets.file(),
                format!("it leads to more than {MAX_DELEGATIONS} roles"),
            ));
        }
        let document = match role(&keyring, &name.file_stem(), listed, source, now) {
            // A board whose metadata expired closes only its own checkpoint.
            Err(Error::Expired { file, expired, now }) => {
                closed.insert(name.clone(), ClosureReason::Expired { file, expired, now });
                continue;
            }
            document => document?,
        };
        match targets.require_catalogue(catalogue).and_then(|()| document.require_catalogue(catalogue)) {
            Err(Error::NoCatalogue { file }) => {
                closed.insert(name.clone(), ClosureReason::NoCatalogue { file });
                continue;
            }
            checked => checked?,
        }
        push_delegations(&document, &mut open)?;
        found.insert(name.clone(), document);
    }
    Ok((found, closed))
}

fn push_delegations(
    parent: &Document<TargetsRole>,
    open: &mut Vec<(Keyring, Delegation)>,
) -> Result<(), Error> {
    for delegation in parent.role().delegations.iter().flat_map(|delegations| &delegations.roles) {
        open.push((Keyring::from_delegation(parent, delegation)?, delegation.clone()));
    }
    Ok(())
}
