//! The replay: a bundle from its first line to its last, everything judged by the rules that were in force when it happened.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::Arc;

use super::ahead::{ReadLine, ReadRecord, ReadStatement, Told, next_block};
use super::replay_use::{Journals, NoTiles};
use super::{BundleReader, ErasedFact, Error, Facts, StageFact, Verification};
use crate::access::{self, Affiliations, Grant, JournalId, RulesInForce};
use crate::catalogue::{self, History, Remote};
use crate::client::Catalogue;
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::{self, Entry, EntryKind, HeadNote, LogAppender, LogKey, TreeHead, WitnessRule};
use crate::name::CheckpointId;
use crate::policy::{self, EntryRule, Policy, UsageMode, Verdict, diff};
use crate::seal::SealedManifest;
use crate::statement::{Envelope, Quorum, Statement, Verified};
use crate::time::Timestamp;

/// How deep an audit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Tree, head, and that each statement is the one that the log recorded.
    Digests,
    /// All signatures and rules besides.
    Everything,
}

/// Audits a bundle: what it proves, and what happened.
///
/// # Errors
/// [`Error::Bundle`], [`Error::Io`] where it cannot be read to its end; [`Error::OtherRoot`] where `trusted_root` is another catalogue's.
pub fn audit(
    bundle: &mut BundleReader<impl BufRead + Send>,
    trusted_root: Option<Sha256Digest>,
    witnesses: &WitnessRule,
    depth: Depth,
) -> Result<(Verification, Facts), Error> {
    let note = HeadNote::parse(bundle.header().head.as_bytes())?;
    let mut reached = Reached::Files(BTreeMap::new());
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

/// How far an audit has come: the catalogue's files stand before the records.
enum Reached {
    Files(BTreeMap<String, Vec<u8>>),
    Records(Box<Replay>),
}

impl Reached {
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
                    return Err(Error::Bundle { reason: "a file stands behind the records".to_owned() });
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
    /// The journal that it is bound to.
    pub(super) journal: Option<JournalId>,
    /// The tokens in 24 hours that the policy allowed when it was issued; `None` where it set no limit.
    pub(super) tokens_per_day: Option<u64>,
    /// What its stage kept of texts when it was issued, if that is known.
    pub(super) usage: Option<UsageMode>,
}

/// A grant that was verified, and under which rules.
pub(super) struct VerifiedGrant {
    pub(super) rules: Arc<RulesInForce>,
    pub(super) grant: Arc<Verified<Statement<Grant>>>,
}

/// A grant as it is replayed.
pub(super) struct Standing {
    pub(super) checkpoint: CheckpointId,
    pub(super) envelope: Envelope,
    pub(super) revocations: Vec<Envelope>,
    /// The proof, as far as it was verified already.
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
    appender: LogAppender,
    pub(super) found: Verification,
    pub(super) facts: Facts,
    pub(super) grants: BTreeMap<Sha256Digest, Standing>,
    pub(super) leases: BTreeMap<Sha256Digest, LeaseSpan>,
    pub(super) journals: Journals,
    /// Those that were in force, in that order.
    policies: BTreeMap<CheckpointId, Vec<Policy>>,
    /// Statements that are not there, and at which entry they should be.
    pub(super) missing: Vec<(u64, Entry)>,
    /// The same, to look up: what rests on them cannot be judged, and is not counted against anybody twice.
    pub(super) not_here: BTreeSet<Sha256Digest>,
    pub(super) erased: BTreeSet<Sha256Digest>,
    /// The cases about each person and checkpoint.
    pub(super) cases_of: BTreeMap<(KeyId, CheckpointId), Vec<Sha256Digest>>,
    /// When grants of a person for a checkpoint were revoked last: those that were issued by then have ended.
    pub(super) revoked: BTreeMap<(KeyId, CheckpointId), Timestamp>,
    /// What registrars said of people.
    pub(super) affiliations: Affiliations,
    /// Grants that were revoked before their last approval.
    pub(super) void_grants: u64,
    /// The entry that is judged.
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
        let by_digest =
            files.iter().map(|(path, bytes)| (Sha256Digest::compute(bytes), path.clone())).collect();
        let appender = LogAppender::open(&TreeHead::EMPTY, &NoTiles)?;
        Ok(Self {
            depth,
            files: Arc::new(files),
            by_digest,
            history,
            catalogue: None,
            rules: BTreeMap::new(),
            appender,
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
        let place = self.appender.append(&bytes)?;
        self.place = place;
        if place % 65_536 == 0 {
            // Tiles are not kept: only the root counts.
            drop(self.appender.take_update()?);
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
        if statement.is_none() && records_a_statement(entry.kind) {
            self.not_here.insert(entry.statement);
            self.missing.push((place, entry));
            return Ok(());
        }
        if let Err(what) = self.judge(&entry, statement) {
            self.found.find(Some(place), format!("{} {}: {what}", entry.kind, short(entry.statement)));
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
        let ReadStatement { envelope, told } = statement.ok_or("its statement is missing")?;
        match (entry.kind, told) {
            (K::Request, _) => self.request(entry, &envelope),
            (K::Withdrawal, _) => self.answered(entry, "withdrawn", &envelope),
            (K::Denial, _) => self.answered(entry, "denied", &envelope),
            (K::Approval, _) => self.approval(entry, &envelope),
            (K::Revocation, _) => self.revocation(entry, envelope),
            (_, Told::Lease(lease)) => self.lease(entry, &envelope, lease?),
            (_, Told::Batch(batch)) => self.usage(entry, &batch?),
            (K::Journal, _) => self.declaration(&envelope),
            (K::Case, _) => self.case(entry, &envelope),
            (K::Affiliation, _) => self.affiliation(&envelope),
            (K::Reading, _) => self.reading(entry, &envelope),
            (K::Erasure, _) => self.erasure(entry, &envelope),
            // A handover is the registry's to open, and what is left has been judged above.
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
        let catalogue = Arc::new(Catalogue::new(trusted, Box::new(Held(self.files.clone()))));
        self.catalogue = Some(catalogue.clone());
        Ok(catalogue)
    }

    /// The rules of the checkpoint that an entry names.
    pub(super) fn rules_of(&mut self, entry: &Entry) -> Result<Arc<RulesInForce>, String> {
        let checkpoint = entry.checkpoint.as_ref().ok_or("it names no checkpoint")?;
        self.rules(&checkpoint.clone())
    }

    /// The rules of the checkpoint of what a statement refers to, which its entry has to name, too.
    pub(super) fn rules_referred_to(
        &mut self,
        entry: &Entry,
        checkpoint: &CheckpointId,
    ) -> Result<Arc<RulesInForce>, String> {
        if entry.checkpoint.as_ref() != Some(checkpoint) {
            return Err(format!(
                "it names another checkpoint than what it refers to, which is of {checkpoint}"
            ));
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
            let text = text.as_ref().ok_or("the catalogue has no such file")?;
            let policy = Policy::parse(&String::from_utf8_lossy(text)).map_err(|error| error.to_string())?;
            self.policy(entry, &checkpoint, policy)?;
        }
        if entry.kind == EntryKind::Manifest
            && let Some(manifest) = text.as_ref().and_then(|text| SealedManifest::parse(text).ok())
        {
            self.facts.sizes.insert(checkpoint.clone(), manifest.sealed_size());
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
            self.stage_entered(entry.at, checkpoint, &rules);
        }
        Ok(())
    }

    /// A policy came into force: one that may not follow those before it would revive grants that ended.
    fn policy(&mut self, entry: &Entry, checkpoint: &CheckpointId, policy: Policy) -> Result<(), String> {
        let earlier = self.policies.entry(checkpoint.clone()).or_default();
        // The same text again is no change: it was taken from the catalogue and came back.
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

    /// A board may overrule the pace of its own policy; an audit says that it did.
    fn stage_entered(&mut self, at: Timestamp, checkpoint: CheckpointId, rules: &RulesInForce) {
        let before = self.facts.stages.iter().rev().find(|fact| fact.checkpoint == checkpoint);
        if let Some(before) = before.filter(|before| before.stage == rules.stage.as_str()) {
            let what = format!(
                "{checkpoint} entered stage `{}`, which it was in already: its days count from {}",
                rules.stage,
                before.at.date()
            );
            self.found.void(self.place, what);
            return;
        }
        let before = before.and_then(|fact| Some((fact.stage.parse().ok()?, fact.at)));
        let from = before.as_ref().map(|(stage, since)| policy::Standing { stage, since: *since });
        // Evidence is judged where it is signed; days and order are plain from the record itself.
        let entry = policy::may_enter(&rules.policy, from, &rules.stage, &[], at);
        let broken = entry.rules().iter().filter(|rule| {
            rule.verdict != Verdict::Passed && matches!(rule.rule, EntryRule::Soak | EntryRule::Order)
        });
        let against: Vec<_> = broken.map(ToString::to_string).collect();
        let stage = rules.stage.to_string();
        if !against.is_empty() {
            let what =
                format!("{checkpoint} entered stage `{stage}` against its policy: {}", against.join("; "));
            self.found.remark(self.place, what);
        }
        self.facts.stages.push(StageFact { at, checkpoint, stage, against });
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

    fn finish(mut self, note: &HeadNote, witnesses: &WitnessRule) -> Result<(Verification, Facts), Error> {
        let (tree, head) = (self.appender.take_update()?.head, note.claim());
        if tree != head {
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
        self.judge_missing();
        for (place, what) in self.journals.excesses() {
            self.found.find(Some(place), what);
        }
        (self.found.entries, self.found.root) = (tree.size(), tree.root().to_string());
        self.found.log = note.log().to_owned();
        self.say();
        Ok((self.found, self.facts))
    }

    /// What is missing was erased, or nobody says where it is.
    fn judge_missing(&mut self) {
        // A grant and the approvals of it are entries of one statement: each statement counts once, as what it came to.
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
                    format!("{kind} {}: its statement is missing, and nobody erased it", short(statement));
                self.found.find(Some(place), what);
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
            self.found.find(None, "the head is not signed by the registry that the catalogue names");
        }
    }
}

/// Whether entries of a kind record a statement; the others record a file of the catalogue, or a grant, whose approvals came before.
fn records_a_statement(kind: EntryKind) -> bool {
    use EntryKind as K;
    !matches!(kind, K::Metadata | K::Policy | K::Stage | K::Manifest | K::Agreement | K::Rules | K::Grant)
}

/// The first digits of a digest.
pub(super) fn short(digest: Sha256Digest) -> String {
    digest.to_string().chars().take(12).collect()
}
