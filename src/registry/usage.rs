//! Usage at the registry: batches come in, rules are asked, cases are opened; a lease waits for what is missing.

use std::collections::{BTreeMap, BTreeSet};

use super::journals::UNENDED;
use super::{Error, Registry};
use crate::access::Grant;
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::misuse::{Case, Generated, History, RecordPlace, RuleId, Scorer, Severity};
use crate::name::{CheckpointId, Prose};
use crate::statement::{Envelope, Predicate as _, Statement, Subject};
use crate::store::{
    Effect, Filed, Filing, GenerationRow, JournalRow, SanctionChange, SanctionedGrant, StatementRow,
    UsageChange, UsageFiling,
};
use crate::time::Timestamp;
use crate::usage::{ChainedBatch, Event, UsageBatch, verify_batch};

/// How far back histories go, in days.
const HISTORY_DAYS: i64 = 30;
/// Generations of one person that are read at once, about 30 MB: two a minute, day and night. Who has more gets a case, which says so.
const MAX_GENERATIONS: usize = 100_000;
/// What such a case names in place of a rule.
const UNREADABLE: &str = "history-too-long";
/// Records that a case names at most.
const MOST_RECORDS: usize = 64;

/// What a case names in place of a rule that is not in force.
const NOT_IN_FORCE: &str = "not-in-force";

/// What raised a case: the rules that were met under one grant.
#[derive(Debug, Default)]
pub(super) struct Raised {
    rules: BTreeSet<String>,
    records: Vec<RecordPlace>,
    reasons: BTreeSet<String>,
    severity: Option<Severity>,
}

/// The grants of a batch's generations.
#[derive(Debug, Default)]
struct Cited {
    /// By the record with which each began.
    of_generation: BTreeMap<u64, Sha256Digest>,
    /// Each with its checkpoint and manifest.
    grants: BTreeMap<Sha256Digest, (CheckpointId, Sha256Digest)>,
}

/// What a case of the registry's own is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct CaseAbout<'a> {
    pub(super) grant: Sha256Digest,
    pub(super) checkpoint: &'a CheckpointId,
    pub(super) manifest: Sha256Digest,
    pub(super) person: KeyId,
}

impl Registry {
    /// Takes in a batch that continues its journal; whether it was new. Where rules were met, a case is opened with it.
    pub(super) async fn accept_usage(&self, envelope: &Envelope, now: Timestamp) -> Result<bool, Error> {
        let catalogue = self.view().await?.catalogue.id();
        let batch = verify_batch(envelope, catalogue)?;
        if !self.store.statement(envelope.digest()).await?.is_empty() {
            return Ok(false);
        }
        let holder = batch.card.verifying_key.id();
        let known = self.store.journal(batch.journal).await?;
        if known.is_none() {
            self.require_first_journal(holder, batch.journal).await?;
        }
        require_continues(&batch, holder, known.as_ref())?;
        let cited = self.cited(&batch, holder).await?;
        self.require_leased(&batch, holder, &cited.of_generation).await?;
        let usage = usage_filing(&batch, holder, known.is_some(), now);
        let row = StatementRow {
            digest: envelope.digest(),
            signer: holder,
            kind: UsageBatch::KIND.to_owned(),
            checkpoint: UsageBatch::KIND.parse()?,
            about: None,
            holder,
            envelope: envelope.to_json(),
            received: now,
        };
        let entry = Entry::new(EntryKind::Usage, now, row.digest);
        let mut statements = vec![Filed { row, entry: Some(entry) }];
        let mut sanctions = Vec::new();
        for (case, opened) in self.cases(&batch, &cited, now).await? {
            statements.push(case);
            sanctions.push(opened);
        }
        let filing = Filing {
            statements,
            effect: Effect::None,
            entries: Vec::new(),
            usage: Some(UsageChange::Batch(usage)),
            expected: None,
            sanctions,
            charge: None,
        };
        if self.file(filing).await? {
            return Ok(true);
        }
        // Another batch of the same journal came in meanwhile.
        let known = self.store.journal(batch.journal).await?;
        require_continues(&batch, holder, known.as_ref()).map(|()| false)
    }

    /// The grants that the records cite, each of which must be the journal owner's own.
    async fn cited(&self, batch: &ChainedBatch, holder: KeyId) -> Result<Cited, Error> {
        let mut cited = Cited::default();
        for (record, _) in &batch.records {
            match &record.event {
                Event::Begin(begin) => {
                    cited.of_generation.insert(record.seq, begin.grant);
                }
                // What began in an earlier batch ends under the grant under which it began.
                Event::End(end) if !cited.of_generation.contains_key(&end.begin) => {
                    if let Some(grant) = self.store.grant_of_generation(batch.journal, end.begin).await? {
                        cited.of_generation.insert(end.begin, grant);
                    }
                }
                Event::End(_) => {}
            }
        }
        for digest in cited.of_generation.values().copied().collect::<BTreeSet<_>>() {
            let rows = self.store.statement(digest).await?;
            let row = rows.iter().find(|row| row.kind == Grant::KIND && !row.is_erased());
            let row = row.ok_or(Error::Unknown { what: "grant", digest })?;
            if row.holder != holder {
                return Err(Error::NotYours);
            }
            let manifest = Envelope::parse(row.envelope.as_bytes())?.claim::<Grant>()?.subject.digest;
            cited.grants.insert(digest, (row.checkpoint.clone(), manifest));
        }
        Ok(cited)
    }

    /// A case for each grant under which rules were met: those that the records name, and those that the history meets.
    async fn cases(
        &self,
        batch: &ChainedBatch,
        cited: &Cited,
        now: Timestamp,
    ) -> Result<Vec<(Filed, SanctionChange)>, Error> {
        let view = self.view().await?;
        let scorer = view.scorer();
        let mut raised: BTreeMap<Sha256Digest, Raised> = BTreeMap::new();
        for (record, digest) in &batch.records {
            let (begin, hits, explanation) = match &record.event {
                Event::Begin(begin) => (record.seq, &begin.hits, None),
                Event::End(end) => (end.begin, &end.hits, end.explanation.as_ref()),
            };
            let grant = cited.of_generation.get(&begin).copied();
            let Some(grant) = grant.filter(|_| !hits.is_empty() || explanation.is_some()) else { continue };
            let raised = raised.entry(grant).or_default();
            for hit in hits {
                raised.add(known_rule(hit.as_str(), scorer.as_deref()), None, scorer.as_deref());
            }
            if let Some(explanation) = explanation {
                raised.add(UNENDED, Some(explanation.to_string()), None);
            }
            if raised.records.len() < MOST_RECORDS {
                raised.records.push(RecordPlace {
                    journal: record.journal,
                    seq: record.seq,
                    digest: *digest,
                });
            }
        }
        if let Some(scorer) = &scorer {
            for (grant, (checkpoint, _)) in &cited.grants {
                let Some(history) = self.history(batch, checkpoint, now).await? else {
                    let found = format!(
                        "more than {MAX_GENERATIONS} generations in {HISTORY_DAYS} days: no rule can tell what they are"
                    );
                    raised.entry(*grant).or_default().add(UNREADABLE, Some(found), None);
                    continue;
                };
                for hit in scorer.history(&history, now) {
                    raised.entry(*grant).or_default().add(hit.rule.as_str(), Some(hit.reason), Some(scorer));
                }
            }
        }
        let person = batch.card.verifying_key.id();
        let mut filed = Vec::new();
        for (grant, mut raised) in raised {
            let Some((checkpoint, manifest)) = cited.grants.get(&grant) else { continue };
            self.leave_out_open(grant, &mut raised).await?;
            if raised.rules.is_empty() {
                continue;
            }
            let about = CaseAbout { grant, checkpoint, manifest: *manifest, person };
            filed.push(self.case(&about, raised, now).await?);
        }
        Ok(filed)
    }

    /// A case that the registry opens.
    pub(super) async fn case(
        &self,
        about: &CaseAbout<'_>,
        raised: Raised,
        now: Timestamp,
    ) -> Result<(Filed, SanctionChange), Error> {
        let catalogue = self.view().await?.catalogue.id();
        let CaseAbout { grant, checkpoint, manifest, person } = *about;
        let reasons: Vec<_> = raised.reasons.into_iter().collect();
        let reason: String = reasons.join("; ").chars().take(1000).collect();
        let reason: Prose = reason.parse().or_else(|_| "a rule of misuse was met".parse())?;
        let rules: Vec<String> = raised.rules.into_iter().take(MOST_RECORDS).collect();
        let named = rules.iter().map(|rule| rule.parse()).collect::<Result<Vec<RuleId>, _>>()?;
        let case = Case {
            grant,
            person,
            records: raised.records,
            rules: named,
            severity: raised.severity.unwrap_or(Severity::Medium),
            reason,
            created: now,
        };
        let subject = Subject { name: checkpoint.to_string(), digest: manifest };
        let envelope = Statement::new(catalogue, subject, case).sign(&*self.signer)?;
        let row = StatementRow {
            digest: envelope.digest(),
            signer: self.key_id(),
            kind: Case::KIND.to_owned(),
            checkpoint: checkpoint.clone(),
            about: Some(grant),
            holder: person,
            envelope: envelope.to_json(),
            received: now,
        };
        let entry = Entry::new(EntryKind::Case, now, row.digest).of(checkpoint).about(Some(grant));
        let about = SanctionedGrant { grant, holder: person, checkpoint: checkpoint.clone() };
        let opened = SanctionChange::CaseOpened { statement: row.digest, grant: about, rules, at: now };
        Ok((Filed { row, entry: Some(entry) }, opened))
    }

    /// Leaves out the rules for which a case is open: there is one open case a grant and rule.
    async fn leave_out_open(&self, grant: Sha256Digest, raised: &mut Raised) -> Result<(), Error> {
        for rule in raised.rules.clone() {
            if self.store.open_case(grant, &rule).await?.is_some() {
                raised.rules.remove(&rule);
            }
        }
        Ok(())
    }

    /// What the person did before and in this batch, and what the others under this checkpoint do; nothing if it is more than can be read.
    async fn history(
        &self,
        batch: &ChainedBatch,
        checkpoint: &CheckpointId,
        now: Timestamp,
    ) -> Result<Option<History>, Error> {
        let holder = batch.card.verifying_key.id();
        let since = now.plus_seconds(-HISTORY_DAYS * 24 * 3600);
        let Some(known) = self.store.generations(holder, since, MAX_GENERATIONS).await? else {
            return Ok(None);
        };
        let mut own: Vec<_> = known
            .into_iter()
            .map(|(at, tokens, sketch)| Generated { at, tokens, sketch: sketch.parse().ok() })
            .collect();
        let new = usage_filing(batch, holder, false, now);
        let ended: BTreeMap<_, _> = new.ended.iter().copied().collect();
        own.extend(new.begun.into_iter().map(|row| Generated {
            at: row.at,
            tokens: ended.get(&row.begin).copied().unwrap_or(row.tokens),
            sketch: row.sketch.parse().ok(),
        }));
        let cohort_day = self.store.cohort_median(checkpoint, holder, now.plus_seconds(-24 * 3600)).await?;
        Ok(Some(History { own, cohort_day }))
    }
}

/// The rule in force that a record names. What else a record says there is its owner's word, and not the registry's to sign.
fn known_rule<'a>(hit: &'a str, scorer: Option<&Scorer>) -> &'a str {
    let is_known = |scorer: &Scorer| scorer.rules().rules.iter().any(|rule| rule.id.as_str() == hit);
    if scorer.is_some_and(is_known) { hit } else { NOT_IN_FORCE }
}

impl Raised {
    /// A rule of the registry's own.
    pub(super) fn of(rule: &str, reason: &Prose, severity: Severity) -> Self {
        let mut raised = Self { severity: Some(severity), ..Self::default() };
        raised.add(rule, Some(reason.to_string()), None);
        raised
    }

    fn add(&mut self, rule: &str, reason: Option<String>, scorer: Option<&Scorer>) {
        let known =
            scorer.and_then(|scorer| scorer.rules().rules.iter().find(|known| known.id.as_str() == rule));
        self.severity = self.severity.max(known.map(|known| known.severity));
        let reason = reason.or_else(|| known.map(|known| known.reason.clone()));
        self.reasons
            .insert(format!("{rule}: {}", reason.as_deref().unwrap_or("of rules no longer in force")));
        self.rules.insert(rule.to_owned());
    }
}

fn require_continues(batch: &ChainedBatch, holder: KeyId, known: Option<&JournalRow>) -> Result<(), Error> {
    let expected = match known {
        Some(known) if known.holder != holder => return Err(Error::NotYours),
        Some(known) if known.is_lost => return Err(Error::JournalGivenUp { journal: known.journal }),
        Some(known) => (known.records, Some(known.head)),
        None => (0, None),
    };
    if batch.from.0 == expected.0 && expected.1.is_none_or(|head| head == batch.from.1) {
        return Ok(());
    }
    Err(Error::JournalForked { known: expected.0, first: batch.from.0 })
}

fn usage_filing(batch: &ChainedBatch, holder: KeyId, is_known: bool, now: Timestamp) -> UsageFiling {
    let (mut begun, mut ended) = (Vec::new(), Vec::new());
    for (record, _) in &batch.records {
        match &record.event {
            Event::Begin(begin) if !begin.blocked => begun.push(GenerationRow {
                begin: record.seq,
                checkpoint: begin.checkpoint.clone(),
                grant: begin.grant,
                at: record.at,
                tokens: begin.max_tokens,
                sketch: begin.sketch.clone().unwrap_or_default(),
            }),
            Event::Begin(_) => {}
            Event::End(end) => ended.push((end.begin, end.tokens)),
        }
    }
    let after = JournalRow {
        journal: batch.journal,
        holder,
        records: batch.next.0,
        head: batch.next.1,
        told: now,
        leased_until: Timestamp::from_unix_seconds(0),
        leased_for: None,
        is_lost: false,
        raised: None,
    };
    UsageFiling { after, before: is_known.then_some(batch.from), begun, ended }
}
