//! The replay's part about use: batches, cases, readings.

use std::collections::{BTreeMap, VecDeque};

use super::replay::{Replay, short};
use super::{CaseFact, Depth, UsageFact};
use crate::access::CLOCK_TOLERANCE;
use crate::digest::Sha256Digest;
use crate::log::{self, Entry, Part, Tiles};
use crate::misuse::{Case, CaseStep, Standing, verify_case, verify_step};
use crate::name::CheckpointId;
use crate::registry::Reading;
use crate::statement::{Envelope, Predicate as _};
use crate::time::Timestamp;
use crate::usage::{
    Begin, Event, JournalId, SignedRecord, UsageBatch, VerifiedBatch, first_link, verify_batch,
};

const DAY: i64 = 24 * 3600;

/// Journals as they came in.
#[derive(Default)]
pub(super) struct Journals {
    next: BTreeMap<JournalId, (u64, Sha256Digest)>,
    open: BTreeMap<(JournalId, u64), Open>,
    /// Tokens of the last day under each grant.
    spent: BTreeMap<Sha256Digest, VecDeque<(Timestamp, u64)>>,
}

/// A generation that began.
struct Open {
    grant: Sha256Digest,
    checkpoint: CheckpointId,
    at: Timestamp,
    promised: u64,
    is_flagged: bool,
}

impl Journals {
    /// Generations whose end did not come in.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }
}

/// A log without entries has no tiles.
pub(super) struct NoTiles;

impl Tiles for NoTiles {
    fn read(&self, part: Part) -> Result<Vec<u8>, log::Error> {
        Err(log::Error::Tile { path: part.to_string(), reason: "there is none".to_owned() })
    }
}

impl Replay {
    pub(super) fn usage(&mut self, entry: &Entry, envelope: &Envelope) -> Result<(), String> {
        let batch = match self.batch.take() {
            Some((digest, batch)) if digest == entry.statement => batch?,
            _ => read_batch(envelope, self.depth)?,
        };
        let expected = self.journals.next.get(&batch.journal).copied();
        let expected = expected.unwrap_or((0, first_link(batch.journal)));
        if batch.from != expected {
            return Err(format!(
                "it begins at record {} of journal {}, and {} came in before",
                batch.from.0, batch.journal, expected.0
            ));
        }
        self.journals.next.insert(batch.journal, batch.next);
        let mut wrong = Vec::new();
        for (record, _) in &batch.records {
            let judged = match &record.event {
                Event::Begin(begin) => self.begun(&batch, (record.seq, record.at), begin, entry.at),
                Event::End(end) => self.ended((batch.journal, end.begin), end.tokens, !end.hits.is_empty()),
            };
            wrong.extend(judged.err().map(|what| format!("record {}: {what}", record.seq)));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    fn begun(
        &mut self,
        batch: &VerifiedBatch,
        (seq, at): (u64, Timestamp),
        begin: &Begin,
        came: Timestamp,
    ) -> Result<(), String> {
        let day = at.date();
        let usage = self.facts.usage.entry((begin.checkpoint.clone(), begin.grant, day)).or_default();
        if begin.blocked {
            usage.blocked += 1;
            return Ok(());
        }
        usage.generations += 1;
        let is_flagged = !begin.hits.is_empty();
        usage.flagged += u64::from(is_flagged);
        let holder = batch.card.verifying_key.id();
        self.facts.users.insert(holder);
        let (grant, checkpoint) = (begin.grant, begin.checkpoint.clone());
        let open = Open { grant, checkpoint, at, promised: begin.max_tokens, is_flagged };
        self.journals.open.insert((batch.journal, seq), open);
        let fact = self
            .facts
            .grants
            .get_mut(&grant)
            .ok_or_else(|| format!("its grant {} never stood", short(grant)))?;
        fact.generations += 1;
        fact.last_usage = Some(came);
        if fact.key != holder {
            return Err(format!("its grant {} is another person's", short(grant)));
        }
        let lease = self.leases.get(&begin.lease).ok_or("no lease for it is in the log")?;
        if lease.grant != grant || at >= lease.expires || at.plus_seconds(CLOCK_TOLERANCE) < lease.issued {
            return Err(format!("at {at} its lease did not run"));
        }
        self.within_limit(&begin.checkpoint, grant, (at, begin.max_tokens))
    }

    /// Tokens in 24 hours, as the stage in force limits them now.
    fn within_limit(
        &mut self,
        checkpoint: &CheckpointId,
        grant: Sha256Digest,
        (at, tokens): (Timestamp, u64),
    ) -> Result<(), String> {
        let Ok(rules) = self.rules(checkpoint) else { return Ok(()) };
        let stage = self.facts.grants.get(&grant).and_then(|fact| fact.stage.parse().ok());
        let limit = stage.and_then(|stage| rules.policy.stage(&stage)?.limits.tokens_per_day);
        let Some(limit) = limit else { return Ok(()) };
        let spent = self.journals.spent.entry(grant).or_default();
        while spent.front().is_some_and(|(then, _)| at.seconds_since(*then) >= DAY) {
            spent.pop_front();
        }
        spent.push_back((at, tokens));
        let sum: u64 = spent.iter().map(|(_, tokens)| tokens).sum();
        // What is promised counts until its end comes in; the end then corrects it.
        if sum > limit { Err(format!("{sum} tokens in 24 hours, and {limit} are allowed")) } else { Ok(()) }
    }

    fn ended(&mut self, begin: (JournalId, u64), tokens: u64, is_flagged: bool) -> Result<(), String> {
        let open = self.journals.open.remove(&begin).ok_or("it ends what never began")?;
        if let Some(spent) = self.journals.spent.get_mut(&open.grant) {
            let promised =
                spent.iter_mut().rev().find(|(at, tokens)| (*at, *tokens) == (open.at, open.promised));
            if let Some((_, counted)) = promised {
                *counted = tokens;
            }
        }
        let day = (open.checkpoint, open.grant, open.at.date());
        let usage: &mut UsageFact = self.facts.usage.entry(day).or_default();
        usage.tokens += tokens;
        usage.flagged += u64::from(is_flagged && !open.is_flagged);
        if let Some(fact) = self.facts.grants.get_mut(&open.grant) {
            fact.tokens += tokens;
        }
        if tokens > open.promised {
            return Err(format!("{tokens} tokens came out, and {} were to be", open.promised));
        }
        Ok(())
    }

    pub(super) fn case(&mut self, entry: &Entry, envelope: &Envelope) -> Result<(), String> {
        let rules = self.rules_of(entry)?;
        let words = |error: crate::misuse::CaseError| error.to_string();
        if envelope.kind().map_err(|error| error.to_string())? == Case::KIND {
            let case = if self.checks_signatures() {
                verify_case(envelope, &rules).map_err(words)?.into_inner().predicate
            } else {
                envelope.claim::<Case>().map_err(|error| error.to_string())?.predicate
            };
            let fact = CaseFact {
                checkpoint: rules.checkpoint.clone(),
                grant: case.grant,
                severity: case.severity,
                rules: case.rules,
                reason: case.reason.to_string(),
                at: entry.at,
                standing: Standing::default(),
            };
            self.facts.cases.insert(entry.statement, fact);
            return Ok(());
        }
        let case = entry.about.ok_or("it belongs to no case")?;
        if self.not_here.contains(&case) {
            return Ok(());
        }
        let fact = self.facts.cases.get(&case).ok_or("its case is not in the log before it")?;
        let step = if self.checks_signatures() {
            let person = self.holder_key(fact.grant)?;
            verify_step(envelope, &person, &rules).map_err(words)?.into_inner()
        } else {
            envelope.claim::<CaseStep>().map_err(|error| error.to_string())?.predicate
        };
        if let Some(fact) = self.facts.cases.get_mut(&case) {
            fact.standing.take(&step);
        }
        Ok(())
    }

    /// A lease must not have been issued while a case suspended its grant.
    pub(super) fn require_not_suspended(&self, grant: Sha256Digest, at: Timestamp) -> Result<(), String> {
        let cases = self.facts.cases.values().filter(|case| case.grant == grant);
        match cases.filter_map(|case| case.standing.suspended_until(at)).max() {
            Some(until) => Err(format!("the grant was suspended until {until}")),
            None => Ok(()),
        }
    }

    pub(super) fn reading(&mut self, entry: &Entry, envelope: &Envelope) -> Result<(), String> {
        let reading = self.by_registry::<Reading>(envelope)?;
        if entry.by != Some(reading.reader) {
            return Err("the entry names another reader".to_owned());
        }
        *self.facts.readings.entry(reading.reader).or_default() += 1;
        Ok(())
    }
}

/// Reads a batch, as deep as is asked.
pub(super) fn read_batch(envelope: &Envelope, depth: Depth) -> Result<VerifiedBatch, String> {
    match depth {
        Depth::Everything => verify_batch(envelope).map_err(|error| error.to_string()),
        Depth::Digests => unverified(envelope),
    }
}

/// A batch whose signatures nobody looked at.
fn unverified(envelope: &Envelope) -> Result<VerifiedBatch, String> {
    let UsageBatch { card, journal, first, previous, records, created } =
        envelope.claim::<UsageBatch>().map_err(|error| error.to_string())?.predicate;
    let mut next = (first, previous);
    let mut read = Vec::new();
    for line in &records {
        let record = SignedRecord::parse(line, next.0).map_err(|error| error.to_string())?;
        let digest = record.digest();
        next = (next.0 + 1, digest);
        read.push((record.record().clone(), digest));
    }
    Ok(VerifiedBatch { card, journal, from: (first, previous), next, records: read, created })
}
