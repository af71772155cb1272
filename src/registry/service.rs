//! The registry as a service: what it keeps, and the catalogue that it serves and believes.

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

/// A registry: its keys, its database, its chunks. Replicas that share the last two are one registry.
pub struct Registry {
    pub(super) store: Store,
    pub(super) blobs: Blobs,
    pub(super) identity: Identity,
    pub(super) signer: Box<dyn Signer>,
    /// Where this process keeps what it trusts of the catalogue, as every client does.
    pub(super) state: PathBuf,
    files: Mutex<Option<Arc<CatalogueFiles>>>,
    seen: Mutex<Option<Arc<View>>>,
    pub(super) bearers: Bearers,
    pub(super) sequencer: Sequencer,
    pub(super) readings: Readings,
    pub(super) clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    pub(super) witnesses: Witnesses,
    /// How much is taken of people whom the catalogue does not name.
    pub(super) admission: AdmissionRules,
    /// The key of the challenges that proofs of work answer, once it was read.
    pub(super) challenge_key: OnceLock<Sha256Digest>,
    /// Checkpoints of public stages that somebody read, by their sealed manifests.
    pub(super) opened: Mutex<BTreeMap<Sha256Digest, Arc<ChunkOpener>>>,
    /// Room for their chunks while they are read.
    pub(super) chunk_memory: Arc<ChunkMemory>,
}

/// The catalogue at one version.
pub struct View {
    version: i64,
    /// The catalogue, verified.
    pub catalogue: Catalogue,
    rules: Mutex<BTreeMap<CheckpointId, Arc<RulesInForce>>>,
    deciders: OnceLock<BTreeMap<KeyId, Vec<CheckpointId>>>,
    scorer: OnceLock<Option<Arc<Scorer>>>,
    pub(super) organizations: OnceLock<BTreeMap<Label, Quorum>>,
}

impl Registry {
    /// A registry of these parts. `state` is a folder of this process's own.
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

    /// The same with a clock of one's choice.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The same, which takes so much of people whom its catalogue does not name.
    #[must_use]
    pub fn with_admission(mut self, admission: AdmissionRules) -> Self {
        self.admission = admission;
        self
    }

    /// What the clock says.
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The same, whose heads these witnesses are asked to cosign.
    ///
    /// # Errors
    /// [`Error::NotWitnessed`] if HTTP cannot be set up.
    pub fn with_witnesses(mut self, witnesses: Vec<WitnessAddress>) -> Result<Self, Error> {
        self.witnesses = Witnesses::new(witnesses)?;
        Ok(self)
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The chunks.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// The registry's own key.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.signer.verifying_key()
    }

    /// The id of the registry's own key.
    pub fn key_id(&self) -> KeyId {
        self.verifying_key().id()
    }

    pub(super) fn keys(&self) -> Keys<'_> {
        Keys { opening: self.identity.opening_key(), signer: &*self.signer }
    }

    /// The catalogue as it is published now, verified from the first root on.
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

    /// Whether the catalogue was published.
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

    /// The catalogue's files as they are now; read again only when somebody changed them.
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

    /// The locks of the sealed checkpoint that the rules name.
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

    /// The checkpoints on whose own boards a key is.
    pub fn boards_of(&self, key: KeyId) -> Vec<CheckpointId> {
        let has = |checkpoint: &&CheckpointId| {
            self.catalogue
                .board(checkpoint)
                .is_some_and(|board| board.keys().iter().any(|member| member.id() == key))
        };
        self.catalogue.checkpoints().filter(has).cloned().collect()
    }

    /// The checkpoints of which a key decides: by its own board, or by another that its policy asks for approvals.
    pub fn decides_on(&self, key: KeyId) -> &[CheckpointId] {
        self.deciders.get_or_init(|| self.all_deciders()).get(&key).map_or(&[], Vec::as_slice)
    }

    fn all_deciders(&self) -> BTreeMap<KeyId, Vec<CheckpointId>> {
        let mut deciders: BTreeMap<KeyId, Vec<CheckpointId>> = BTreeMap::new();
        for checkpoint in self.catalogue.checkpoints() {
            // Where no policy is in force yet, its own board is all there is.
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

    /// Whether the catalogue names a key: an owner's, an auditor's, a member's of a board, a registrar's of an organization, or the registry's.
    pub fn names(&self, key: KeyId) -> bool {
        let is_registry = || self.catalogue.registry().keys().iter().any(|registry| registry.id() == key);
        let is_registrar = || !self.organizations_of(key).is_empty();
        self.is_owner(key)
            || self.is_auditor(key)
            || !self.decides_on(key).is_empty()
            || is_registry()
            || is_registrar()
    }

    /// How many members the boards have that a checkpoint's grant may need, where these are most.
    pub fn max_members(&self) -> usize {
        let of = |checkpoint: &CheckpointId| {
            let rules = self.rules(checkpoint).ok();
            let boards = rules.iter().flat_map(|rules| rules.boards.values().chain([&rules.board]));
            boards.flat_map(|board| board.keys().iter().copied()).collect::<BTreeSet<_>>().len()
        };
        self.catalogue.checkpoints().map(of).max().unwrap_or(0)
    }

    /// The rules of misuse that the owners signed, if there are any.
    pub fn scorer(&self) -> Option<Arc<Scorer>> {
        self.scorer.get_or_init(|| self.catalogue.scorer().ok().flatten().map(Arc::new)).clone()
    }

    /// Whether a key is an auditor's.
    pub fn is_auditor(&self, key: KeyId) -> bool {
        let auditors = self.catalogue.auditors();
        auditors.is_some_and(|auditors| auditors.keys().iter().any(|auditor| auditor.id() == key))
    }

    /// Whether a key is an owner's.
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
