//! The effects of revocations and cases: they apply to a person and a checkpoint, whichever grant they name (P10).

use super::{Error, Registry};
use crate::access::{self, Grant, Request, Revocation, RulesInForce};
use crate::api::SanctionItem;
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, VerifyingKey};
use crate::misuse::{Case, CaseStep, Step};
use crate::name::{CheckpointId, Prose};
use crate::statement::{Envelope, Predicate as _};
use crate::store::{Page, SanctionChange, SanctionedGrant, Sanctions};
use crate::time::Timestamp;

impl Registry {
    /// Refuses a lease under a revoked grant, or to a person who is suspended for the checkpoint.
    pub(super) async fn require_unsanctioned(
        &self,
        grant: &Grant,
        rules: &RulesInForce,
        now: Timestamp,
    ) -> Result<(), Error> {
        let holder = grant.researcher.verifying_key.id();
        let sanctions = self.store.sanctions(holder, &grant.checkpoint).await?;
        if sanctions.ends(grant.issued) {
            return Err(self
                .describe_revocation(holder, rules, sanctions.revoked.unwrap_or(now))
                .await?
                .into());
        }
        self.require_not_suspended(holder, rules, now).await
    }

    /// Refuses actions of a suspended person.
    pub(super) async fn require_not_suspended(
        &self,
        holder: KeyId,
        rules: &RulesInForce,
        now: Timestamp,
    ) -> Result<(), Error> {
        let sanctions = self.store.sanctions(holder, &rules.checkpoint).await?;
        let Some(until) = sanctions.suspended_at(now) else { return Ok(()) };
        let case = self.store.suspending_case(holder, &rules.checkpoint).await?;
        let case = case.ok_or(Error::Unsigned)?;
        Err(Error::Suspended { case, until, board: rules.contacts.clone() })
    }

    /// The error of a grant that a revocation ended.
    pub(super) async fn revocation_error(
        &self,
        grant: &Grant,
        rules: &RulesInForce,
    ) -> Result<Option<access::Error>, Error> {
        let holder = grant.researcher.verifying_key.id();
        let sanctions = self.store.sanctions(holder, &grant.checkpoint).await?;
        self.revocation_error_from(grant, sanctions, rules).await
    }

    /// As [`Self::revocation_error`], with known sanctions.
    pub(super) async fn revocation_error_from(
        &self,
        grant: &Grant,
        sanctions: Sanctions,
        rules: &RulesInForce,
    ) -> Result<Option<access::Error>, Error> {
        let holder = grant.researcher.verifying_key.id();
        match sanctions.revoked.filter(|_| sanctions.ends(grant.issued)) {
            Some(on) => Ok(Some(self.describe_revocation(holder, rules, on).await?)),
            None => Ok(None),
        }
    }

    /// Refuses an automatic answer to a revoked or suspended person: their board or the auditors must decide.
    pub(super) async fn require_answerable(
        &self,
        request: &Request,
        rules: &RulesInForce,
        now: Timestamp,
    ) -> Result<(), Error> {
        for holder in request.holders()? {
            let key = holder.verifying_key.id();
            if let Some(on) = self.store.sanctions(key, &rules.checkpoint).await?.standing_revocation() {
                return Err(self.describe_revocation(key, rules, on).await?.into());
            }
            self.require_not_suspended(key, rules, now).await?;
        }
        Ok(())
    }

    /// Sanctions against the people in a request; none are known of an erased request.
    pub(super) async fn sanctions_of_request(
        &self,
        request: Sha256Digest,
        now: Timestamp,
    ) -> Result<Vec<SanctionItem>, Error> {
        let request = match self.request(request).await {
            Err(Error::Unknown { .. }) => return Ok(Vec::new()),
            request => request?.into_inner().predicate,
        };
        let mut items = Vec::new();
        for holder in request.holders()? {
            let (person, checkpoint) = (holder.verifying_key.id(), &request.checkpoint);
            let sanctions = self.store.sanctions(person, checkpoint).await?;
            if let Some(until) = sanctions.suspended_at(now) {
                let case = self.store.suspending_case(person, checkpoint).await?;
                items.push(SanctionItem {
                    person,
                    kind: "suspended".to_owned(),
                    time: until,
                    statement: case,
                });
            }
            if let Some(on) = sanctions.standing_revocation() {
                let statement = self.store.last_revocation(person, checkpoint).await?;
                items.push(SanctionItem { person, kind: "revoked".to_owned(), time: on, statement });
            }
        }
        Ok(items)
    }

    async fn describe_revocation(
        &self,
        holder: KeyId,
        rules: &RulesInForce,
        on: Timestamp,
    ) -> Result<access::Error, Error> {
        let board = rules.contacts.clone();
        let found = self.reason_of_revocation(holder, &rules.checkpoint).await?;
        let (reason, by) = match found {
            Some((reason, by)) => (reason, Some(by)),
            None => ("decided in a case".parse()?, None),
        };
        let mut members = rules.board.keys().iter().map(VerifyingKey::id);
        let by_auditor = by.is_none_or(|by| !members.any(|member| member == by));
        Ok(access::Error::Revoked { by_auditor, reason, on, board })
    }

    async fn reason_of_revocation(
        &self,
        holder: KeyId,
        checkpoint: &CheckpointId,
    ) -> Result<Option<(Prose, KeyId)>, Error> {
        let Some(digest) = self.store.last_revocation(holder, checkpoint).await? else { return Ok(None) };
        let rows = self.store.statement(digest).await?;
        let Some(row) = rows.iter().find(|row| !row.is_erased()) else { return Ok(None) };
        let revocation = Envelope::parse(row.envelope.as_bytes())?.claim::<Revocation>()?;
        Ok(Some((revocation.predicate.reason, row.signer)))
    }

    /// Derives the sanctions from statements stored before sanctions were; returns whether there were any. Statements that name another
    /// checkpoint than their grant's have no effect.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Statement`].
    pub async fn adopt_sanctions(&self) -> Result<bool, Error> {
        if !self.store.lacks_sanctions().await? {
            return Ok(false);
        }
        let (mut after, mut changes) = (0, Vec::new());
        loop {
            let rows = self.store.all_statements(Page { after, ..Page::FIRST }).await?;
            let Some((last, _)) = rows.last() else { break };
            after = *last;
            for (_, row) in rows.iter().filter(|(_, row)| !row.is_erased()) {
                let envelope = Envelope::parse(row.envelope.as_bytes())?;
                let change = match row.kind.as_str() {
                    Revocation::KIND => {
                        let grant = envelope.claim::<Revocation>()?.predicate.grant;
                        let grant = self.find_sanctioned(grant, &row.checkpoint).await?;
                        grant.map(|grant| SanctionChange::Revoked {
                            statement: row.digest,
                            grant,
                            at: row.received,
                        })
                    }
                    Case::KIND => {
                        let grant = match row.about {
                            Some(grant) => self.find_sanctioned(grant, &row.checkpoint).await?,
                            None => None,
                        };
                        // Old cases may name rules by any text: these are treated as opened by hand.
                        let case = envelope.claim::<Case>();
                        let rules = case.map(|case| case.predicate.rules).unwrap_or_default();
                        let rules = rules.iter().map(ToString::to_string).collect();
                        grant.map(|grant| SanctionChange::CaseOpened {
                            statement: row.digest,
                            grant,
                            rules,
                            at: row.received,
                        })
                    }
                    CaseStep::KIND => change_by(&envelope.claim::<CaseStep>()?.predicate, row.received),
                    _ => None,
                };
                changes.extend(change);
            }
        }
        self.store.adopt_sanctions(&changes).await?;
        Ok(true)
    }

    async fn find_sanctioned(
        &self,
        grant: Sha256Digest,
        checkpoint: &CheckpointId,
    ) -> Result<Option<SanctionedGrant>, Error> {
        let rows = self.store.statement(grant).await?;
        let row = rows.iter().find(|row| row.kind == Grant::KIND && row.checkpoint == *checkpoint);
        Ok(row.map(|row| SanctionedGrant { grant, holder: row.holder, checkpoint: checkpoint.clone() }))
    }
}

/// The change of sanctions by a step in a case.
pub(super) fn change_by(step: &CaseStep, at: Timestamp) -> Option<SanctionChange> {
    let case = step.case;
    match &step.step {
        Step::Decide { outcome, until, .. } => {
            Some(SanctionChange::CaseDecided { case, outcome: *outcome, until: *until, at })
        }
        Step::Appeal { .. } => Some(SanctionChange::CaseAppealed { case }),
        Step::Assign { .. } | Step::Comment { .. } => None,
    }
}
