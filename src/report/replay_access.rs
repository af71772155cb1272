//! Replay of access: requests, grants, leases, revocations and erasures.

use std::sync::Arc;

use super::ahead::ReadLease;
use super::replay::{Replay, ReplayedGrant, VerifiedGrant, short};
use super::{GrantFact, RequestFact};
use crate::access::{self, Denial, Grant, Request, Revocation, check_lease, verify_grant, verify_lease};
use crate::digest::Sha256Digest;
use crate::identity::Card;
use crate::log::{Entry, EntryKind};
use crate::registry::Erasure;
use crate::statement::{Envelope, Statement, Verified};
use crate::time::Timestamp;

use super::replay::LeaseSpan;

impl Replay {
    pub(super) fn request(&mut self, entry: &Entry, envelope: &Envelope) -> Result<(), String> {
        let request = if self.checks_signatures() {
            access::verify_request(envelope, self.catalogue()?.id())
                .map_err(|error| error.to_string())?
                .into_inner()
        } else {
            envelope.claim::<Request>().map_err(|error| error.to_string())?
        };
        let Request { checkpoint, uses, card, .. } = request.predicate;
        let uses = uses.iter().map(ToString::to_string).collect();
        let person = person(&card);
        let fact = RequestFact { checkpoint, uses, at: entry.at, person, answer: None, reason: None };
        self.facts.requests.insert(entry.statement, fact);
        Ok(())
    }

    pub(super) fn answered(
        &mut self,
        entry: &Entry,
        answer: &'static str,
        envelope: &Envelope,
    ) -> Result<(), String> {
        let about = entry.about.ok_or("it answers no request")?;
        let mut reason = None;
        if entry.kind == EntryKind::Denial {
            let denial = envelope.claim::<Denial>().map_err(|error| error.to_string())?;
            reason = Some(denial.predicate.reason.to_string());
        }
        if self.checks_signatures() && entry.kind == EntryKind::Denial {
            let request = self.facts.requests.get(&about);
            let checkpoint = request.ok_or("its request is not in the log before it")?.checkpoint.clone();
            let rules = self.rules_referred_to(entry, &checkpoint)?;
            let denial = access::verify_denial(envelope, about, &rules).map_err(|error| error.to_string())?;
            if denial.reason.as_str().trim().is_empty() {
                return Err("a decision without a reason".to_owned());
            }
        }
        if let Some(request) = self.facts.requests.get_mut(&about)
            && request.answer.is_none()
        {
            (request.answer, request.reason) = (Some((entry.at, answer)), reason);
        }
        Ok(())
    }

    pub(super) fn approval(&mut self, entry: &Entry, envelope: &Envelope) -> Result<(), String> {
        match self.grants.get_mut(&entry.statement) {
            Some(known) => known.envelope.merge(envelope).map_err(|error| error.to_string()),
            None => {
                let claim = envelope.claim::<Grant>().map_err(|error| error.to_string())?;
                let standing = ReplayedGrant {
                    checkpoint: claim.predicate.checkpoint,
                    envelope: envelope.clone(),
                    revocations: Vec::new(),
                    verified: None,
                };
                self.grants.insert(entry.statement, standing);
                Ok(())
            }
        }
    }

    pub(super) fn grant(&mut self, entry: &Entry) -> Result<(), String> {
        if self.is_void(entry)? {
            return Ok(());
        }
        if self.checks_signatures() && !self.not_here.contains(&entry.statement) {
            self.verified(entry.statement, entry.at)?;
        }
        let Some(standing) = self.grants.get(&entry.statement) else {
            // Erased or missing: that is decided at the end.
            self.missing.push((self.place, entry.clone()));
            return Ok(());
        };
        let Grant { request, checkpoint, researcher, stage, uses, expires, .. } =
            standing.envelope.claim::<Grant>().map_err(|error| error.to_string())?.predicate;
        let fact = GrantFact {
            checkpoint,
            stage: stage.to_string(),
            person: person(&researcher),
            key: researcher.verifying_key.id(),
            uses: uses.iter().map(ToString::to_string).collect(),
            at: entry.at,
            expires,
            revoked: None,
            leases: 0,
            last_lease: None,
            last_usage: None,
            tokens: 0,
            generations: 0,
        };
        self.facts.grants.insert(entry.statement, fact);
        if let Some(request) = self.facts.requests.get_mut(&request) {
            request.answer.get_or_insert((entry.at, "granted"));
        }
        Ok(())
    }

    /// Whether the grant was revoked before its last approval, which is reported: it was never valid, and a lease under it would be a
    /// finding.
    fn is_void(&mut self, entry: &Entry) -> Result<bool, String> {
        let Some(standing) = self.grants.get(&entry.statement) else { return Ok(false) };
        if standing.revocations.is_empty() {
            return Ok(false);
        }
        let (checkpoint, revocations) = (standing.checkpoint.clone(), standing.revocations.clone());
        let rules = self.rules(&checkpoint)?;
        let Some(revoked) = access::find_revocation(entry.statement, &revocations, &rules) else {
            return Ok(false);
        };
        let what = format!("the grant {} had its last approval after {revoked}", short(entry.statement));
        self.found.add_void(self.place, what);
        self.void_grants += 1;
        Ok(true)
    }

    /// A grant, verified by the rules in force at a time.
    pub(super) fn verified(
        &mut self,
        grant: Sha256Digest,
        at: Timestamp,
    ) -> Result<Arc<Verified<Statement<Grant>>>, String> {
        let missing = || format!("its grant {} is not in the log before it", short(grant));
        let checkpoint = self.grants.get(&grant).ok_or_else(missing)?.checkpoint.clone();
        let rules = self.rules(&checkpoint)?;
        let standing = self.grants.get_mut(&grant).ok_or_else(missing)?;
        if let Some(known) = &standing.verified
            && Arc::ptr_eq(&known.rules, &rules)
            && standing.revocations.is_empty()
            && at < known.grant.predicate.expires
        {
            if rules.depends_on_registrars() {
                access::require_affiliated(&known.grant, &rules, &self.affiliations, at)
                    .map_err(|error| format!("the grant is not valid: {error}"))?;
            }
            return Ok(known.grant.clone());
        }
        let verified =
            verify_grant(&standing.envelope, &rules, &standing.revocations, &self.affiliations, at)
                .map_err(|error| format!("the grant is not valid: {error}"))?;
        let grant = Arc::new(verified);
        standing.verified = Some(VerifiedGrant { rules, grant: grant.clone() });
        Ok(grant)
    }

    /// The key of a grant's holder.
    pub(super) fn holder_key(&self, grant: Sha256Digest) -> Result<crate::identity::VerifyingKey, String> {
        let standing = self.grants.get(&grant).ok_or("its grant is not in the log before it")?;
        let claim = standing.envelope.claim::<Grant>().map_err(|error| error.to_string())?;
        Ok(claim.predicate.researcher.verifying_key)
    }

    pub(super) fn revocation(&mut self, entry: &Entry, envelope: Envelope) -> Result<(), String> {
        let claim = envelope.claim::<Revocation>().map_err(|error| error.to_string())?.predicate;
        let standing = self.grants.get(&claim.grant).ok_or("its grant is not in the log before it")?;
        let checkpoint = standing.checkpoint.clone();
        let rules = self.rules_referred_to(entry, &checkpoint)?;
        let revocation = access::verify_revocation(&envelope, &rules).map_err(|error| error.to_string())?;
        match self.facts.grants.get_mut(&revocation.grant) {
            Some(fact) => {
                fact.revoked.get_or_insert((entry.at, revocation.reason.to_string()));
            }
            None => self.revoked_early(entry.at, &revocation)?,
        }
        let holder = self.holder_key(revocation.grant)?.id();
        let last = self.revoked.entry((holder, checkpoint)).or_insert(entry.at);
        *last = entry.at.max(*last);
        if let Some(standing) = self.grants.get_mut(&revocation.grant) {
            standing.revocations.push(envelope);
        }
        Ok(())
    }

    /// A revocation of a grant without all approvals answers its request like a denial: the grant can no longer be approved.
    fn revoked_early(&mut self, at: Timestamp, revocation: &Revocation) -> Result<(), String> {
        let grant = revocation.grant;
        if self.not_here.contains(&grant) || self.erased.contains(&grant) {
            return Ok(());
        }
        let standing = self.grants.get(&grant).ok_or("its grant is not in the log before it")?;
        let claim = standing.envelope.claim::<Grant>().map_err(|error| error.to_string())?.predicate;
        let Some(request) = self.facts.requests.get_mut(&claim.request) else { return Ok(()) };
        if request.answer.is_none() {
            let reason =
                format!("{} (its grant was revoked before it had every approval)", revocation.reason);
            (request.answer, request.reason) = (Some((at, "denied")), Some(reason));
        }
        Ok(())
    }

    pub(super) fn lease(
        &mut self,
        entry: &Entry,
        envelope: &Envelope,
        lease: ReadLease,
    ) -> Result<(), String> {
        let ReadLease { grant, issued, expires, journal, signed } = lease;
        let tokens_per_day =
            entry.checkpoint.as_ref().and_then(|checkpoint| self.tokens_per_day(checkpoint, grant));
        let usage = entry.checkpoint.as_ref().and_then(|checkpoint| self.limits(checkpoint, grant));
        let usage = usage.map(|limits| limits.usage);
        let span = LeaseSpan { grant, issued, expires, journal, tokens_per_day, usage };
        self.leases.insert(entry.statement, span);
        if let Some(fact) = self.facts.grants.get_mut(&grant) {
            fact.leases += 1;
            fact.last_lease = Some(entry.at);
        }
        if self.checks_signatures() && !self.not_here.contains(&grant) {
            let verified = self.verified(grant, entry.at)?;
            let rules = self.rules_of(entry)?;
            let lease = match signed {
                Some((by, statement)) if *by == rules.registry => {
                    check_lease(statement, &verified, &rules, entry.at)
                }
                _ => verify_lease(envelope, &verified, &rules, entry.at),
            };
            lease.map_err(|error| error.to_string())?;
            self.require_unsanctioned(&verified, entry.at)?;
        }
        Ok(())
    }

    pub(super) fn affiliation(&mut self, envelope: &Envelope) -> Result<(), String> {
        let organizations = self.catalogue()?.organizations().map_err(|error| error.to_string())?;
        let said = access::verify_affiliation(envelope, &organizations).map_err(|error| error.to_string())?;
        self.affiliations.add(said);
        Ok(())
    }

    pub(super) fn erasure(&mut self, entry: &Entry, envelope: &Envelope) -> Result<(), String> {
        let erasure = self.by_registry::<Erasure>(envelope)?;
        self.facts.erasures.push((entry.at, erasure.statements.len() as u64, erasure.reason.to_string()));
        self.erased.extend(erasure.statements);
        Ok(())
    }
}

/// The name, and the organization if the card names one.
fn person(card: &Card) -> String {
    match &card.organization {
        Some(organization) => format!("{} ({organization})", card.name),
        None => card.name.to_string(),
    }
}
