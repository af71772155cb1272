//! The replay: a bundle from its first line to its last, everything judged by the rules that were in force when it happened.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::Arc;

use rayon::prelude::*;

use super::bundle::parse_line;
use super::replay_use::{Journals, read_batch};
use super::{BundleReader, Error, Facts, Line, Verification};
use crate::access::{self, Grant, RulesInForce};
use crate::catalogue::{self, History, Remote};
use crate::client::Catalogue;
use crate::digest::Sha256Digest;
use crate::log::{self, Entry, EntryKind, Growth, HeadNote, LogKey, TreeHead, WitnessRule};
use crate::name::CheckpointId;
use crate::policy::{Policy, diff};
use crate::statement::{Envelope, Statement, Verified};
use crate::time::Timestamp;
use crate::usage::VerifiedBatch;

/// Lines that are parsed at once.
const AT_ONCE: usize = 4096;

/// How deep an audit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Tree, head, and that each statement is the one that the log recorded.
    Digests,
    /// All signatures and rules besides.
    Everything,
}

/// A line that was parsed, with what can be told of it alone.
enum Parsed {
    File(String, Vec<u8>),
    Record(Box<ParsedRecord>),
}

/// A record that was parsed.
struct ParsedRecord {
    bytes: Vec<u8>,
    entry: Result<Entry, String>,
    statements: Vec<Envelope>,
    batch: Option<Batch>,
}

/// A batch of usage, verified beside the other lines: it needs nothing that stands before it.
pub(super) type Batch = (Sha256Digest, Result<VerifiedBatch, String>);

/// Audits a bundle: what it proves, and what happened.
///
/// # Errors
/// [`Error::Bundle`], [`Error::Io`] where it cannot be read to its end; [`Error::OtherRoot`] where `trusted_root` is another catalogue's.
pub fn audit(
    bundle: &mut BundleReader<impl BufRead>,
    trusted_root: Option<Sha256Digest>,
    witnesses: &WitnessRule,
    depth: Depth,
) -> Result<(Verification, Facts), Error> {
    let note = HeadNote::parse(bundle.header().head.as_bytes())?;
    let head = note.claim();
    let mut files = BTreeMap::new();
    let mut replay: Option<Replay> = None;
    loop {
        let texts = bundle.next_texts(AT_ONCE)?;
        if texts.is_empty() {
            break;
        }
        let parsed: Result<Vec<_>, Error> = texts.par_iter().map(|text| parse(text, depth)).collect();
        for line in parsed? {
            match line {
                Parsed::File(path, bytes) => {
                    files.insert(path, bytes);
                }
                Parsed::Record(record) => {
                    let ParsedRecord { bytes, entry, statements, batch } = *record;
                    let replay = match &mut replay {
                        Some(replay) => replay,
                        empty => {
                            empty.insert(Replay::begin(std::mem::take(&mut files), trusted_root, depth)?)
                        }
                    };
                    replay.batch = batch;
                    replay.record(&bytes, entry, statements)?;
                }
            }
        }
    }
    let replay = match replay {
        Some(replay) => replay,
        None => Replay::begin(files, trusted_root, depth)?,
    };
    replay.finish(&note, &head, witnesses)
}

fn parse(text: &str, depth: Depth) -> Result<Parsed, Error> {
    Ok(match parse_line(text)? {
        Line::File { path, bytes } => Parsed::File(path, bytes),
        Line::Record(record) => {
            let entry = Entry::parse(record.entry.as_bytes()).map_err(|error| error.to_string());
            let statements = record.statements.iter();
            let statements: Vec<_> =
                statements.filter_map(|raw| Envelope::parse(raw.get().as_bytes()).ok()).collect();
            let is_usage = entry.as_ref().is_ok_and(|entry| entry.kind == EntryKind::Usage);
            let batch = statements.first().filter(|_| is_usage);
            let batch = batch.map(|envelope| (envelope.digest(), read_batch(envelope, depth)));
            let bytes = record.entry.into_bytes();
            Parsed::Record(Box::new(ParsedRecord { bytes, entry, statements, batch }))
        }
    })
}

/// The catalogue's files, held in memory.
#[derive(Clone)]
struct Held(Arc<BTreeMap<String, Vec<u8>>>);

impl Remote for Held {
    fn fetch(&self, path: &str, _most: u64) -> Result<Option<Vec<u8>>, catalogue::Error> {
        Ok(self.0.get(path).cloned())
    }
}

/// What a lease was for, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeaseSpan {
    pub(super) grant: Sha256Digest,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
}

/// A grant as it is replayed.
pub(super) struct Standing {
    pub(super) envelope: Envelope,
    pub(super) revocations: Vec<Envelope>,
    /// The rules under which it was verified last, and the proof.
    pub(super) verified: Option<(Arc<RulesInForce>, Verified<Statement<Grant>>)>,
}

/// The state of a replay.
pub(super) struct Replay {
    pub(super) depth: Depth,
    files: Arc<BTreeMap<String, Vec<u8>>>,
    by_digest: BTreeMap<Sha256Digest, String>,
    history: History,
    catalogue: Option<Arc<Catalogue>>,
    rules: BTreeMap<CheckpointId, Option<Arc<RulesInForce>>>,
    growth: Growth,
    pub(super) found: Verification,
    pub(super) facts: Facts,
    pub(super) grants: BTreeMap<Sha256Digest, Standing>,
    pub(super) leases: BTreeMap<Sha256Digest, LeaseSpan>,
    pub(super) journals: Journals,
    policies: BTreeMap<CheckpointId, Policy>,
    /// Statements that are not there, and at which entry they should be.
    missing: Vec<(u64, Sha256Digest, EntryKind)>,
    /// The same, to look up: what rests on them cannot be judged, and is not counted against anybody twice.
    pub(super) not_here: BTreeSet<Sha256Digest>,
    pub(super) erased: BTreeSet<Sha256Digest>,
    /// The batch of the entry that is judged, where it was read already.
    pub(super) batch: Option<Batch>,
}

impl Replay {
    fn begin(
        files: BTreeMap<String, Vec<u8>>,
        trusted_root: Option<Sha256Digest>,
        depth: Depth,
    ) -> Result<Self, Error> {
        let history = History::begin(&files)?;
        if trusted_root.is_some_and(|trusted| trusted != history.first_root_content()) {
            return Err(Error::OtherRoot);
        }
        let by_digest = files.iter().map(|(path, bytes)| (Sha256Digest::of(bytes), path.clone())).collect();
        let growth = Growth::from(&TreeHead::EMPTY, &crate::report::replay_use::NoTiles)?;
        Ok(Self {
            depth,
            files: Arc::new(files),
            by_digest,
            history,
            catalogue: None,
            rules: BTreeMap::new(),
            growth,
            found: Verification::default(),
            facts: Facts::default(),
            grants: BTreeMap::new(),
            leases: BTreeMap::new(),
            journals: Journals::default(),
            policies: BTreeMap::new(),
            missing: Vec::new(),
            not_here: BTreeSet::new(),
            erased: BTreeSet::new(),
            batch: None,
        })
    }

    fn record(
        &mut self,
        bytes: &[u8],
        entry: Result<Entry, String>,
        statements: Vec<Envelope>,
    ) -> Result<(), Error> {
        let place = self.growth.append(bytes)?;
        if place % 65_536 == 0 {
            // Tiles are not kept: only the root counts.
            drop(self.growth.grown()?);
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(reason) => {
                self.found.find(Some(place), reason);
                return Ok(());
            }
        };
        *self.found.kinds.entry(entry.kind).or_default() += 1;
        let first = self.facts.span.map_or(entry.at, |(first, _)| first);
        if self.facts.span.is_some_and(|(_, last)| entry.at.plus_seconds(access::CLOCK_TOLERANCE) < last) {
            self.found.find(Some(place), format!("it is dated {}, before the entry before it", entry.at));
        }
        self.facts.span = Some((first, entry.at));
        let Some(statement) = self.statement(place, &entry, statements) else { return Ok(()) };
        if let Err(what) = self.judge(&entry, statement) {
            self.found.find(Some(place), format!("{} {}: {what}", entry.kind, short(entry.statement)));
        }
        Ok(())
    }

    /// The statement that an entry records, its digest checked; `None` where there is none to be judged.
    fn statement(
        &mut self,
        place: u64,
        entry: &Entry,
        statements: Vec<Envelope>,
    ) -> Option<Option<Envelope>> {
        use EntryKind as K;
        if matches!(
            entry.kind,
            K::Metadata | K::Policy | K::Stage | K::Manifest | K::Agreement | K::Rules | K::Grant
        ) {
            return Some(None);
        }
        let mut found = statements.into_iter().filter(|envelope| envelope.digest() == entry.statement);
        match found.next() {
            Some(envelope) => Some(Some(envelope)),
            None => {
                self.missing.push((place, entry.statement, entry.kind));
                self.not_here.insert(entry.statement);
                None
            }
        }
    }

    fn judge(&mut self, entry: &Entry, statement: Option<Envelope>) -> Result<(), String> {
        use EntryKind as K;
        let envelope = || statement.clone().ok_or_else(|| "its statement is missing".to_owned());
        match entry.kind {
            K::Metadata => self.metadata(entry),
            K::Policy | K::Stage | K::Manifest | K::Agreement | K::Rules => self.file(entry),
            K::Request => self.request(entry, &envelope()?),
            K::Withdrawal => self.answered(entry, "withdrawn", &envelope()?),
            K::Denial => self.answered(entry, "denied", &envelope()?),
            K::Approval => self.approval(entry, &envelope()?),
            K::Grant => self.grant(entry),
            K::Handover => Ok(()),
            K::Revocation => self.revocation(entry, envelope()?),
            K::Lease => self.lease(entry, &envelope()?),
            K::Usage => self.usage(entry, &envelope()?),
            K::Case => self.case(entry, &envelope()?),
            K::Reading => self.reading(entry, &envelope()?),
            K::Erasure => self.erasure(entry, &envelope()?),
        }
    }

    pub(super) fn checks_signatures(&self) -> bool {
        self.depth == Depth::Everything
    }

    /// The rules that were in force for a checkpoint.
    pub(super) fn rules(&mut self, checkpoint: &CheckpointId) -> Result<Arc<RulesInForce>, String> {
        let none = || format!("no rules were in force for {checkpoint}");
        if let Some(rules) = self.rules.get(checkpoint) {
            return rules.clone().ok_or_else(none);
        }
        let rules = self.catalogue()?.rules_in_force(checkpoint).ok().map(Arc::new);
        self.rules.insert(checkpoint.clone(), rules.clone());
        rules.ok_or_else(none)
    }

    pub(super) fn catalogue(&mut self) -> Result<Arc<Catalogue>, String> {
        if let Some(catalogue) = &self.catalogue {
            return Ok(catalogue.clone());
        }
        let trusted = self.history.catalogue().map_err(|error| error.to_string())?;
        let trusted = trusted.ok_or("no catalogue was in force")?;
        let catalogue = Arc::new(Catalogue::new(trusted, Box::new(Held(self.files.clone()))));
        self.catalogue = Some(catalogue.clone());
        Ok(catalogue)
    }

    pub(super) fn rules_of(&mut self, entry: &Entry) -> Result<Arc<RulesInForce>, String> {
        let checkpoint = entry.checkpoint.as_ref().ok_or("it names no checkpoint")?;
        self.rules(&checkpoint.clone())
    }

    fn metadata(&mut self, entry: &Entry) -> Result<(), String> {
        let path = self.by_digest.get(&entry.statement).ok_or("the catalogue has no such file")?;
        let bytes = self.files.get(path).ok_or("the catalogue has no such file")?;
        self.history.apply(path, bytes).map_err(|error| error.to_string())?;
        (self.catalogue, self.rules) = (None, BTreeMap::new());
        if let Ok(catalogue) = self.catalogue() {
            for card in catalogue.cards(&Held(self.files.clone())).unwrap_or_default() {
                self.facts.names.insert(card.verifying_key.id(), card.name.to_string());
            }
        }
        Ok(())
    }

    /// A file that came into force must be the one that the metadata before it names.
    fn file(&mut self, entry: &Entry) -> Result<(), String> {
        let Some(checkpoint) = entry.checkpoint.clone() else { return Ok(()) };
        let text = self.by_digest.get(&entry.statement).and_then(|path| self.files.get(path)).cloned();
        if entry.kind == EntryKind::Policy {
            let text = text.ok_or("the catalogue has no such file")?;
            let policy = Policy::parse(&String::from_utf8_lossy(&text)).map_err(|error| error.to_string())?;
            let changes = match self.policies.get(&checkpoint) {
                Some(before) => diff(before, &policy).iter().map(ToString::to_string).collect(),
                None => vec!["the first policy".to_owned()],
            };
            self.facts.policies.push((entry.at, checkpoint.clone(), policy.version, changes));
            self.policies.insert(checkpoint.clone(), policy);
        }
        // Before all four files are there, nothing is in force that could be compared.
        let Ok(rules) = self.rules(&checkpoint) else { return Ok(()) };
        let in_force = match entry.kind {
            EntryKind::Policy => rules.policy_digest,
            EntryKind::Stage => rules.stage_digest,
            EntryKind::Manifest => rules.manifest,
            _ => return Ok(()),
        };
        if in_force != entry.statement {
            return Err("the board's metadata names another file".to_owned());
        }
        if entry.kind == EntryKind::Stage {
            self.facts.stages.push((entry.at, checkpoint, rules.stage.to_string()));
        }
        Ok(())
    }

    /// A statement that the registry makes.
    pub(super) fn by_registry<P: crate::statement::Predicate>(
        &self,
        envelope: &Envelope,
    ) -> Result<P, String> {
        if !self.checks_signatures() {
            return Ok(envelope.claim::<P>().map_err(|error| error.to_string())?.predicate);
        }
        let registry = self.history.registry().map_err(|error| error.to_string())?;
        let statement = envelope.statement::<P>(&registry).map_err(|error| error.to_string())?;
        Ok(statement.into_inner().predicate)
    }

    fn finish(
        mut self,
        note: &HeadNote,
        head: &TreeHead,
        witnesses: &WitnessRule,
    ) -> Result<(Verification, Facts), Error> {
        let tree = self.growth.grown()?.head;
        if tree != *head {
            let what = format!(
                "the entries have the root {} of {} entries, and the head says {} of {}",
                short(tree.root()),
                tree.size(),
                short(head.root()),
                head.size()
            );
            self.found.find(None, what);
        }
        self.head(note);
        match witnesses.require(note) {
            Ok(cosigned) => {
                self.found.witnesses = cosigned.into_iter().map(|cosigned| cosigned.witness).collect();
            }
            Err(error) => self.found.find(None, error.to_string()),
        }
        for (place, digest, kind) in std::mem::take(&mut self.missing) {
            if self.erased.contains(&digest) {
                self.found.erased += 1;
            } else {
                self.found.find(
                    Some(place),
                    format!("{kind} {}: its statement is missing, and nobody erased it", short(digest)),
                );
            }
        }
        (self.found.entries, self.found.root) = (tree.size(), tree.root().to_string());
        self.found.log = note.log().to_owned();
        self.say();
        Ok((self.found, self.facts))
    }

    fn head(&mut self, note: &HeadNote) {
        let name = log::origin(self.history.first_root());
        let registry = self.history.registry();
        let keys = registry.iter().flat_map(|registry| registry.keys());
        let holds = keys.filter_map(|key| LogKey::new(&name, *key).ok()).any(|key| note.verify(&key).is_ok());
        if !holds {
            self.found.find(None, "the head is not signed by the registry that the catalogue names");
        }
    }
}

/// The first digits of a digest.
pub(super) fn short(digest: Sha256Digest) -> String {
    digest.to_string().chars().take(12).collect()
}
