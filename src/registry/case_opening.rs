//! Cases that the registry opens. There is one open case per grant and rule; further hits are stored, and become a case once that one is
//! decided. So a harmless first hit does not hide later ones.

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
    Error as StoreError, FiledStatement, Filing, LaterHit, SanctionChange, SanctionedGrant, StatementRow,
};
use crate::time::Timestamp;

/// Maximum number of records, and of rules, in a case.
const MAX_NAMED: usize = 64;
/// Prefix of the reason of a case about stored hits.
const WAITED: &str = "found while an earlier case about it was open";

/// A hit of a rule.
#[derive(Debug, Clone)]
struct RuleHit {
    rule: String,
    reason: String,
    severity: Severity,
    /// The record that met the rule, if it was a single one.
    record: Option<RecordPlace>,
}

/// The hits under one grant.
#[derive(Debug, Default)]
pub(super) struct RuleHits {
    hits: Vec<RuleHit>,
}

/// The subject of a case that the registry opens.
#[derive(Debug, Clone, Copy)]
pub(super) struct CaseAbout<'a> {
    pub(super) grant: Sha256Digest,
    pub(super) checkpoint: &'a CheckpointId,
    pub(super) manifest: Sha256Digest,
    pub(super) person: KeyId,
}

/// The consequence of hits: a case, stored hits for a later one, or both.
#[derive(Debug, Default)]
pub(super) struct HitOutcome {
    pub(super) case: Option<FiledStatement>,
    pub(super) changes: Vec<SanctionChange>,
}

impl RuleHits {
    /// A hit of a rule of the registry itself.
    pub(super) fn new(rule: &str, reason: &Prose, severity: Severity) -> Self {
        let reason = format!("{rule}: {reason}");
        Self { hits: vec![RuleHit { rule: rule.to_owned(), reason, severity, record: None }] }
    }

    /// Adds a hit, and what was found if it says more than the rule.
    pub(super) fn add(
        &mut self,
        rule: &str,
        found: Option<String>,
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
    /// Opens a case for hits of rules without an open case, as many as a case can name; stores the others.
    pub(super) async fn record_hits(
        &self,
        about: &CaseAbout<'_>,
        raised: RuleHits,
        now: Timestamp,
    ) -> Result<HitOutcome, Error> {
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
                kept.push(to_later_hit(about, &hit, now));
            } else {
                fresh.push(hit);
            }
        }
        let mut outcome = HitOutcome::default();
        if !fresh.is_empty() {
            let (case, opened) = self.new_case(about, RuleHits { hits: fresh }, now).await?;
            outcome.case = Some(case);
            outcome.changes.push(opened);
        }
        outcome.changes.extend(kept.into_iter().map(SanctionChange::HitKept));
        Ok(outcome)
    }

    /// Opens a case for the stored hits under a grant whose cases are decided now.
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
            let raised = RuleHits { hits: hits.into_iter().map(from_later_hit).collect() };
            let (case, opened) = self.new_case(&about, raised, now).await?;
            let taken = SanctionChange::HitsTaken(places);
            let filing = Filing::one(case).with_sanction(taken).with_sanction(opened);
            match self.store.put(filing).await {
                // Another replica opened it meanwhile.
                Err(StoreError::NotWritten { .. }) => return Ok(()),
                done => done?,
            };
        }
    }

    /// A case by the registry.
    pub(super) async fn new_case(
        &self,
        about: &CaseAbout<'_>,
        raised: RuleHits,
        now: Timestamp,
    ) -> Result<(FiledStatement, SanctionChange), Error> {
        let catalogue = self.view().await?.catalogue.id();
        let CaseAbout { grant, checkpoint, manifest, person } = *about;
        let RuleHits { hits } = raised;
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
        let entry = Entry::new(EntryKind::Case, now, row.digest).of(checkpoint).about(Some(grant));
        let about = SanctionedGrant { grant, holder: person, checkpoint: checkpoint.clone() };
        let opened = SanctionChange::CaseOpened { statement: row.digest, grant: about, rules, at: now };
        Ok((FiledStatement { row, entry: Some(entry) }, opened))
    }
}

fn to_later_hit(about: &CaseAbout<'_>, hit: &RuleHit, now: Timestamp) -> LaterHit {
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

fn from_later_hit(hit: LaterHit) -> RuleHit {
    let record = hit.record.map(|(journal, seq, digest)| RecordPlace { journal, seq, digest });
    let severity = hit.severity.parse().unwrap_or(Severity::Medium);
    RuleHit { reason: format!("{WAITED}: {}", hit.reason), rule: hit.rule, severity, record }
}
