//! The replay of a bundle: every statement is judged by the rules that were in force at its time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::Arc;

use super::ahead::{Precheck, ReadLine, ReadRecord, ReadStatement, next_block};
use super::replay_use::{Journals, NoTiles};
use super::{BundleReader, ErasedFact, Error, Facts, StageFact, Verification};
use crate::access::{self, Affiliations, Grant, JournalId, RulesInForce};
use crate::catalogue::{self, History, Remote};
use crate::client::Catalogue;
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::{self, Entry, EntryKind, Growth, HeadNote, LogKey, TreeHead, WitnessRule};
use crate::name::CheckpointId;
use crate::policy::{self, EntryRule, Policy, UsageMode, Verdict, diff};
use crate::seal::SealedManifest;
use crate::statement::{Envelope, Quorum, Statement, Verified};
use crate::time::Timestamp;

/// The depth of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Tree, head, and the digests of statements.
    Digests,
    /// Also all signatures and rules.
    Everything,
}

/// Audits a bundle; returns what it proves, and the facts.
///
/// # Errors
/// [`Error::Bundle`], [`Error::Io`] if it cannot be read to its end; [`Error::OtherRoot`] if `trusted_root` is another catalogue's.
pub fn audit(
    bundle: &mut BundleReader<impl BufRead + Send>,
    trusted_root: Option<Sha256Digest>,
    witnesses: &WitnessRule,
    depth: Depth,
) -> Result<(Verification, Facts), Error> {
    let note = HeadNote::parse(bundle.header().head.as_bytes())?;
    let mut reached = Phase::Files(BTreeMap::new());
    let mut block = next_block(bundle, depth, None)?;
    while !block.is_empty() {
        let registry = reached.registry();
        let (replayed, next) =
            rayon::join(|| reached.take(block, trusted_root, depth), || next_block(bundle, depth, registry));
        reached = replayed?;
        block = next?;
    }
    reached.replay(trusted_root, depth)?.finish(&note, witnesses)
}

/// The phase of reading a bundle: the catalogue's files come before the records.
enum Phase {
    Files(BTreeMap<String, Vec<u8>>),
    Records(Box<Replay>),
}

impl Phase {
    fn registry(&self) -> Option<Quorum> {
        match self {
            Self::Files(_) => None,
            Self::Records(replay) => replay.history.registry().ok(),
        }
    }

    fn replay(self, trusted_root: Option<Sha256Digest>, depth: Depth) -> Result<Box<Replay>, Error> {
        match self {
            Self::Files(files) => Replay::begin(files, trusted_root, depth).map(Box::new),
            Self::Records(replay) => Ok(replay),
        }
    }

    fn take(
        mut self,
        block: Vec<ReadLine>,
        trusted_root: Option<Sha256Digest>,
        depth: Depth,
    ) -> Result<Self, Error> {
        for line in block {
            match (line, &mut self) {
                (ReadLine::File(path, bytes), Self::Files(files)) => {
                    files.insert(path, bytes);
                }
                (ReadLine::File(..), Self::Records(_)) => {
                    return Err(Error::Bundle { reason: "a file follows the records".to_owned() });
                }
                (ReadLine::Record(record), _) => {
                    let mut replay = self.replay(trusted_root, depth)?;
                    replay.record(*record)?;
                    self = Self::Records(replay);
                }
            }
        }
        Ok(self)
    }
}

/// The catalogue's files in memory.
#[derive(Clone)]
struct MemoryFiles(Arc<BTreeMap<String, Vec<u8>>>);

impl Remote for MemoryFiles {
    fn fetch(&self, path: &str, _most: u64) -> Result<Option<Vec<u8>>, catalogue::Error> {
        Ok(self.0.get(path).cloned())
    }
}

/// A lease's grant, journal, limits and time.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeaseSpan {
    pub(super) grant: Sha256Digest,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
    /// The journal to which it is bound.
    pub(super) journal: Option<JournalId>,
    /// The policy's limit of tokens in 24 hours at its time; `None` without a limit.
    pub(super) tokens_per_day: Option<u64>,
    /// What its stage kept of texts at its time, if known.
    pub(super) usage: Option<UsageMode>,
}

/// A verified grant, and the rules that verified it.
pub(super) struct VerifiedGrant {
    pub(super) rules: Arc<RulesInForce>,
    pub(super) grant: Arc<Verified<Statement<Grant>>>,
}

/// A grant in the replay.
pub(super) struct ReplayedGrant {
    pub(super) checkpoint: CheckpointId,
    pub(super) envelope: Envelope,
    pub(super) revocations: Vec<Envelope>,
    /// The verified grant, once verified.
    pub(super) verified: Option<VerifiedGrant>,
}

/// The state of a replay.
pub(super) struct Replay {
    pub(super) depth: Depth,
    files: Arc<BTreeMap<String, Vec<u8>>>,
    by_digest: BTreeMap<Sha256Digest, String>,
    pub(super) history: History,
    catalogue: Option<Arc<Catalogue>>,
    rules: BTreeMap<CheckpointId, Option<Arc<RulesInForce>>>,
    growth: Growth,
    pub(super) found: Verification,
    pub(super) facts: Facts,
    pub(super) grants: BTreeMap<Sha256Digest, ReplayedGrant>,
    pub(super) leases: BTreeMap<Sha256Digest, LeaseSpan>,
    pub(super) journals: Journals,
    /// Policies in the order in which they came into force.
    policies: BTreeMap<CheckpointId, Vec<Policy>>,
    /// Missing statements with their places.
    pub(super) missing: Vec<(u64, Entry)>,
    /// Their digests: what depends on them cannot be judged, and is not reported again.
    pub(super) not_here: BTreeSet<Sha256Digest>,
    pub(super) erased: BTreeSet<Sha256Digest>,
    /// Cases by person and checkpoint.
    pub(super) cases_of: BTreeMap<(KeyId, CheckpointId), Vec<Sha256Digest>>,
    /// The last revocation by person and checkpoint: grants issued by then have ended.
    pub(super) revoked: BTreeMap<(KeyId, CheckpointId), Timestamp>,
    pub(super) affiliations: Affiliations,
    /// Grants that were revoked before their last approval.
    pub(super) void_grants: u64,
    /// The place of the current entry.
    pub(super) place: u64,
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
        let growth = Growth::from(&TreeHead::EMPTY, &NoTiles)?;
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
            cases_of: BTreeMap::new(),
            revoked: BTreeMap::new(),
            affiliations: Affiliations::default(),
            void_grants: 0,
            place: 0,
        })
    }

    fn record(&mut self, record: ReadRecord) -> Result<(), Error> {
        let ReadRecord { bytes, entry, statement } = record;
        let place = self.growth.append(&bytes)?;
        self.place = place;
        if place % 65_536 == 0 {
            // Tiles are not stored: only the root is needed.
            drop(self.growth.grown()?);
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(reason) => {
                self.found.add_finding(Some(place), reason);
                return Ok(());
            }
        };
        *self.found.kinds.entry(entry.kind).or_default() += 1;
        let first = self.facts.span.map_or(entry.at, |(first, _)| first);
        if self.facts.span.is_some_and(|(_, last)| entry.at.plus_seconds(access::CLOCK_TOLERANCE) < last) {
            self.found
                .add_finding(Some(place), format!("it is dated {}, before the entry before it", entry.at));
        }
        self.facts.span = Some((first, entry.at));
        if statement.is_none() && records_a_statement(entry.kind) {
            self.not_here.insert(entry.statement);
            self.missing.push((place, entry));
            return Ok(());
        }
        if let Err(what) = self.judge(&entry, statement) {
            self.found.add_finding(Some(place), format!("{} {}: {what}", entry.kind, short(entry.statement)));
        }
        Ok(())
    }

    fn judge(&mut self, entry: &Entry, statement: Option<ReadStatement>) -> Result<(), String> {
        use EntryKind as K;
        match entry.kind {
            K::Metadata => return self.metadata(entry),
            K::Policy | K::Stage | K::Manifest | K::Agreement | K::Rules => return self.file(entry),
            K::Grant => return self.grant(entry),
            _ => {}
        }
        let ReadStatement { envelope, precheck } = statement.ok_or("its statement is missing")?;
        match (entry.kind, precheck) {
            (K::Request, _) => self.request(entry, &envelope),
            (K::Withdrawal, _) => self.answered(entry, "withdrawn", &envelope),
            (K::Denial, _) => self.answered(entry, "denied", &envelope),
            (K::Approval, _) => self.approval(entry, &envelope),
            (K::Revocation, _) => self.revocation(entry, envelope),
            (_, Precheck::Lease(lease)) => self.lease(entry, &envelope, lease?),
            (_, Precheck::Batch(batch)) => self.usage(entry, &batch?),
            (K::Journal, _) => self.declaration(&envelope),
            (K::Case, _) => self.case(entry, &envelope),
            (K::Affiliation, _) => self.affiliation(&envelope),
            (K::Reading, _) => self.reading(entry, &envelope),
            (K::Erasure, _) => self.erasure(entry, &envelope),
            // Only the registry can open a handover; the rest was checked above.
            _ => Ok(()),
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
        let catalogue = Arc::new(Catalogue::new(trusted, Box::new(MemoryFiles(self.files.clone()))));
        self.catalogue = Some(catalogue.clone());
        Ok(catalogue)
    }

    /// The rules of the entry's checkpoint.
    pub(super) fn rules_of(&mut self, entry: &Entry) -> Result<Arc<RulesInForce>, String> {
        let checkpoint = entry.checkpoint.as_ref().ok_or("it names no checkpoint")?;
        self.rules(&checkpoint.clone())
    }

    /// The rules of the checkpoint of the referenced object, which the entry must name as well.
    pub(super) fn rules_referred_to(
        &mut self,
        entry: &Entry,
        checkpoint: &CheckpointId,
    ) -> Result<Arc<RulesInForce>, String> {
        if entry.checkpoint.as_ref() != Some(checkpoint) {
            return Err(format!("it refers to {checkpoint}, but names another checkpoint"));
        }
        self.rules(checkpoint)
    }

    fn metadata(&mut self, entry: &Entry) -> Result<(), String> {
        let path = self.by_digest.get(&entry.statement).ok_or("the catalogue has no such file")?;
        let bytes = self.files.get(path).ok_or("the catalogue has no such file")?;
        self.history.apply(path, bytes).map_err(|error| error.to_string())?;
        (self.catalogue, self.rules) = (None, BTreeMap::new());
        if let Ok(catalogue) = self.catalogue() {
            let key = catalogue.registry().keys().first().copied();
            self.facts.registry = key.map(|key| catalogue.name_of(&key));
            for card in catalogue.cards(&MemoryFiles(self.files.clone())).unwrap_or_default() {
                self.facts.names.insert(card.verifying_key.id(), card.name.to_string());
            }
        }
        Ok(())
    }

    /// A file that came into force must be the one that the preceding metadata names.
    fn file(&mut self, entry: &Entry) -> Result<(), String> {
        let Some(checkpoint) = entry.checkpoint.clone() else { return Ok(()) };
        let text = self.by_digest.get(&entry.statement).and_then(|path| self.files.get(path)).cloned();
        if entry.kind == EntryKind::Policy {
            let text = text.as_ref().ok_or("the catalogue has no such file")?;
            let policy = Policy::parse(&String::from_utf8_lossy(text)).map_err(|error| error.to_string())?;
            self.policy(entry, &checkpoint, policy)?;
        }
        if entry.kind == EntryKind::Manifest
            && let Some(manifest) = text.as_ref().and_then(|text| SealedManifest::parse(text).ok())
        {
            self.facts.sizes.insert(checkpoint.clone(), manifest.sealed_size());
        }
        // Until all four files are there, nothing is in force to compare with.
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
            self.stage_entered(entry.at, checkpoint, &rules);
        }
        Ok(())
    }

    /// A policy that may not follow the earlier ones would revive ended grants.
    fn policy(&mut self, entry: &Entry, checkpoint: &CheckpointId, policy: Policy) -> Result<(), String> {
        let earlier = self.policies.entry(checkpoint.clone()).or_default();
        // The same text again, after a removal from the catalogue, is not a change.
        if earlier.last() == Some(&policy) {
            return Ok(());
        }
        policy::require_succession(earlier, &policy).map_err(|source| format!("the policy {source}"))?;
        let changes = match earlier.last() {
            Some(before) => diff(before, &policy).iter().map(ToString::to_string).collect(),
            None => vec!["the first policy".to_owned()],
        };
        self.facts.policies.push((entry.at, checkpoint.clone(), policy.version, changes));
        earlier.push(policy);
        Ok(())
    }

    /// A board may overrule its own policy's rules for moving between stages; the audit reports it.
    fn stage_entered(&mut self, at: Timestamp, checkpoint: CheckpointId, rules: &RulesInForce) {
        let before = self.facts.stages.iter().rev().find(|fact| fact.checkpoint == checkpoint);
        if let Some(before) = before.filter(|before| before.stage == rules.stage.as_str()) {
            let what = format!(
                "{checkpoint} entered stage `{}`, which it was in already: its days count from {}",
                rules.stage,
                before.at.date()
            );
            self.found.add_void(self.place, what);
            return;
        }
        let before = before.and_then(|fact| Some((fact.stage.parse().ok()?, fact.at)));
        let from = before.as_ref().map(|(stage, since)| policy::CurrentStage { stage, since: *since });
        // Evidence is judged when it is signed; days and order follow from the record.
        let entry = policy::may_enter(&rules.policy, from, &rules.stage, &[], at);
        let broken = entry.rules().iter().filter(|rule| {
            rule.verdict != Verdict::Passed && matches!(rule.rule, EntryRule::Soak | EntryRule::Order)
        });
        let against: Vec<_> = broken.map(ToString::to_string).collect();
        let stage = rules.stage.to_string();
        if !against.is_empty() {
            let what =
                format!("{checkpoint} entered stage `{stage}` against its policy: {}", against.join("; "));
            self.found.add_remark(self.place, what);
        }
        self.facts.stages.push(StageFact { at, checkpoint, stage, against });
    }

    /// A statement by the registry.
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

    fn finish(mut self, note: &HeadNote, witnesses: &WitnessRule) -> Result<(Verification, Facts), Error> {
        let (tree, head) = (self.growth.grown()?.head, note.claim());
        if tree != head {
            let what = format!(
                "the entries have the root {} of {} entries, but the head states {} of {}",
                short(tree.root()),
                tree.size(),
                short(head.root()),
                head.size()
            );
            self.found.add_finding(None, what);
        }
        self.head(note);
        match witnesses.require(note) {
            Ok(cosigned) => {
                self.found.witnesses = cosigned.into_iter().map(|cosigned| cosigned.witness).collect();
            }
            Err(error) => self.found.add_finding(None, error.to_string()),
        }
        self.judge_missing();
        for (place, what) in self.journals.excesses() {
            self.found.add_finding(Some(place), what);
        }
        (self.found.entries, self.found.root) = (tree.size(), tree.root().to_string());
        self.found.log = note.log().to_owned();
        self.conclude();
        Ok((self.found, self.facts))
    }

    /// Missing statements were erased, or are a finding.
    fn judge_missing(&mut self) {
        // A grant and its approvals are entries about one statement, which is counted once.
        let mut erased = BTreeMap::<Sha256Digest, ErasedFact>::new();
        for (place, entry) in std::mem::take(&mut self.missing) {
            let Entry { kind, statement, at, checkpoint, .. } = entry;
            if self.erased.contains(&statement) {
                let fact = ErasedFact { at, checkpoint, kind };
                let known = erased.entry(statement).or_insert_with(|| fact.clone());
                if kind == EntryKind::Grant {
                    *known = fact;
                }
            } else if kind != EntryKind::Grant {
                let what =
                    format!("{kind} {}: its statement is missing and was not erased", short(statement));
                self.found.add_finding(Some(place), what);
            }
        }
        self.found.erased = erased.len() as u64;
        self.facts.erased = erased.into_values().collect();
    }

    fn head(&mut self, note: &HeadNote) {
        let name = log::origin(self.history.first_root());
        let registry = self.history.registry();
        let keys = registry.iter().flat_map(|registry| registry.keys());
        let holds = keys.filter_map(|key| LogKey::new(&name, *key).ok()).any(|key| note.verify(&key).is_ok());
        if !holds {
            self.found.add_finding(None, "the head is not signed by the registry that the catalogue names");
        }
    }
}

/// Whether entries of a kind record a statement; the others record a file of the catalogue, or a grant whose approvals came before.
fn records_a_statement(kind: EntryKind) -> bool {
    use EntryKind as K;
    !matches!(kind, K::Metadata | K::Policy | K::Stage | K::Manifest | K::Agreement | K::Rules | K::Grant)
}

/// The first digits of a digest.
pub(super) fn short(digest: Sha256Digest) -> String {
    digest.to_string().chars().take(12).collect()
}
