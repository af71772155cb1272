//! Usage at the registry: batches are stored, rules are applied, and cases are opened.

use std::collections::{BTreeMap, BTreeSet};

use super::case_opening::{CaseAbout, HitOutcome, RuleHits};
use super::journals::UNENDED;
use super::{Error, Registry};
use crate::access::Grant;
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::misuse::{Generation, History, RecordPlace, Scorer};
use crate::name::CheckpointId;
use crate::statement::{Envelope, Predicate as _};
use crate::store::{
    Effect, FiledStatement, Filing, GenerationRow, JournalRow, StatementRow, UsageChange, UsageFiling,
};
use crate::time::Timestamp;
use crate::usage::{ChainedBatch, Event, UsageBatch, verify_batch};

/// Days of history that rules use.
const HISTORY_DAYS: i64 = 30;
/// Maximum generations of one person in a history, about 30 MB: two a minute all day. A longer history opens a case.
const MAX_GENERATIONS: usize = 100_000;
/// The rule of that case.
const UNREADABLE: &str = "history-too-long";
/// The rule of a case for a hit of a rule that is not in force.
const NOT_IN_FORCE: &str = "not-in-force";

/// The grants of a batch's generations.
#[derive(Debug, Default)]
struct CitedGrants {
    /// By the record with which a generation began.
    of_generation: BTreeMap<u64, Sha256Digest>,
    /// With their checkpoints and manifests.
    grants: BTreeMap<Sha256Digest, (CheckpointId, Sha256Digest)>,
}

impl Registry {
    /// Accepts a batch that continues its journal and opens cases for hits; returns whether the batch was new.
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
        let cited = self.find_cited_grants(&batch, holder).await?;
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
        let mut statements = vec![FiledStatement { row, entry: Some(entry) }];
        let mut sanctions = Vec::new();
        for outcome in self.cases(&batch, &cited, now).await? {
            statements.extend(outcome.case);
            sanctions.extend(outcome.changes);
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
            for grant in cited.grants.keys() {
                // Stored hits of a case that was decided meanwhile.
                self.raise_later(*grant, now).await?;
            }
            return Ok(true);
        }
        // Another batch of the same journal was stored meanwhile.
        let known = self.store.journal(batch.journal).await?;
        require_continues(&batch, holder, known.as_ref()).map(|()| false)
    }

    /// The grants that the records cite, each of which must belong to the journal's owner.
    async fn find_cited_grants(&self, batch: &ChainedBatch, holder: KeyId) -> Result<CitedGrants, Error> {
        let mut cited = CitedGrants::default();
        for (record, _) in &batch.records {
            match &record.event {
                Event::Begin(begin) => {
                    cited.of_generation.insert(record.seq, begin.grant);
                }
                // A generation from an earlier batch ends under the grant under which it began.
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

    /// A case for each grant with hits, of records and of the history.
    async fn cases(
        &self,
        batch: &ChainedBatch,
        cited: &CitedGrants,
        now: Timestamp,
    ) -> Result<Vec<HitOutcome>, Error> {
        let view = self.view().await?;
        let scorer = view.scorer();
        let mut raised: BTreeMap<Sha256Digest, RuleHits> = BTreeMap::new();
        for (record, digest) in &batch.records {
            let (begin, hits, explanation) = match &record.event {
                Event::Begin(begin) => (record.seq, &begin.hits, None),
                Event::End(end) => (end.begin, &end.hits, end.explanation.as_ref()),
            };
            let grant = cited.of_generation.get(&begin).copied();
            let Some(grant) = grant.filter(|_| !hits.is_empty() || explanation.is_some()) else { continue };
            let raised = raised.entry(grant).or_default();
            let place = RecordPlace { journal: record.journal, seq: record.seq, digest: *digest };
            for hit in hits {
                let rule = known_rule(hit.as_str(), scorer.as_deref());
                raised.add(rule, None, Some(&place), scorer.as_deref());
            }
            if let Some(explanation) = explanation {
                raised.add(UNENDED, Some(explanation.to_string()), Some(&place), None);
            }
        }
        if let Some(scorer) = &scorer {
            for (grant, (checkpoint, _)) in &cited.grants {
                let Some(history) = self.history(batch, checkpoint, now).await? else {
                    let found = format!(
                        "more than {MAX_GENERATIONS} generations in {HISTORY_DAYS} days: no rule can tell what they are"
                    );
                    raised.entry(*grant).or_default().add(UNREADABLE, Some(found), None, None);
                    continue;
                };
                for hit in scorer.score_history(&history, now) {
                    let raised = raised.entry(*grant).or_default();
                    raised.add(hit.rule.as_str(), Some(hit.reason), None, Some(scorer));
                }
            }
        }
        let person = batch.card.verifying_key.id();
        let mut outcomes = Vec::new();
        for (grant, raised) in raised {
            let Some((checkpoint, manifest)) = cited.grants.get(&grant) else { continue };
            let about = CaseAbout { grant, checkpoint, manifest: *manifest, person };
            outcomes.push(self.record_hits(&about, raised, now).await?);
        }
        Ok(outcomes)
    }

    /// The person's history including this batch, and the others' usage of the checkpoint; `None` if it is too long to read.
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
            .map(|(at, tokens, sketch)| Generation { at, tokens, sketch: sketch.parse().ok() })
            .collect();
        let new = usage_filing(batch, holder, false, now);
        let ended: BTreeMap<_, _> = new.ended.iter().copied().collect();
        own.extend(new.begun.into_iter().map(|row| Generation {
            at: row.at,
            tokens: ended.get(&row.begin).copied().unwrap_or(row.tokens),
            sketch: row.sketch.parse().ok(),
        }));
        let cohort_day = self.store.cohort_median(checkpoint, holder, now.plus_seconds(-24 * 3600)).await?;
        Ok(Some(History { own, cohort_day }))
    }
}

/// The rule in force that a record names. The registry does not sign other texts of the record's owner.
fn known_rule<'a>(hit: &'a str, scorer: Option<&Scorer>) -> &'a str {
    let is_known = |scorer: &Scorer| scorer.rules().rules.iter().any(|rule| rule.id.as_str() == hit);
    if scorer.is_some_and(is_known) { hit } else { NOT_IN_FORCE }
}

fn require_continues(batch: &ChainedBatch, holder: KeyId, known: Option<&JournalRow>) -> Result<(), Error> {
    let expected = match known {
        Some(known) if known.holder != holder => return Err(Error::NotYours),
        Some(known) if known.is_lost => return Err(Error::JournalGivenUp { journal: known.journal }),
        Some(known) => (known.records, Some(known.head)),
        None => (0, None),
    };
    if batch.from.seq == expected.0 && expected.1.is_none_or(|head| head == batch.from.link) {
        return Ok(());
    }
    Err(Error::JournalForked { known: expected.0, first: batch.from.seq })
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
        records: batch.next.seq,
        head: batch.next.link,
        told: now,
        leased_until: Timestamp::from_unix_seconds(0),
        leased_for: None,
        is_lost: false,
        raised: None,
    };
    UsageFiling { after, before: is_known.then_some((batch.from.seq, batch.from.link)), begun, ended }
}
