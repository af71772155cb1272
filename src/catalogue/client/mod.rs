//! The client of a catalogue: TUF 1.0, section 5, with state on disk that never goes back (promise P5).
//!
//! Each file is written durably as soon as it is accepted, in the order of acceptance: roots, timestamp, snapshot, targets, boards.
//! A kill in between leaves a floor that is as high as what was seen; offline use then waits for the next whole refresh.
//!
//! A change of the timestamp's or snapshot's keys ends the *epoch*: their files lie in a folder named after those keys, so a new
//! root that changes them leaves the old ones behind in the same instant (fast-forward recovery, 5.3.11, without a window).
//!
//! The clock is checked too: a time is remembered whenever the catalogue held at it, and a clock that says more than
//! [`CLOCK_TOLERANCE`] less is refused, since it would bring expired metadata back to life. Only times at which nothing had
//! expired are remembered, so a clock that once ran years ahead does no lasting harm.
//!
//! Whoever can write to the state can make it forget. It is as private as the identity beside it.

mod search;
mod source;
mod state;

pub use search::Search;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::document::TopRole;
use super::schema::{Delegation, FileMeta, RootRole, TargetsRole, TimestampRole};
use super::trusted::{Closed, Delegated, Parts};
use super::{Document, Error, Keyring, Remote, RoleName, TrustedCatalogue, verify};
use crate::catalogue::schema::{MAX_DELEGATIONS, SnapshotRole};
use crate::digest::Sha256Digest;
use crate::statement::CatalogueId;
use crate::time::Timestamp;
use source::{Offline, Online, Source};
use state::State;

/// How far behind the latest known time the clock may run, in seconds: two machines' clocks differ by this much, and no
/// expiry is a matter of minutes.
pub const CLOCK_TOLERANCE: i64 = 5 * 60;

/// Most new roots that one refresh follows.
const MAX_ROOTS: u64 = 32;

/// Timestamp, snapshot and targets.
type Top = (Document<TimestampRole>, Document<SnapshotRole>, Document<TargetsRole>);

/// A client whose trusted state is in a folder.
#[derive(Debug, Clone)]
pub struct Client {
    state: State,
    /// Whether the caller says by [`Self::confirm_clock`] that a step succeeded, and when.
    confirms_clock: bool,
}

impl Client {
    /// The client with this state; the folder need not be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { state: State::new(folder.into()), confirms_clock: false }
    }

    /// The same, whose clock moves only once the caller confirms it: a clock that runs ahead must leave no trace of a step that was refused for it.
    #[must_use]
    pub fn confirming_clock(mut self) -> Self {
        self.confirms_clock = true;
        self
    }

    /// Remembers that a step at this time succeeded. No earlier time is accepted afterwards.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::Io`], [`Error::Busy`].
    pub fn confirm_clock(&self, now: Timestamp) -> Result<(), Error> {
        let _lock = self.state.lock()?;
        self.state.keep_clock(now)
    }

    /// Trusts a root, of whatever version, because its user says so: its owners' own signatures are checked. Trusting the
    /// same catalogue again changes nothing.
    ///
    /// # Errors
    /// [`Error::OtherRoot`] where another root is trusted already; what is wrong with the root.
    pub fn trust(&self, root: &[u8]) -> Result<Document<RootRole>, Error> {
        let _lock = self.state.lock()?;
        let offered = verify::first_root("the root given", root.to_vec())?;
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

    /// Which catalogue a root founds, whose owners' own signatures are checked; nothing is trusted yet.
    ///
    /// # Errors
    /// What is wrong with the root.
    pub fn founded_by(root: &[u8]) -> Result<CatalogueId, Error> {
        Ok(CatalogueId::new(verify::first_root("the root", root.to_vec())?.digest()))
    }

    /// The newest root that is trusted, if any is.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::Io`].
    pub fn root(&self) -> Result<Option<Document<RootRole>>, Error> {
        self.state.root()
    }

    /// The digest of what is signed in the root that the user trusted first, if there is one.
    ///
    /// # Errors
    /// [`Error::State`], [`Error::Io`].
    pub fn first_root(&self) -> Result<Option<Sha256Digest>, Error> {
        self.state.first_root()
    }

    /// Brings the state up to date with `remote` and hands out the catalogue, all of it verified and unexpired at `now`.
    ///
    /// # Errors
    /// What is wrong with the catalogue, naming the file; [`Error::NoRoot`], [`Error::Clock`], [`Error::Busy`]. The state
    /// keeps what was accepted before the refusal.
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

    /// Hands out the catalogue as the last whole refresh left it, if nothing in it has expired at `now`.
    ///
    /// # Errors
    /// Those of [`Self::refresh`]; [`Error::Missing`] or [`Error::Version`] where the last refresh was cut short.
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

    /// The metadata that is trusted now: each role's file name, without its version, and its bytes.
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

    /// 5.3: every root from the trusted one on, each signed by the one before it.
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

    /// 5.4 to 5.6: timestamp, snapshot, targets and every delegated role.
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

    /// 5.4 to 5.6: timestamp, snapshot and targets, not yet what is delegated.
    fn top(&self, root: &Document<RootRole>, source: &dyn Source, now: Timestamp) -> Result<Top, Error> {
        let (seen_timestamp, seen_snapshot) = self.state.seen(root)?;
        let timestamp = verify::next_timestamp(root, seen_timestamp, source.timestamp()?)?;
        timestamp.require_unexpired(now)?;
        source.keep_timestamp(&timestamp)?;
        let snapshot = snapshot(root, &timestamp, seen_snapshot.as_ref(), source)?;
        snapshot.require_unexpired(now)?;
        source.keep_snapshot(&snapshot)?;
        let keyring = Keyring::of(root, TopRole::Targets)?;
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

/// Every role that is delegated to and published, each name once, so no loop is followed. One for another catalogue ends the refresh; one that
/// names none, or whose owners' metadata names none, is closed until it is signed anew, so that its keepers still can.
fn delegated(
    catalogue: CatalogueId,
    targets: &Document<TargetsRole>,
    snapshot: &Document<SnapshotRole>,
    source: &dyn Source,
    now: Timestamp,
) -> Result<(Delegated, BTreeMap<RoleName, Closed>), Error> {
    let mut found = Delegated::new();
    let mut closed = BTreeMap::new();
    let mut open: Vec<(Keyring, Delegation)> = Vec::new();
    push_delegations(targets, &mut open)?;
    let mut next = 0;
    while next < open.len() {
        let (keyring, delegation) = open[next].clone();
        next += 1;
        let name = &delegation.name;
        // A board that has published nothing yet is no reason to refuse the others.
        let Some(listed) = snapshot.role().meta.get(&format!("{name}.json")) else {
            continue;
        };
        if found.contains_key(name) || closed.contains_key(name) {
            continue;
        }
        if found.len() + closed.len() == MAX_DELEGATIONS {
            return Err(Error::malformed(
                targets.file(),
                format!("more than {MAX_DELEGATIONS} roles follow from it"),
            ));
        }
        let document = match role(&keyring, &name.file_stem(), listed, source, now) {
            // One board that lets its metadata lapse closes its own checkpoint, not the others'.
            Err(Error::Expired { file, expired, now }) => {
                closed.insert(name.clone(), Closed::Expired { file, expired, now });
                continue;
            }
            document => document?,
        };
        match targets.require_catalogue(catalogue).and_then(|()| document.require_catalogue(catalogue)) {
            Err(Error::NoCatalogue { file }) => {
                closed.insert(name.clone(), Closed::NoCatalogue { file });
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
        open.push((Keyring::of_delegation(parent, delegation)?, delegation.clone()));
    }
    Ok(())
}
