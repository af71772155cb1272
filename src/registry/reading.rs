//! Requests and grants as they stand, and leases for them.

use super::journals::leased as journal_leased;
use super::lists::GrantDecision;
use super::{Error, Issued, LeaseTerms, Registry, issue_lease};
use crate::access::{Grant, Lease, verify_claimed_grant};
use crate::api::JournalState;
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::statement::{Envelope, Predicate as _};
use crate::store::{Event, Filed, Filing, RequestRow, RequestState, Sanctions, StatementRow};
use crate::time::Timestamp;
use crate::usage::JournalMark;

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

/// How often a lease is tried while the journal that it binds moves on.
const TRIES: usize = 3;

impl Registry {
    /// What happened to a request, and how long it may wait yet.
    pub(super) async fn standing(&self, request: &RequestRow) -> Result<(Vec<Event>, Waiting), Error> {
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
    pub(super) async fn decide(
        &self,
        digest: Sha256Digest,
        reader: KeyId,
        now: Timestamp,
    ) -> Result<(Grant, GrantDecision), Error> {
        let (envelope, sanctions) = self.grant_and_sanctions(digest).await?;
        let claim = envelope.claimed::<Grant>()?;
        let grant = claim.predicate.clone();
        let view = self.view().await?;
        let holder = grant.researcher.verifying_key.id();
        if holder != reader && !view.decides_on(reader).contains(&grant.checkpoint) {
            return Err(Error::NotYours);
        }
        let rules = view.rules(&grant.checkpoint)?;
        let counts = match self.ended_by(&grant, sanctions, &rules).await? {
            Some(revoked) => Err(revoked),
            None => {
                let affiliations = self.affiliations([&grant.researcher], &rules).await?;
                verify_claimed_grant(claim, &rules, &[], &affiliations, now).map(|_| ())
            }
        };
        Ok((grant, GrantDecision { envelope, counts }))
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
        self.require_logged(EntryKind::Grant, grant).await?;
        let affiliations = self.affiliations([&claim.researcher], &rules).await?;
        let mut mark = self.require_accounted(reader, journal, now).await?;
        self.raise_later(grant, now).await?;
        // Another lease or batch of the same journal may come in meanwhile.
        for _ in 0..TRIES {
            let terms = LeaseTerms {
                grant: &envelope,
                revocations: &[],
                affiliations: &affiliations,
                rules: &rules,
                locks: &locks,
                journal: Some(mark),
            };
            let issued = issue_lease(&terms, self.keys(), now)?;
            if self.file_lease(&Leased { grant, reader, mark: &mark, issued: &issued }, now).await? {
                return Ok(issued.lease);
            }
            mark = self.require_accounted(reader, journal, now).await?;
        }
        Err(Error::Unsynced { known: mark.records, told: mark.records })
    }

    /// Files a lease with what it changes of its journal, and sees to it that it is in the log; whether it was filed.
    async fn file_lease(&self, leased: &Leased<'_>, now: Timestamp) -> Result<bool, Error> {
        let Leased { grant, reader, mark, issued } = *leased;
        let row = StatementRow {
            digest: issued.lease.digest(),
            signer: self.key_id(),
            kind: Lease::KIND.to_owned(),
            checkpoint: issued.grant.predicate.checkpoint.clone(),
            about: Some(grant),
            holder: reader,
            envelope: issued.lease.to_json(),
            received: now,
        };
        let entry = Entry::new(EntryKind::Lease, now, row.digest)
            .with_checkpoint(&row.checkpoint)
            .with_about(Some(grant));
        let lease = row.digest;
        let usage = Some(journal_leased(mark, reader, issued, now));
        if !self.store.put(Filing { usage, ..Filing::one(Filed { row, entry: Some(entry) }) }).await? {
            return Ok(false);
        }
        // It takes effect once it is in the log (P3).
        self.require_logged(EntryKind::Lease, lease).await?;
        Ok(true)
    }

    /// The grant with this digest, the signatures of all who signed it in one envelope.
    pub(super) async fn grant(&self, digest: Sha256Digest) -> Result<Envelope, Error> {
        merged(digest, self.store.statement(digest).await?)
    }

    /// The same, with what stands against its holder.
    async fn grant_and_sanctions(&self, digest: Sha256Digest) -> Result<(Envelope, Sanctions), Error> {
        let (rows, sanctions) = self.store.statement_and_sanctions(digest).await?;
        Ok((merged(digest, rows)?, sanctions))
    }
}

/// A lease that is to be filed: for whom, under which grant, and how its journal stood.
struct Leased<'a> {
    grant: Sha256Digest,
    reader: KeyId,
    mark: &'a JournalMark,
    issued: &'a Issued,
}

/// The signatures of all who signed a grant in one envelope.
fn merged(digest: Sha256Digest, rows: Vec<StatementRow>) -> Result<Envelope, Error> {
    let mut grant: Option<Envelope> = None;
    for row in rows.into_iter().filter(|row| row.kind == Grant::KIND && !row.is_erased()) {
        let envelope = Envelope::parse(row.envelope.as_bytes())?;
        match &mut grant {
            Some(grant) => grant.merge(&envelope)?,
            None => grant = Some(envelope),
        }
    }
    grant.ok_or(Error::Unknown { what: "grant", digest })
}
