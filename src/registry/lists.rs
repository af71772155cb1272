//! Read access: researchers read what concerns them, board members what concerns their checkpoints, auditors everything. Each answer passes
//! the gate in [`super::reveal`].
//!
//! Lists disclose only what their reader may read; also the presence of a further page is derived from those rows alone.

use std::collections::HashMap;

use super::erase::Erasure;
use super::page::{Cursor, ListPage, ListRange};
use super::reveal::{Disclosure, PrivateAnswer};
use super::{Error, Reading, Registry, WaitEstimate};
use crate::access::{self, Affiliation, Handover, Revocation};
use crate::api::{ApprovalItem, JournalState, SanctionItem};
use crate::catalogue::{Parcel, Subject};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::misuse::CaseStep;
use crate::name::CheckpointId;
use crate::statement::{Envelope, Predicate as _};
use crate::store::{Event, Page, RequestFilter, RequestRow, RequestState, SealRow, StatementRow};
use crate::time::Timestamp;
use crate::usage::UsageBatch;

/// Kinds that belong to no checkpoint or to several, and are stored under their own name.
const OF_NO_CHECKPOINT: [&str; 4] = [Affiliation::KIND, UsageBatch::KIND, Reading::KIND, Erasure::KIND];

/// A query for statements.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Default)]
pub struct StatementQuery {
    pub kind: String,
    /// The request, grant or case that they belong to.
    pub about: Option<Sha256Digest>,
    /// The first hexadecimal digits of their digests.
    pub prefix: Option<String>,
    /// Whether to return only the newest, with `about`.
    pub newest: bool,
}

/// A query for requests.
#[derive(Debug, Clone, Default)]
pub struct RequestQuery {
    /// A checkpoint's requests; without it, the reader's own.
    pub checkpoint: Option<CheckpointId>,
    /// A state to filter by.
    pub state: Option<RequestState>,
}

/// A request with its history.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone)]
pub struct RequestHistory {
    pub row: RequestRow,
    /// In order.
    pub events: Vec<Event>,
    pub waiting: WaitEstimate,
    /// Sanctions against the people in the request.
    pub sanctions: Vec<SanctionItem>,
    /// Approvals so far, with their times.
    pub approvals: Vec<ApprovalItem>,
}

/// A grant, and whether it is valid.
#[derive(Debug)]
pub struct GrantDecision {
    /// The grant with all stored signatures.
    pub envelope: Envelope,
    /// The rule that refuses it, if it is not valid.
    pub counts: Result<(), access::Error>,
}

/// The reader, with cached decisions about what they may read.
struct Scope<'a> {
    reader: KeyId,
    boards: &'a [CheckpointId],
    audits: bool,
    /// Whether an object concerns the reader; many rows are about the same one.
    about: HashMap<(Sha256Digest, bool), bool>,
}

impl Scope<'_> {
    fn boards_for(&self, kind: &str) -> &[CheckpointId] {
        if OF_NO_CHECKPOINT.contains(&kind) { &[] } else { self.boards }
    }
}

impl Registry {
    /// The statements that `reader` may read.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Catalogue`]; [`Error::Unknown`] for a part that begins after what the reader was not shown.
    pub async fn statements(
        &self,
        query: &StatementQuery,
        slice: ListRange,
        reader: KeyId,
    ) -> Result<PrivateAnswer<ListPage<StatementRow>>, Error> {
        let view = self.view().await?;
        let boards = view.decides_on(reader);
        let audits = view.is_auditor(reader) || reader == self.key_id();
        let mut scope = Scope { reader, boards, audits, about: HashMap::new() };
        let mut after = match slice.after {
            None => 0,
            Some(cursor) => self.position_of(cursor, &mut scope).await?,
        };
        let (mut items, mut next) = (Vec::new(), None);
        'pages: loop {
            // One row more than requested shows whether another page follows.
            let page = Page { after, limit: slice.limit() + 1 };
            let found = self.found(query, page, &scope).await?;
            let is_last = query.newest || i64::try_from(found.len()).is_ok_and(|found| found < page.rows());
            for (seq, row) in found {
                after = seq;
                if row.is_erased() || !self.may_read(&row, &mut scope).await? {
                    continue;
                }
                if items.len() == slice.rows() {
                    next = items.last().map(Cursor::from_statement).filter(|_| !query.newest);
                    break 'pages;
                }
                items.push(row);
            }
            if is_last {
                break;
            }
        }
        let disclosure = Disclosure::from_statements(&query.kind, &items);
        self.reveal(reader, disclosure, ListPage { items, next }).await
    }

    async fn found(
        &self,
        query: &StatementQuery,
        page: Page,
        scope: &Scope<'_>,
    ) -> Result<Vec<(i64, StatementRow)>, Error> {
        Ok(match query {
            StatementQuery { kind, about: Some(about), newest: true, .. } => {
                self.store.newest_about(kind, *about, page.limit - 1).await?
            }
            StatementQuery { kind, about: Some(about), .. } => {
                self.store.statements_about(kind, *about, page).await?
            }
            StatementQuery { kind, prefix: Some(prefix), .. } => {
                self.store.statements_by_prefix(kind, prefix, page).await?
            }
            StatementQuery { kind, .. } if scope.audits => self.store.statements_of_kind(kind, page).await?,
            StatementQuery { kind, .. }
                if kind == Affiliation::KIND
                    && self.sees_affiliations(scope.reader, !scope.boards.is_empty()).await? =>
            {
                self.store.statements_of_kind(kind, page).await?
            }
            StatementQuery { kind, .. } => self.list_readable(kind, page, scope).await?,
        })
    }

    /// Rows that concern the reader, or their boards' checkpoints.
    async fn list_readable(
        &self,
        kind: &str,
        page: Page,
        scope: &Scope<'_>,
    ) -> Result<Vec<(i64, StatementRow)>, Error> {
        let mut rows = self.store.statements_for(kind, scope.reader, page).await?;
        for checkpoint in scope.boards_for(kind) {
            rows.extend(self.store.statements_of(kind, checkpoint, page).await?);
        }
        rows.sort_by_key(|(seq, _)| *seq);
        rows.dedup_by_key(|(seq, _)| *seq);
        rows.truncate(usize::try_from(page.rows()).unwrap_or(usize::MAX));
        Ok(rows)
    }

    /// The position of a row that the reader may read; other rows are reported as unknown.
    async fn position_of(&self, cursor: Cursor, scope: &mut Scope<'_>) -> Result<i64, Error> {
        let unknown = Error::Unknown { what: "row that you were shown", digest: cursor.digest };
        let Some((seq, row)) = self.store.placed_statement(cursor.digest, cursor.signer).await? else {
            return Err(unknown);
        };
        if self.may_read(&row, scope).await? { Ok(seq) } else { Err(unknown) }
    }

    async fn may_read(&self, row: &StatementRow, scope: &mut Scope<'_>) -> Result<bool, Error> {
        if scope.audits || row.holder == scope.reader || scope.boards_for(&row.kind).contains(&row.checkpoint)
        {
            return Ok(true);
        }
        if row.kind == Affiliation::KIND {
            return self.may_read_affiliation(row, scope.reader, !scope.boards.is_empty()).await;
        }
        // The auditors' notes in a case are private to them; what the person may read is stored under their key. A share that precedes its
        // grant has its member's name; the grant has the researcher's.
        let (Some(about), false) = (row.about, [CaseStep::KIND, Handover::KIND].contains(&row.kind.as_str()))
        else {
            return Ok(false);
        };
        let is_revocation = row.kind == Revocation::KIND;
        if let Some(known) = scope.about.get(&(about, is_revocation)) {
            return Ok(*known);
        }
        let concerns = self.is_concerned(about, is_revocation, scope.reader).await?;
        scope.about.insert((about, is_revocation), concerns);
        Ok(concerns)
    }

    /// Whether an object concerns the reader. The author of a request for several people may read about all of their grants.
    async fn is_concerned(
        &self,
        about: Sha256Digest,
        is_revocation: bool,
        reader: KeyId,
    ) -> Result<bool, Error> {
        let about = self.store.statement(about).await?;
        if about.iter().any(|about| about.holder == reader) {
            return Ok(true);
        }
        match about.first().and_then(|grant| grant.about).filter(|_| is_revocation) {
            Some(request) => {
                Ok(self.store.statement(request).await?.iter().any(|request| request.holder == reader))
            }
            None => Ok(false),
        }
    }

    /// The requests that `reader` may read: their own, or those for a checkpoint of their board.
    ///
    /// # Errors
    /// [`Error::NotYours`], [`Error::Store`]; [`Error::Unknown`] for a part that begins after what the reader was not shown.
    pub async fn request_rows(
        &self,
        query: &RequestQuery,
        slice: ListRange,
        reader: KeyId,
    ) -> Result<PrivateAnswer<ListPage<RequestRow>>, Error> {
        let filter = match (&query.checkpoint, query.state) {
            (None, _) => RequestFilter::Holder(reader),
            (Some(checkpoint), _) if !self.view().await?.decides_on(reader).contains(checkpoint) => {
                return Err(Error::NotYours);
            }
            (Some(checkpoint), None) => RequestFilter::Checkpoint(checkpoint.clone()),
            (Some(checkpoint), Some(state)) => RequestFilter::Queue(checkpoint.clone(), state),
        };
        let after = match slice.after {
            None => 0,
            Some(Cursor { digest, .. }) => match self.request_row(digest, reader).await {
                Err(Error::NotYours | Error::Unknown { .. }) => {
                    return Err(Error::Unknown { what: "row that you were shown", digest });
                }
                row => row?.seq,
            },
        };
        let items = self.store.requests(&filter, Page { after, limit: slice.limit }).await?;
        let next = match items.last().filter(|_| items.len() == slice.rows()) {
            Some(last) => {
                let page = Page { after: last.seq, limit: 1 };
                let more = self.store.requests(&filter, page).await?;
                more.first().map(|_| Cursor::from_request(last))
            }
            None => None,
        };
        let disclosure = Disclosure::from_requests("queue", &items);
        self.reveal(reader, disclosure, ListPage { items, next }).await
    }

    /// A request that `reader` may read.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::NotYours`], [`Error::Store`].
    pub async fn queued_request(
        &self,
        digest: Sha256Digest,
        reader: KeyId,
    ) -> Result<PrivateAnswer<RequestRow>, Error> {
        let row = self.request_row(digest, reader).await?;
        self.reveal(reader, Disclosure::from_requests("queue", std::slice::from_ref(&row)), row).await
    }

    /// A request that `reader` may read, with its history.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::NotYours`], [`Error::Store`].
    pub async fn request_history(
        &self,
        digest: Sha256Digest,
        reader: KeyId,
        now: Timestamp,
    ) -> Result<PrivateAnswer<RequestHistory>, Error> {
        let row = self.request_row(digest, reader).await?;
        let (events, waiting) = self.standing(&row).await?;
        let sanctions = self.sanctions_of_request(digest, now).await?;
        let signed = self.store.grants_that_answer(digest).await?;
        let approval =
            |row: StatementRow| ApprovalItem { grant: row.digest, signer: row.signer, at: row.received };
        let approvals = signed.into_iter().map(approval).collect();
        let disclosure = Disclosure::from_requests("history", std::slice::from_ref(&row));
        self.reveal(reader, disclosure, RequestHistory { row, events, waiting, sanctions, approvals }).await
    }

    async fn request_row(&self, digest: Sha256Digest, reader: KeyId) -> Result<RequestRow, Error> {
        let row = self.store.request(digest).await?.ok_or(Error::Unknown { what: "request", digest })?;
        let on_board = self.view().await?.decides_on(reader).contains(&row.checkpoint);
        if row.holder == reader || on_board { Ok(row) } else { Err(Error::NotYours) }
    }

    /// A grant that `reader` may read, and whether it is valid now.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::NotYours`], [`Error::Store`].
    pub async fn grant_decision(
        &self,
        digest: Sha256Digest,
        reader: KeyId,
        now: Timestamp,
    ) -> Result<PrivateAnswer<GrantDecision>, Error> {
        let (grant, decision) = self.decide(digest, reader, now).await?;
        let holder = grant.researcher.verifying_key.id();
        let disclosure = Disclosure::from_item("decision", digest, &grant.checkpoint, [holder]);
        self.reveal(reader, disclosure, decision).await
    }

    /// A lease for the grant's holder.
    ///
    /// # Errors
    /// As of [`Registry::lease`].
    pub async fn lease_to_holder(
        &self,
        grant: Sha256Digest,
        reader: KeyId,
        journal: Option<&JournalState>,
        now: Timestamp,
    ) -> Result<PrivateAnswer<Envelope>, Error> {
        let lease = self.lease(grant, reader, journal, now).await?;
        self.reveal(reader, Disclosure::nothing(), lease).await
    }

    /// The manifest and shares of a sealed checkpoint, for members of its board.
    ///
    /// # Errors
    /// [`Error::NotYours`], [`Error::Unknown`], [`Error::Store`].
    pub async fn shares(
        &self,
        checkpoint: &CheckpointId,
        manifest: Sha256Digest,
        reader: KeyId,
    ) -> Result<PrivateAnswer<SealRow>, Error> {
        let view = self.view().await?;
        if !view.boards_of(reader).contains(checkpoint) {
            return Err(Error::NotYours);
        }
        let row = self.seal(checkpoint, manifest).await?;
        let members = view.catalogue.board(checkpoint);
        let members = members.iter().flat_map(|board| board.keys().iter().map(|member| member.id()));
        self.reveal(reader, Disclosure::from_item("shares", manifest, checkpoint, members), row).await
    }

    /// The roles with an open proposal, for the catalogue's keepers.
    ///
    /// # Errors
    /// [`Error::NotYours`], [`Error::Repository`], [`Error::Store`].
    pub async fn proposals_for(&self, reader: Option<KeyId>) -> Result<PrivateAnswer<Vec<Subject>>, Error> {
        self.require_keeper(reader).await?;
        // Proposals are about to be public and concern no one in particular.
        Ok(PrivateAnswer::public(self.proposals().await?))
    }

    /// The open proposal of a role, for the catalogue's keepers.
    ///
    /// # Errors
    /// [`Error::NotYours`], [`Error::Repository`], [`Error::Store`].
    pub async fn proposal_for(
        &self,
        subject: &Subject,
        reader: Option<KeyId>,
    ) -> Result<PrivateAnswer<Parcel>, Error> {
        self.require_keeper(reader).await?;
        Ok(PrivateAnswer::public(self.proposal(subject).await?))
    }
}
