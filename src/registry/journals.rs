//! Journals at the registry: a lease is bound to one that continues the synced records, and all other journals of the person are accounted
//! for.

use super::case_opening::{CaseAbout, RuleHits};
use super::{Error, IssuedLease, Registry};
use crate::access::{Grant, JournalId, JournalMark};
use crate::api::JournalState;
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::misuse::Severity;
use crate::name::Prose;
use crate::statement::{Envelope, Predicate as _};
use crate::store::{
    DeclarationChange, Effect, FiledStatement, Filing, JournalRow, SanctionChange, StatementRow, UsageChange,
};
use crate::time::Timestamp;
use crate::usage::{JournalDeclaration, first_link, verify_declaration};

/// Days after a lease's end within which the journal's state must be reported.
const DAYS_TO_TELL: u32 = 7;
/// Maximum active journals per person.
const MAX_OPEN: usize = 8;
/// Maximum journals per person that are read; a person with more gets no lease.
pub(super) const MAX_JOURNALS: usize = 256;
/// Maximum hours of a running generation.
const MAX_UNDER_WAY: i64 = 24;

/// A lost journal, and the case about it.
type Loss = (JournalId, Option<(FiledStatement, SanctionChange)>);

/// The rule for lost journals.
const LOST: &str = "journal-lost";
/// The rule for generations without an end.
pub(super) const UNENDED: &str = "generation-unended";

impl Registry {
    /// The journal for a lease: the reported one, if it continues the synced records and the person's other journals are accounted for.
    pub(super) async fn require_accounted(
        &self,
        holder: KeyId,
        told: Option<&JournalState>,
        now: Timestamp,
    ) -> Result<JournalMark, Error> {
        let told = told.ok_or(Error::JournalUntold)?;
        let rows = self.journals_of(holder).await?;
        let own = rows.iter().find(|row| row.journal == told.journal);
        match own {
            Some(row) => require_continued(told, row)?,
            None => self.require_first(told, &rows).await?,
        }
        for row in rows.iter().filter(|row| !row.is_lost && row.journal != told.journal) {
            let is_told = row.leased_until.unix_seconds() == 0 || row.told >= row.leased_until;
            if !is_told && row.leased_until.plus_days(DAYS_TO_TELL) < now {
                return Err(Error::JournalOverdue { journal: row.journal, until: row.leased_until });
            }
        }
        self.require_ended(holder, told, now).await?;
        Ok(JournalMark { journal: told.journal, records: told.records, head: told.head })
    }

    async fn journals_of(&self, holder: KeyId) -> Result<Vec<JournalRow>, Error> {
        let rows = self.store.journals_of(holder, MAX_JOURNALS + 1).await?;
        // A truncated list is no basis for a decision.
        if rows.len() > MAX_JOURNALS { Err(Error::TooManyJournals { max: MAX_JOURNALS }) } else { Ok(rows) }
    }

    /// Refuses a batch of an undeclared journal if the person has others.
    pub(super) async fn require_first_journal(&self, holder: KeyId, journal: JournalId) -> Result<(), Error> {
        match self.journals_of(holder).await?.iter().max_by_key(|row| (!row.is_lost, row.told)) {
            None => Ok(()),
            Some(other) => {
                Err(Error::JournalUndeclared { journal, known: other.journal, records: other.records })
            }
        }
    }

    /// Refuses an undeclared journal, unless it is the person's first.
    async fn require_first(&self, told: &JournalState, rows: &[JournalRow]) -> Result<(), Error> {
        if self.store.journal(told.journal).await?.is_some() {
            return Err(Error::NotYours);
        }
        if let Some(other) = rows.iter().max_by_key(|row| (!row.is_lost, row.told)) {
            return Err(Error::JournalUndeclared {
                journal: told.journal,
                known: other.journal,
                records: other.records,
            });
        }
        if told.records > 0 || told.head != first_link(told.journal) {
            return Err(Error::Unsynced { known: 0, told: told.records });
        }
        Ok(())
    }

    /// Refuses a journal with a generation that neither runs nor ended, and opens a case.
    async fn require_ended(&self, holder: KeyId, told: &JournalState, now: Timestamp) -> Result<(), Error> {
        let open = self.store.open_generations(holder, told.journal).await?;
        let since = now.plus_seconds(-MAX_UNDER_WAY * 3600);
        let is_over = |(begin, at): &&(u64, Timestamp)| !told.under_way.contains(begin) || *at < since;
        let Some(&(begin, _)) = open.iter().find(is_over) else { return Ok(()) };
        let refused = Error::GenerationUnended { journal: told.journal, begin };
        let Some(row) = self.store.journal(told.journal).await? else { return Err(refused) };
        let reason: Prose = format!("generation {begin} of journal {} never ended", told.journal).parse()?;
        if let Some(case) = self.journal_case(&row, holder, UNENDED, reason, now).await? {
            let (case, opened) = case;
            self.store.put(Filing::one(case).with_sanction(opened)).await?;
        }
        Err(refused)
    }

    /// A case about a journal, under its last lease's grant or the person's newest.
    async fn journal_case(
        &self,
        row: &JournalRow,
        holder: KeyId,
        rule: &'static str,
        reason: Prose,
        now: Timestamp,
    ) -> Result<Option<(FiledStatement, SanctionChange)>, Error> {
        let grant = match row.leased_for {
            Some(grant) => Some(grant),
            None => self.store.newest_of(Grant::KIND, holder).await?.map(|row| row.digest),
        };
        let Some(grant) = grant else { return Ok(None) };
        // There is one open case per grant and rule.
        if self.store.open_case(grant, rule).await?.is_some() {
            return Ok(None);
        }
        let rows = self.store.statement(grant).await?;
        let Some(found) = rows.iter().find(|row| row.kind == Grant::KIND && !row.is_erased()) else {
            return Ok(None);
        };
        let manifest = Envelope::parse(found.envelope.as_bytes())?.claim::<Grant>()?.subject.digest;
        let about = CaseAbout { grant, checkpoint: &found.checkpoint, manifest, person: holder };
        Ok(Some(self.new_case(&about, RuleHits::new(rule, &reason, Severity::Medium), now).await?))
    }

    /// Accepts a declaration of journals; returns whether it was new.
    pub(super) async fn accept_declaration(
        &self,
        envelope: &Envelope,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let catalogue = self.view().await?.catalogue.id();
        let statement = verify_declaration(envelope, catalogue)?;
        if !self.store.statement(envelope.digest()).await?.is_empty() {
            return Ok(false);
        }
        let said = &statement.predicate;
        super::accept::require_fresh(said.created, now)?;
        let holder = said.card.verifying_key.id();
        let rows = self.journals_of(holder).await?;
        // A person without usage has nothing to declare; the first journal needs no declaration.
        if rows.is_empty() {
            return Err(Error::NothingToDeclare);
        }
        let known = rows.iter().find(|row| row.journal == said.journal);
        match known {
            None if self.store.journal(said.journal).await?.is_some() => return Err(Error::NotYours),
            Some(row) if row.is_lost || said.lost.is_empty() => {
                return Err(Error::JournalKnown { journal: said.journal });
            }
            _ => {}
        }
        let stay = rows.iter().filter(|row| !row.is_lost && !said.lost.contains(&row.journal));
        if stay.count() + usize::from(known.is_none()) > MAX_OPEN {
            return Err(Error::TooManyJournals { max: MAX_OPEN });
        }
        let row = StatementRow {
            digest: envelope.digest(),
            signer: holder,
            kind: JournalDeclaration::KIND.to_owned(),
            checkpoint: JournalDeclaration::KIND.parse()?,
            about: None,
            holder,
            envelope: envelope.to_json(),
            received: now,
        };
        let entry = Entry::new(EntryKind::Journal, now, row.digest);
        let mut statements = vec![FiledStatement { row, entry: Some(entry) }];
        let mut sanctions = Vec::new();
        let mut lost = Vec::new();
        for (journal, case) in self.losses(said, &rows, now).await? {
            lost.push((journal, case.as_ref().map(|(case, _)| case.row.digest)));
            if let Some((case, opened)) = case {
                statements.push(case);
                sanctions.push(opened);
            }
        }
        let change = DeclarationChange { journal: said.journal, holder, told: now, lost };
        let filing = Filing {
            statements,
            effect: Effect::None,
            entries: Vec::new(),
            usage: Some(UsageChange::Declared(change)),
            expected: None,
            sanctions,
            charge: None,
        };
        self.file(filing).await
    }

    /// The lost journals of a declaration, each with its case.
    async fn losses(
        &self,
        said: &JournalDeclaration,
        rows: &[JournalRow],
        now: Timestamp,
    ) -> Result<Vec<Loss>, Error> {
        let mut losses = Vec::new();
        if !said.lost.is_empty() {
            // One loss may be an accident. A second one waits for the decision about the first.
            for case in rows.iter().filter(|row| row.is_lost).filter_map(|row| row.raised) {
                if self.store.case(case).await?.is_some_and(|case| case.outcome.is_none()) {
                    return Err(Error::LossUndecided { case });
                }
            }
        }
        let holder = said.card.verifying_key.id();
        for journal in &said.lost {
            let row = rows.iter().find(|row| row.journal == *journal && !row.is_lost);
            let row = row.ok_or(Error::NoSuchJournal { journal: *journal })?;
            let records = row.records;
            let reason =
                format!("the journal {journal} with {records} synced records is lost: {}", said.reason);
            let reason: String = reason.chars().take(1000).collect();
            losses.push((*journal, self.journal_case(row, holder, LOST, reason.parse()?, now).await?));
        }
        Ok(losses)
    }
}

fn require_continued(told: &JournalState, row: &JournalRow) -> Result<(), Error> {
    if row.is_lost {
        return Err(Error::JournalGivenUp { journal: row.journal });
    }
    if told.records > row.records {
        return Err(Error::Unsynced { known: row.records, told: told.records });
    }
    if told.records < row.records || told.head != row.head {
        return Err(Error::JournalCut { journal: row.journal, known: row.records, told: told.records });
    }
    Ok(())
}

/// The change of a journal's state by a lease.
pub(super) fn lease_change(
    mark: &JournalMark,
    holder: KeyId,
    issued: &IssuedLease,
    now: Timestamp,
) -> UsageChange {
    UsageChange::Leased(JournalRow {
        journal: mark.journal,
        holder,
        records: mark.records,
        head: mark.head,
        told: now,
        leased_until: issued.expires,
        leased_for: Some(issued.grant.digest()),
        is_lost: false,
        raised: None,
    })
}
