//! Replay of usage: batches, cases and private reads.

use std::collections::{BTreeMap, BTreeSet};

use super::replay::{Replay, short};
use super::spending::{Account, SpendIndex, Spending};
use super::{CaseFact, UsageFact};
use crate::access::{CLOCK_TOLERANCE, Grant};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::{self, Entry, Part, Tiles};
use crate::misuse::{Case, CaseState, CaseStep, verify_case, verify_step};
use crate::name::CheckpointId;
use crate::policy::{Limits, UsageMode};
use crate::registry::Reading;
use crate::statement::{Envelope, Predicate as _, Statement};
use crate::time::Timestamp;
use crate::usage::{
    Begin, ChainPosition, ChainedBatch, Event, JournalDeclaration, JournalId, Record, verify_declaration,
};

/// Journals in the replay.
#[derive(Default)]
pub(super) struct Journals {
    next: BTreeMap<JournalId, ChainPosition>,
    open: BTreeMap<(JournalId, u64), OpenGeneration>,
    spending: Spending,
    /// Journals declared lost.
    lost: BTreeSet<JournalId>,
}

/// An unfinished generation.
struct OpenGeneration {
    holder: KeyId,
    grant: Sha256Digest,
    checkpoint: CheckpointId,
    at: Timestamp,
    promised: u64,
    spend: Option<SpendIndex>,
    is_flagged: bool,
    /// What the stage kept of texts when the lease was issued.
    kept: Option<UsageMode>,
}

impl Journals {
    /// Exceeded limits with the places of their entries; unfinished generations count in full.
    pub(super) fn excesses(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.spending).excesses()
    }

    /// The number of unfinished generations.
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
    pub(super) fn usage(&mut self, entry: &Entry, batch: &ChainedBatch) -> Result<(), String> {
        if batch.catalogue != Some(self.history.id()) {
            return Err("the batch is not for this catalogue".to_owned());
        }
        let expected = self.journals.next.get(&batch.journal).copied();
        let expected = expected.unwrap_or_else(|| ChainPosition::first(batch.journal));
        if batch.from != expected {
            return Err(format!(
                "it begins at record {} of journal {}, but {} were synced before",
                batch.from.seq, batch.journal, expected.seq
            ));
        }
        if self.journals.lost.contains(&batch.journal) {
            return Err("its journal was declared lost before".to_owned());
        }
        self.journals.next.insert(batch.journal, batch.next);
        let mut wrong = Vec::new();
        for (record, _) in &batch.records {
            let kept = self.require_kept(batch.journal, record);
            let judged = match &record.event {
                Event::Begin(begin) => self.begin_generation(batch, record.seq, record.at, begin, entry.at),
                Event::End(end) => {
                    self.end_generation(batch.journal, end.begin, end.tokens, !end.hits.is_empty())
                }
            };
            wrong.extend(kept.and(judged).err().map(|what| format!("record {}: {what}", record.seq)));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    fn begin_generation(
        &mut self,
        batch: &ChainedBatch,
        seq: u64,
        at: Timestamp,
        begin: &Begin,
        came: Timestamp,
    ) -> Result<(), String> {
        let day = at.date();
        let usage = self.facts.usage.entry((begin.checkpoint.clone(), begin.grant, day)).or_default();
        if begin.blocked {
            usage.blocked += 1;
            return self.require_leased(batch, at, begin);
        }
        usage.generations += 1;
        let is_flagged = !begin.hits.is_empty();
        usage.flagged += u64::from(is_flagged);
        let holder = batch.card.verifying_key.id();
        self.facts.users.insert(holder);
        let (grant, checkpoint) = (begin.grant, begin.checkpoint.clone());
        let promised = begin.max_tokens;
        // A client learns of a new policy with its next lease, so the more generous of the two limits applies.
        let leased = self.leases.get(&begin.lease).filter(|lease| lease.grant == grant);
        let leased = leased.map(|lease| lease.tokens_per_day);
        let limit = self.tokens_per_day(&checkpoint, grant);
        let limit = leased.map_or(limit, |leased| Some(leased?.max(limit?)));
        let account = Account { person: holder, checkpoint: checkpoint.clone() };
        let spend =
            limit.map(|limit| self.journals.spending.begin(&account, at, promised, limit, self.place));
        let kept = self.leases.get(&begin.lease).and_then(|lease| lease.usage);
        let open = OpenGeneration { holder, grant, checkpoint, at, promised, spend, is_flagged, kept };
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
        if fact.checkpoint != begin.checkpoint {
            return Err(format!("its grant {} is for {}", short(grant), fact.checkpoint));
        }
        self.require_leased(batch, at, begin)
    }

    /// Refuses a generation without a lease, outside its lease's time, or for another journal or grant.
    fn require_leased(&self, batch: &ChainedBatch, at: Timestamp, begin: &Begin) -> Result<(), String> {
        let lease = self.leases.get(&begin.lease).ok_or("no lease for it is in the log")?;
        if lease.grant != begin.grant
            || at >= lease.expires
            || at.plus_seconds(CLOCK_TOLERANCE) < lease.issued
        {
            return Err(format!("at {at} its lease did not run"));
        }
        if lease.journal.is_some_and(|journal| journal != batch.journal) {
            return Err("its lease is for another journal".to_owned());
        }
        Ok(())
    }

    /// The limit of tokens in 24 hours under a grant, by the policy in force.
    pub(super) fn tokens_per_day(&mut self, checkpoint: &CheckpointId, grant: Sha256Digest) -> Option<u64> {
        self.limits(checkpoint, grant)?.tokens_per_day
    }

    /// The limits of a grant's stage by the policy in force.
    pub(super) fn limits(&mut self, checkpoint: &CheckpointId, grant: Sha256Digest) -> Option<Limits> {
        let rules = self.rules(checkpoint).ok()?;
        let stage = self.facts.grants.get(&grant)?.stage.parse().ok()?;
        Some(rules.policy.stage(&stage)?.limits)
    }

    /// Refuses texts that neither the policy in force nor the lease's policy keeps.
    fn require_kept(&mut self, journal: JournalId, record: &Record) -> Result<(), String> {
        let holds = record.event.holds();
        if holds == UsageMode::Counts {
            return Ok(());
        }
        let (checkpoint, grant, leased) = match &record.event {
            Event::Begin(begin) => {
                let lease = self.leases.get(&begin.lease);
                (begin.checkpoint.clone(), begin.grant, lease.and_then(|lease| lease.usage))
            }
            Event::End(end) => match self.journals.open.get(&(journal, end.begin)) {
                Some(open) => (open.checkpoint.clone(), open.grant, open.kept),
                // An end without a beginning is reported elsewhere.
                None => return Ok(()),
            },
        };
        let now = self.limits(&checkpoint, grant).map(|limits| limits.usage);
        let Some(mode) = now.into_iter().chain(leased).min().filter(|mode| *mode > holds) else {
            return Ok(());
        };
        let (holds, mode) = (holds.as_str(), mode.as_str());
        Err(format!("it needs a stage with `usage = \"{holds}\"`, but its stage keeps `{mode}`"))
    }

    fn end_generation(
        &mut self,
        journal: JournalId,
        begin: u64,
        tokens: u64,
        is_flagged: bool,
    ) -> Result<(), String> {
        let open =
            self.journals.open.remove(&(journal, begin)).ok_or("it ends a generation that never began")?;
        if let Some(spend) = open.spend {
            let account = Account { person: open.holder, checkpoint: open.checkpoint.clone() };
            self.journals.spending.end(&account, spend, tokens);
        }
        let day = (open.checkpoint, open.grant, open.at.date());
        let usage: &mut UsageFact = self.facts.usage.entry(day).or_default();
        usage.tokens += tokens;
        usage.flagged += u64::from(is_flagged && !open.is_flagged);
        if let Some(fact) = self.facts.grants.get_mut(&open.grant) {
            fact.tokens += tokens;
        }
        if tokens > open.promised {
            return Err(format!("{tokens} tokens were generated, but {} were promised", open.promised));
        }
        Ok(())
    }

    /// A declaration of journals.
    pub(super) fn declaration(&mut self, envelope: &Envelope) -> Result<(), String> {
        let said = if self.checks_signatures() {
            verify_declaration(envelope, self.history.id()).map_err(|error| error.to_string())?.into_inner()
        } else {
            envelope.claim::<JournalDeclaration>().map_err(|error| error.to_string())?
        };
        self.journals.lost.extend(said.predicate.lost);
        Ok(())
    }

    pub(super) fn case(&mut self, entry: &Entry, envelope: &Envelope) -> Result<(), String> {
        let words = |error: crate::misuse::CaseError| error.to_string();
        if envelope.kind().map_err(|error| error.to_string())? == Case::KIND {
            let grant = envelope.claim::<Case>().map_err(|error| error.to_string())?.predicate.grant;
            let standing = self.grants.get(&grant).ok_or("its grant is not in the log before it")?;
            let checkpoint = standing.checkpoint.clone();
            let rules = self.rules_referred_to(entry, &checkpoint)?;
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
                standing: CaseState::default(),
            };
            let holder = self.holder_key(fact.grant)?.id();
            self.cases_of.entry((holder, fact.checkpoint.clone())).or_default().push(entry.statement);
            self.facts.cases.insert(entry.statement, fact);
            return Ok(());
        }
        let case = entry.about.ok_or("it belongs to no case")?;
        if self.not_here.contains(&case) {
            return Ok(());
        }
        let fact = self.facts.cases.get(&case).ok_or("its case is not in the log before it")?;
        let checkpoint = fact.checkpoint.clone();
        let rules = self.rules_referred_to(entry, &checkpoint)?;
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

    /// Refuses a lease under a revoked grant, or to a person suspended for the checkpoint.
    pub(super) fn require_unsanctioned(&self, grant: &Statement<Grant>, at: Timestamp) -> Result<(), String> {
        let Grant { researcher, checkpoint, issued, .. } = &grant.predicate;
        let place = (researcher.verifying_key.id(), checkpoint.clone());
        if let Some(revoked) = self.revoked.get(&place).filter(|revoked| *issued <= **revoked) {
            return Err(format!("grants of this person were revoked at {revoked}"));
        }
        let cases = self.cases_of.get(&place).into_iter().flatten();
        let cases = cases.filter_map(|case| self.facts.cases.get(case));
        match cases.filter_map(|case| case.standing.suspended_until(at)).max() {
            Some(until) => Err(format!("the person was suspended until {until}")),
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
