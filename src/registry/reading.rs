//! Who may read what: a researcher what concerns them, a board member what concerns their checkpoints, nobody else anything.

use super::journals::leased;
use super::{Error, LeaseTerms, Registry, issue_lease};
use crate::access::{self, Grant, Handover, Lease, Revocation, verify_grant};
use crate::api::JournalState;
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::misuse::CaseStep;
use crate::name::CheckpointId;
use crate::statement::{Envelope, Predicate as _};
use crate::store::{Event, Filed, Filing, Page, RequestFilter, RequestRow, RequestState, StatementRow};
use crate::time::Timestamp;

/// What a list of statements is asked for.
#[derive(Debug, Clone, Default)]
pub struct StatementQuery {
    /// Their kind.
    pub kind: String,
    /// What they are about.
    pub about: Option<Sha256Digest>,
    /// How their digests begin, in hexadecimal digits.
    pub prefix: Option<String>,
    /// Only the newest of those that `about` names.
    pub newest: bool,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Part<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// After which place the next part begins; `None` at the end.
    pub next: Option<i64>,
}

/// How long a request waits, as far as can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the queue, where it waits still.
    pub place: Option<i64>,
    /// Seconds that half of the decisions took at most.
    pub median: Option<i64>,
    /// Seconds that nine of ten took at most.
    pub p90: Option<i64>,
}

impl Registry {
    /// The statements that `reader` may read.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Catalogue`].
    pub async fn statements(
        &self,
        query: &StatementQuery,
        page: Page,
        reader: KeyId,
    ) -> Result<Part<StatementRow>, Error> {
        let view = self.view().await?;
        let boards = view.decides_on(reader);
        let audits = view.is_auditor(reader);
        let found = match query {
            StatementQuery { kind, about: Some(about), newest: true, .. } => {
                self.store.newest_about((kind, *about), page.limit).await?
            }
            StatementQuery { kind, about: Some(about), .. } => {
                self.store.statements_about((kind, *about), page).await?
            }
            StatementQuery { kind, prefix: Some(prefix), .. } => {
                self.store.statements_by_prefix((kind, prefix), page).await?
            }
            StatementQuery { kind, .. } if audits => self.store.statements_of_kind(kind, page).await?,
            StatementQuery { kind, .. } => self.all_for(kind, page, (reader, boards)).await?,
        };
        let next = if query.newest { None } else { next_after(&found, page, |(seq, _)| *seq) };
        let mut items = Vec::new();
        for (_, row) in found.into_iter().filter(|(_, row)| !row.is_erased()) {
            if audits || self.may_read(&row, reader, boards).await? {
                items.push(row);
            }
        }
        if audits || !boards.is_empty() {
            self.record_reading(reader, &items, self.now()).await?;
        }
        Ok(Part { items, next })
    }

    /// Those that concern the reader, and those of checkpoints on whose boards they are.
    async fn all_for(
        &self,
        kind: &str,
        page: Page,
        (reader, boards): (KeyId, &[CheckpointId]),
    ) -> Result<Vec<(i64, StatementRow)>, Error> {
        let mut rows = self.store.statements_for((kind, reader), page).await?;
        for checkpoint in boards {
            rows.extend(self.store.statements_of((kind, checkpoint), page).await?);
        }
        rows.sort_by_key(|(seq, _)| *seq);
        rows.dedup_by_key(|(seq, _)| *seq);
        rows.truncate(usize::try_from(page.rows()).unwrap_or(usize::MAX));
        Ok(rows)
    }

    async fn may_read(
        &self,
        row: &StatementRow,
        reader: KeyId,
        boards: &[CheckpointId],
    ) -> Result<bool, Error> {
        if row.holder == reader || reader == self.key_id() || boards.contains(&row.checkpoint) {
            return Ok(true);
        }
        // What auditors note in a case is theirs; what the person may read of it is filed under their own key.
        if row.kind == CaseStep::KIND {
            return Ok(false);
        }
        // A share that came before its grant has its member's name; the grant has the researcher's.
        let (Some(about), false) = (row.about, row.kind == Handover::KIND) else {
            return Ok(false);
        };
        let about = self.store.statement(about).await?;
        if about.iter().any(|about| about.holder == reader) {
            return Ok(true);
        }
        // Who asked for others reads that their grants ended, as they read that they were given.
        match about.first().and_then(|grant| grant.about) {
            Some(request) if row.kind == Revocation::KIND => {
                Ok(self.store.statement(request).await?.iter().any(|request| request.holder == reader))
            }
            _ => Ok(false),
        }
    }

    /// A request that `reader` may read.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::NotYours`], [`Error::Store`].
    pub async fn request_row(&self, digest: Sha256Digest, reader: KeyId) -> Result<RequestRow, Error> {
        let row = self.store.request(digest).await?.ok_or(Error::Unknown { what: "request", digest })?;
        let on_board = self.view().await?.decides_on(reader).contains(&row.checkpoint);
        if row.holder == reader || on_board { Ok(row) } else { Err(Error::NotYours) }
    }

    /// The requests that `reader` may read: their own, or those for a checkpoint on whose board they are.
    ///
    /// # Errors
    /// [`Error::NotYours`], [`Error::Store`].
    pub async fn request_rows(
        &self,
        (checkpoint, state): (Option<CheckpointId>, Option<RequestState>),
        page: Page,
        reader: KeyId,
    ) -> Result<Part<RequestRow>, Error> {
        let filter = match (checkpoint, state) {
            (None, _) => RequestFilter::Holder(reader),
            (Some(checkpoint), _) if !self.view().await?.decides_on(reader).contains(&checkpoint) => {
                return Err(Error::NotYours);
            }
            (Some(checkpoint), None) => RequestFilter::Checkpoint(checkpoint),
            (Some(checkpoint), Some(state)) => RequestFilter::Queue(checkpoint, state),
        };
        let items = self.store.requests(&filter, page).await?;
        let next = next_after(&items, page, |row| row.seq);
        Ok(Part { items, next })
    }

    /// What happened to a request, and how long it may wait yet.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn standing(&self, request: &RequestRow) -> Result<(Vec<Event>, Waiting), Error> {
        let times = self.store.decision_times(&request.checkpoint).await?;
        // Nearest rank: the smallest time that so large a part of them does not exceed.
        let rank = |part: usize| times.get((times.len() * part).div_ceil(100).saturating_sub(1)).copied();
        let place = match request.state {
            RequestState::Pending => Some(self.store.place_in_queue(request).await?),
            _ => None,
        };
        let waiting = Waiting { place, median: rank(50), p90: rank(90) };
        Ok((self.store.history(request.digest).await?, waiting))
    }

    /// Puts a member in charge of a request.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::NotYours`], [`Error::Store`].
    pub async fn assign(
        &self,
        digest: Sha256Digest,
        assignee: Option<KeyId>,
        (actor, now): (KeyId, Timestamp),
    ) -> Result<(), Error> {
        let row = self.store.request(digest).await?.ok_or(Error::Unknown { what: "request", digest })?;
        let view = self.view().await?;
        let on_board = |key| view.decides_on(key).contains(&row.checkpoint);
        if !on_board(actor) || assignee.is_some_and(|key| !on_board(key)) {
            return Err(Error::NotYours);
        }
        Ok(self.store.assign(digest, assignee, (actor, now)).await?)
    }

    /// A grant that `reader` may read, and whether it counts now.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::NotYours`], [`Error::Store`].
    pub async fn decide(
        &self,
        digest: Sha256Digest,
        reader: KeyId,
        now: Timestamp,
    ) -> Result<(Envelope, Result<(), access::Error>), Error> {
        let envelope = self.grant(digest).await?;
        let claim = envelope.claim::<Grant>()?.predicate;
        let view = self.view().await?;
        let holder = claim.researcher.verifying_key.id();
        if holder != reader && !view.decides_on(reader).contains(&claim.checkpoint) {
            return Err(Error::NotYours);
        }
        let rules = view.rules(&claim.checkpoint)?;
        let counts = match self.ended(&claim, &rules).await? {
            Some(revoked) => Err(revoked),
            None => verify_grant(&envelope, &rules, &[], now).map(|_| ()),
        };
        Ok((envelope, counts))
    }

    /// Issues a lease for a grant to its holder, if it counts now.
    ///
    /// # Errors
    /// [`Error::NotYours`], [`Error::Access`] with the rule that refuses it, [`Error::Suspended`], [`Error::Unsynced`], [`Error::Unknown`],
    /// [`Error::Store`].
    pub async fn lease(
        &self,
        grant: Sha256Digest,
        reader: KeyId,
        journal: Option<&JournalState>,
        now: Timestamp,
    ) -> Result<Envelope, Error> {
        let envelope = self.grant(grant).await?;
        let claim = envelope.claim::<Grant>()?.predicate;
        if claim.researcher.verifying_key.id() != reader {
            return Err(Error::NotYours);
        }
        let rules = self.view().await?.rules(&claim.checkpoint)?;
        let locks = self.locks(&rules).await?;
        self.require_unsanctioned(&claim, &rules, now).await?;
        let mark = self.require_accounted(reader, journal, now).await?;
        self.require_logged(EntryKind::Grant, grant).await?;
        let terms = LeaseTerms {
            grant: &envelope,
            revocations: &[],
            rules: &rules,
            locks: &locks,
            journal: Some(mark),
        };
        let issued = issue_lease(&terms, self.keys(), now)?;
        let row = StatementRow {
            digest: issued.lease.digest(),
            signer: self.key_id(),
            kind: Lease::KIND.to_owned(),
            checkpoint: claim.checkpoint,
            about: Some(grant),
            holder: reader,
            envelope: issued.lease.to_json(),
            received: now,
        };
        let entry = Entry::new(EntryKind::Lease, now, row.digest).of(&row.checkpoint).about(Some(grant));
        let lease = row.digest;
        let usage = Some(leased(&mark, reader, &issued, now));
        if !self.store.put(Filing { usage, ..Filing::one(Filed { row, entry: Some(entry) }) }).await? {
            // Another batch of the journal came in meanwhile.
            return Err(Error::Unsynced { known: mark.records, told: mark.records });
        }
        // It takes effect once it is in the log (P3).
        self.require_logged(EntryKind::Lease, lease).await?;
        Ok(issued.lease)
    }

    /// The grant with this digest, the signatures of all who signed it in one envelope.
    pub(super) async fn grant(&self, digest: Sha256Digest) -> Result<Envelope, Error> {
        let mut grant: Option<Envelope> = None;
        let rows = self.store.statement(digest).await?;
        for row in rows.into_iter().filter(|row| row.kind == Grant::KIND && !row.is_erased()) {
            let envelope = Envelope::parse(row.envelope.as_bytes())?;
            match &mut grant {
                Some(grant) => grant.merge(&envelope)?,
                None => grant = Some(envelope),
            }
        }
        grant.ok_or(Error::Unknown { what: "grant", digest })
    }
}

/// Where the next part begins; `None` where this one was not full.
fn next_after<T>(rows: &[T], page: Page, seq: impl Fn(&T) -> i64) -> Option<i64> {
    let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= page.rows());
    rows.last().filter(|_| is_full).map(seq)
}
