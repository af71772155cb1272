//! Grants at the registry: whether a request may still be approved, what an approval changes, and whose grants stand.

use std::collections::{BTreeMap, BTreeSet};

use super::accept::{Incoming, require_fresh};
use super::{Error, Registry, answers_itself};
use crate::access::{self, Grant, Request, verify_grant};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind};
use crate::statement::{Envelope, Statement, Verified};
use crate::store::{Effect, RequestState, StatementRow};

impl Registry {
    /// Refuses an approval that could not count: of a request that is over, under a grant that a revocation ended, of another grant than the
    /// one that stands already, or where nobody but the registry grants.
    async fn require_approvable(
        &self,
        incoming: &Incoming<'_>,
        request: Sha256Digest,
        grant: &Grant,
    ) -> Result<(), Error> {
        let state = self.store.request(request).await?.map(|row| row.state);
        if let Some(state @ (RequestState::Withdrawn | RequestState::Denied | RequestState::Ended)) = state {
            return Err(Error::Over { request, state });
        }
        if let Some(ended) = self.ended(grant, incoming.rules).await? {
            let why = Box::new(ended);
            return Err(Error::ApprovalOfEnded { grant: incoming.envelope.digest(), request, why });
        }
        let standing = self.holders_with_grants(request, incoming).await?;
        let other = standing.get(&grant.researcher.verifying_key.id());
        if let Some(other) = other.filter(|other| **other != incoming.envelope.digest()) {
            return Err(Error::GrantedAlready { request, grant: *other });
        }
        if answers_itself(incoming.rules) {
            let rules = incoming.rules;
            let (checkpoint, stage) = (rules.checkpoint.clone(), rules.stage.to_string());
            return Err(Error::NothingToApprove { checkpoint, stage });
        }
        Ok(())
    }

    /// Refuses what is only about grants that stand or stood, such as a revocation, of one that lacks signatures: nobody could use it, and the
    /// request that it answers waits or was denied.
    pub(super) async fn require_stood(&self, grant: Sha256Digest, claim: &Grant) -> Result<(), Error> {
        match self.store.log_entry(EntryKind::Grant, grant).await? {
            Some(_) => Ok(()),
            None => Err(Error::NeverStood { grant, request: claim.request }),
        }
    }

    /// What a grant changes, once its signatures are merged with those that are `known`.
    pub(super) async fn effect_of_grant(
        &self,
        incoming: &Incoming<'_>,
        request: &Verified<Statement<Request>>,
        known: &[StatementRow],
    ) -> Result<(Effect, Vec<Entry>), Error> {
        let claim = incoming.envelope.claim::<Grant>()?;
        if known.is_empty() {
            require_fresh(claim.predicate.issued, incoming.now)?;
        }
        self.require_approvable(incoming, request.digest(), &claim.predicate).await?;
        let mut merged = incoming.envelope.with_signatures_by(&incoming.rules.deciders());
        for row in known {
            merged.merge(&Envelope::parse(row.envelope.as_bytes())?)?;
        }
        let affiliations = self.affiliations([&claim.predicate.researcher], incoming.rules).await?;
        match verify_grant(&merged, incoming.rules, &[], &affiliations, incoming.now) {
            // Of a request for several people, the last of them.
            Ok(_) if !self.others_stand(request, &claim.predicate, incoming).await? => {
                Ok((Effect::None, vec![incoming.stands()]))
            }
            Ok(_) => {
                let note = format!("until {}", claim.predicate.expires);
                let (request, state) = (request.digest(), RequestState::Granted);
                Ok((Effect::Changes { request, state, note }, vec![incoming.stands()]))
            }
            // Too few signed yet.
            Err(
                access::Error::Statement(_)
                | access::Error::NotPermitted { .. }
                | access::Error::Awaited { .. },
            ) => Ok((Effect::None, Vec::new())),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether everybody for whom a request asks, but for the one of this grant, has a grant that counts.
    async fn others_stand(
        &self,
        request: &Verified<Statement<Request>>,
        grant: &Grant,
        incoming: &Incoming<'_>,
    ) -> Result<bool, Error> {
        let mut others = request.predicate.holders()?;
        others.retain(|holder| holder.verifying_key != grant.researcher.verifying_key);
        if others.is_empty() {
            return Ok(true);
        }
        let standing = self.holders_with_grants(request.digest(), incoming).await?;
        Ok(others.iter().all(|holder| standing.contains_key(&holder.verifying_key.id())))
    }

    /// Who has a grant that counts now and answers a request.
    pub(super) async fn holders_with_grants(
        &self,
        request: Sha256Digest,
        incoming: &Incoming<'_>,
    ) -> Result<BTreeMap<KeyId, Sha256Digest>, Error> {
        let answers = self.store.grants_that_answer(request).await?;
        let digests: BTreeSet<_> = answers.iter().map(|row| row.digest).collect();
        let mut standing = BTreeMap::new();
        for digest in digests {
            let envelope = self.grant(digest).await?;
            let affiliations = self.affiliations_of_grant(&envelope, incoming.rules).await?;
            if let Ok(grant) = verify_grant(&envelope, incoming.rules, &[], &affiliations, incoming.now)
                && self.ended(&grant.predicate, incoming.rules).await?.is_none()
            {
                standing.insert(grant.predicate.researcher.verifying_key.id(), digest);
            }
        }
        Ok(standing)
    }
}
