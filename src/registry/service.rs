//! The registry as a service: its stores, and the verified catalogue.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::chunk_memory::ChunkMemory;
use super::reading_log::Readings;
use super::sequencer::Sequencer;
use super::session::Bearers;
use super::witnessing::{WitnessAddress, Witnesses};
use super::{AdmissionRules, Error, Keys};
use crate::access::RulesInForce;
use crate::blob::Blobs;
use crate::catalogue::{self, Client, Remote};
use crate::client::Catalogue;
use crate::digest::Sha256Digest;
use crate::identity::{Identity, KeyId, Signer, VerifyingKey};
use crate::misuse::Scorer;
use crate::name::{CheckpointId, Label};
use crate::seal::{ChunkOpener, Locks};
use crate::statement::Quorum;
use crate::store::{CatalogueFiles, Store};
use crate::time::Timestamp;

/// A registry: keys, database and chunks. Replicas that share the last two are one registry.
pub struct Registry {
    pub(super) store: Store,
    pub(super) blobs: Blobs,
    pub(super) identity: Identity,
    pub(super) signer: Box<dyn Signer>,
    /// Where this process keeps its trusted state of the catalogue, as every client does.
    pub(super) state: PathBuf,
    files: Mutex<Option<Arc<CatalogueFiles>>>,
    seen: Mutex<Option<Arc<View>>>,
    pub(super) bearers: Bearers,
    pub(super) sequencer: Sequencer,
    pub(super) readings: Readings,
    pub(super) clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    pub(super) witnesses: Witnesses,
    /// Limits for people who are not in the catalogue.
    pub(super) admission: AdmissionRules,
    /// The key of proof-of-work challenges, once it is read.
    pub(super) challenge_key: OnceLock<Sha256Digest>,
    /// Opened public checkpoints, by their sealed manifests.
    pub(super) opened: Mutex<BTreeMap<Sha256Digest, Arc<ChunkOpener>>>,
    /// Memory for their decrypted chunks.
    pub(super) chunk_memory: Arc<ChunkMemory>,
}

/// The catalogue at one version.
pub struct View {
    version: i64,
    /// The verified catalogue.
    pub catalogue: Catalogue,
    rules: Mutex<BTreeMap<CheckpointId, Arc<RulesInForce>>>,
    deciders: OnceLock<BTreeMap<KeyId, Vec<CheckpointId>>>,
    scorer: OnceLock<Option<Arc<Scorer>>>,
    pub(super) organizations: OnceLock<BTreeMap<Label, Quorum>>,
}

impl Registry {
    /// A registry of these parts; `state` is a private folder of this process.
    pub fn new(
        store: Store,
        blobs: Blobs,
        identity: Identity,
        signer: Box<dyn Signer>,
        state: PathBuf,
    ) -> Self {
        Self {
            store,
            blobs,
            identity,
            signer,
            state,
            files: Mutex::default(),
            seen: Mutex::default(),
            bearers: Bearers::default(),
            sequencer: Sequencer::default(),
            readings: Readings::default(),
            clock: Box::new(Timestamp::now),
            witnesses: Witnesses::default(),
            admission: AdmissionRules::default(),
            challenge_key: OnceLock::new(),
            opened: Mutex::default(),
            chunk_memory: Arc::default(),
        }
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Replaces the limits for people who are not in the catalogue.
    #[must_use]
    pub fn with_admission(mut self, admission: AdmissionRules) -> Self {
        self.admission = admission;
        self
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Sets the witnesses that cosign the log's heads.
    ///
    /// # Errors
    /// [`Error::NotWitnessed`] if HTTP cannot be set up.
    pub fn with_witnesses(mut self, witnesses: Vec<WitnessAddress>) -> Result<Self, Error> {
        self.witnesses = Witnesses::new(witnesses)?;
        Ok(self)
    }

    /// The registry's database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The registry's chunk store.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// The key that signs leases and tree heads.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.signer.verifying_key()
    }

    /// The id of [`Self::verifying_key`].
    pub fn key_id(&self) -> KeyId {
        self.verifying_key().id()
    }

    pub(super) fn keys(&self) -> Keys<'_> {
        Keys { opening: self.identity.opening_key(), signer: &*self.signer }
    }

    /// The published catalogue, verified from its first root on.
    ///
    /// # Errors
    /// [`Error::Unfounded`] before the first publication; [`Error::Catalogue`], [`Error::Store`].
    pub async fn view(&self) -> Result<Arc<View>, Error> {
        let files = self.files().await?;
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(view) = seen.filter(|view| view.version == files.version) {
            return Ok(view);
        }
        let Some(root) = files
            .files
            .get("metadata/1.root.json")
            .filter(|_| files.files.contains_key("metadata/timestamp.json"))
        else {
            return Err(Error::Unfounded);
        };
        let client = Client::new(&self.state);
        client.trust(root)?;
        let remote = MemoryFiles(files.clone());
        let trusted = client.refresh(&remote, self.now())?;
        let catalogue = Catalogue::new(trusted, Box::new(remote));
        let view = Arc::new(View {
            version: files.version,
            catalogue,
            rules: Mutex::default(),
            deciders: OnceLock::new(),
            scorer: OnceLock::new(),
            organizations: OnceLock::new(),
        });
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(view.clone());
        Ok(view)
    }

    /// Whether the catalogue has been published.
    ///
    /// # Errors
    /// [`Error::Catalogue`], [`Error::Store`].
    pub async fn is_founded(&self) -> Result<bool, Error> {
        match self.view().await {
            Ok(_) => Ok(true),
            Err(Error::Unfounded) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The catalogue's files, read again only after a change.
    pub(super) async fn files(&self) -> Result<Arc<CatalogueFiles>, Error> {
        let version = self.store.catalogue_version().await?;
        let known = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(files) = known.filter(|files| files.version == version) {
            return Ok(files);
        }
        let files = Arc::new(self.store.catalogue_files().await?);
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = Some(files.clone());
        Ok(files)
    }

    /// The shares of the sealed checkpoint that the rules name.
    ///
    /// # Errors
    /// [`Error::NotSealed`], [`Error::Seal`], [`Error::Store`].
    pub(super) async fn locks(&self, rules: &RulesInForce) -> Result<Locks, Error> {
        let row = self.store.seal(rules.manifest).await?;
        let row = row.ok_or_else(|| Error::NotSealed { checkpoint: rules.checkpoint.clone() })?;
        Ok(Locks::parse(&row.manifest, &row.shares, rules.manifest)?)
    }
}

impl View {
    /// The rules in force for a checkpoint.
    ///
    /// # Errors
    /// [`Error::Client`].
    pub fn rules(&self, checkpoint: &CheckpointId) -> Result<Arc<RulesInForce>, Error> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rules) = rules.get(checkpoint) {
            return Ok(rules.clone());
        }
        let found = Arc::new(self.catalogue.rules_in_force(checkpoint)?);
        rules.insert(checkpoint.clone(), found.clone());
        Ok(found)
    }

    /// The checkpoints whose own board has this key.
    pub fn boards_of(&self, key: KeyId) -> Vec<CheckpointId> {
        let has = |checkpoint: &&CheckpointId| {
            self.catalogue
                .board(checkpoint)
                .is_some_and(|board| board.keys().iter().any(|member| member.id() == key))
        };
        self.catalogue.checkpoints().filter(has).cloned().collect()
    }

    /// The checkpoints on which a key decides, through its own or another board of the policy.
    pub fn decides_on(&self, key: KeyId) -> &[CheckpointId] {
        self.deciders.get_or_init(|| self.all_deciders()).get(&key).map_or(&[], Vec::as_slice)
    }

    fn all_deciders(&self) -> BTreeMap<KeyId, Vec<CheckpointId>> {
        let mut deciders: BTreeMap<KeyId, Vec<CheckpointId>> = BTreeMap::new();
        for checkpoint in self.catalogue.checkpoints() {
            // Without a policy in force there is only the checkpoint's own board.
            let rules = self.rules(checkpoint).ok();
            let others = rules.iter().flat_map(|rules| rules.boards.values());
            let keys: BTreeSet<KeyId> = self
                .catalogue
                .board(checkpoint)
                .into_iter()
                .chain(others)
                .flat_map(|board| board.keys().iter().map(VerifyingKey::id))
                .collect();
            for key in keys {
                deciders.entry(key).or_default().push(checkpoint.clone());
            }
        }
        deciders
    }

    /// Whether the catalogue names the key: owner, auditor, board member, registrar or registry.
    pub fn names(&self, key: KeyId) -> bool {
        let is_registry = || self.catalogue.registry().keys().iter().any(|registry| registry.id() == key);
        let is_registrar = || !self.organizations_of(key).is_empty();
        self.is_owner(key)
            || self.is_auditor(key)
            || !self.decides_on(key).is_empty()
            || is_registry()
            || is_registrar()
    }

    /// The largest number of board members that one grant may need.
    pub fn max_members(&self) -> usize {
        let of = |checkpoint: &CheckpointId| {
            let rules = self.rules(checkpoint).ok();
            let boards = rules.iter().flat_map(|rules| rules.boards.values().chain([&rules.board]));
            boards.flat_map(|board| board.keys().iter().copied()).collect::<BTreeSet<_>>().len()
        };
        self.catalogue.checkpoints().map(of).max().unwrap_or(0)
    }

    /// The misuse rules that the owners signed, if there are any.
    pub fn scorer(&self) -> Option<Arc<Scorer>> {
        self.scorer.get_or_init(|| self.catalogue.scorer().ok().flatten().map(Arc::new)).clone()
    }

    /// Whether the catalogue names the key as an auditor's.
    pub fn is_auditor(&self, key: KeyId) -> bool {
        let auditors = self.catalogue.auditors();
        auditors.is_some_and(|auditors| auditors.keys().iter().any(|auditor| auditor.id() == key))
    }

    /// Whether the catalogue names the key as an owner's.
    pub fn is_owner(&self, key: KeyId) -> bool {
        self.catalogue.owners().keys().iter().any(|owner| owner.id() == key)
    }
}

/// A catalogue in memory.
struct MemoryFiles(Arc<CatalogueFiles>);

impl Remote for MemoryFiles {
    fn fetch(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>, catalogue::Error> {
        match self.0.files.get(path) {
            Some(bytes) if bytes.len() as u64 > max => {
                Err(catalogue::Error::TooLong { file: path.to_owned(), max })
            }
            found => Ok(found.cloned()),
        }
    }
}
