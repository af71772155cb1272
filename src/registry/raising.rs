//! Cases that the registry opens. There is one open case a grant and rule; what meets a rule meanwhile is kept, and becomes a case of its own once
//! that one is decided. A harmless first hit buys nobody the rest.

use std::collections::{BTreeMap, BTreeSet};

use super::{Error, Registry};
use crate::access::Grant;
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::misuse::{Case, RecordPlace, RuleId, Scorer, Severity};
use crate::name::{CheckpointId, Prose};
use crate::statement::{Envelope, Predicate as _, Statement, Subject};
use crate::store::{
    Error as StoreError, Filed, Filing, LaterHit, SanctionChange, SanctionedGrant, StatementRow,
};
use crate::time::Timestamp;

/// Records, and rules, that a case names at most.
const MAX_NAMED: usize = 64;
/// What a case says first that is about what waited for another.
const WAITED: &str = "came in while an earlier case about it was open";

/// A rule that was met.
#[derive(Debug, Clone)]
struct RuleHit {
    rule: String,
    reason: String,
    severity: Severity,
    /// The record that met it, if one alone did.
    record: Option<RecordPlace>,
}

/// The rules that were met under one grant.
#[derive(Debug, Default)]
pub(super) struct Raised {
    hits: Vec<RuleHit>,
}

/// What a case of the registry's own is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct CaseAbout<'a> {
    pub(super) grant: Sha256Digest,
    pub(super) checkpoint: &'a CheckpointId,
    pub(super) manifest: Sha256Digest,
    pub(super) person: KeyId,
}

/// What follows from rules that were met: a case, what is kept for a later one, or both.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) case: Option<Filed>,
    pub(super) changes: Vec<SanctionChange>,
}

impl Raised {
    /// A rule of the registry's own.
    pub(super) fn of(rule: &str, reason: &Prose, severity: Severity) -> Self {
        let reason = format!("{rule}: {reason}");
        Self { hits: vec![RuleHit { rule: rule.to_owned(), reason, severity, record: None }] }
    }

    /// A rule that was met, and what was found, if it says more than the rule does.
    pub(super) fn add(
        &mut self,
        (rule, found): (&str, Option<String>),
        record: Option<&RecordPlace>,
        scorer: Option<&Scorer>,
    ) {
        let known =
            scorer.and_then(|scorer| scorer.rules().rules.iter().find(|known| known.id.as_str() == rule));
        let found = found.or_else(|| known.map(|known| known.reason.clone()));
        let reason = format!("{rule}: {}", found.as_deref().unwrap_or("of rules no longer in force"));
        let severity = known.map_or(Severity::Medium, |known| known.severity);
        self.hits.push(RuleHit { rule: rule.to_owned(), reason, severity, record: record.cloned() });
    }
}

impl Registry {
    /// The case that follows, about rules of which none is open, as far as one can name them; the rest is kept for a later one.
    pub(super) async fn outcome(
        &self,
        about: &CaseAbout<'_>,
        raised: Raised,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let (mut open, mut fresh, mut kept) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (mut rules, mut records) = (BTreeSet::new(), BTreeSet::new());
        for hit in raised.hits {
            if !open.contains_key(&hit.rule) {
                let case = self.store.open_case(about.grant, &hit.rule).await?;
                open.insert(hit.rule.clone(), case.is_some());
            }
            let is_open = open.get(&hit.rule).is_some_and(|is_open| *is_open);
            rules.insert(hit.rule.clone());
            records.extend(hit.record.as_ref().map(|record| record.digest));
            if is_open || rules.len() > MAX_NAMED || records.len() > MAX_NAMED {
                kept.push(later(about, &hit, now));
            } else {
                fresh.push(hit);
            }
        }
        let mut outcome = Outcome::default();
        if !fresh.is_empty() {
            let (case, opened) = self.case(about, Raised { hits: fresh }, now).await?;
            outcome.case = Some(case);
            outcome.changes.push(opened);
        }
        outcome.changes.extend(kept.into_iter().map(SanctionChange::HitKept));
        Ok(outcome)
    }

    /// Opens a case about everything under a grant that waited for cases which are decided now.
    pub(super) async fn raise_later(&self, grant: Sha256Digest, now: Timestamp) -> Result<(), Error> {
        loop {
            let hits = self.store.later_hits(grant, MAX_NAMED).await?;
            if hits.is_empty() {
                return Ok(());
            }
            let rows = self.store.statement(grant).await?;
            let Some(row) = rows.iter().find(|row| row.kind == Grant::KIND && !row.is_erased()) else {
                return Ok(());
            };
            let manifest = Envelope::parse(row.envelope.as_bytes())?.claim::<Grant>()?.subject.digest;
            let about = CaseAbout { grant, checkpoint: &row.checkpoint, manifest, person: row.holder };
            let places = hits.iter().map(LaterHit::place).collect();
            let raised = Raised { hits: hits.into_iter().map(of_later).collect() };
            let (case, opened) = self.case(&about, raised, now).await?;
            let taken = SanctionChange::HitsTaken(places);
            let filing = Filing::one(case).with_sanction(taken).with_sanction(opened);
            match self.store.put(filing).await {
                // Another replica did it meanwhile.
                Err(StoreError::NotWritten { .. }) => return Ok(()),
                done => done?,
            };
        }
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
        let Raised { hits } = raised;
        let severity = hits.iter().map(|hit| hit.severity).max().unwrap_or(Severity::Medium);
        let rules: BTreeSet<_> = hits.iter().map(|hit| hit.rule.clone()).collect();
        let rules: Vec<String> = rules.into_iter().collect();
        let mut records: Vec<RecordPlace> = Vec::new();
        for record in hits.iter().filter_map(|hit| hit.record.as_ref()) {
            if !records.contains(record) {
                records.push(record.clone());
            }
        }
        let reasons: BTreeSet<_> = hits.into_iter().map(|hit| hit.reason).collect();
        let reasons: Vec<_> = reasons.into_iter().collect();
        let reason: String = reasons.join("; ").chars().take(1000).collect();
        let reason: Prose = reason.parse().or_else(|_| "a rule of misuse was met".parse())?;
        let named = rules.iter().map(|rule| rule.parse()).collect::<Result<Vec<RuleId>, _>>()?;
        let case = Case { grant, person, records, rules: named, severity, reason, created: now };
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
        let entry =
            Entry::new(EntryKind::Case, now, row.digest).with_checkpoint(checkpoint).with_about(Some(grant));
        let about = SanctionedGrant { grant, holder: person, checkpoint: checkpoint.clone() };
        let opened = SanctionChange::CaseOpened { statement: row.digest, grant: about, rules, at: now };
        Ok((Filed { row, entry: Some(entry) }, opened))
    }
}

fn later(about: &CaseAbout<'_>, hit: &RuleHit, now: Timestamp) -> LaterHit {
    LaterHit {
        grant: about.grant,
        holder: about.person,
        rule: hit.rule.clone(),
        record: hit.record.as_ref().map(|record| (record.journal, record.seq, record.digest)),
        severity: hit.severity.as_str().to_owned(),
        reason: hit.reason.clone(),
        at: now,
    }
}

fn of_later(hit: LaterHit) -> RuleHit {
    let record = hit.record.map(|(journal, seq, digest)| RecordPlace { journal, seq, digest });
    let severity = hit.severity.parse().unwrap_or(Severity::Medium);
    RuleHit { reason: format!("{WAITED}: {}", hit.reason), rule: hit.rule, severity, record }
}
