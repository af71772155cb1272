//! Whether a request may still be approved, checked before asking for a signature.

use crate::access::{
    Found, Grant, Request, RulesInForce, Statements, last_revocation_of, merge, revocation_of, verify_denial,
    verify_grant, verify_revocation, verify_withdrawal,
};
use crate::cli::failure::Refusal;
use crate::cli::{people, registry};
use crate::client::Catalogue;
use crate::statement::{Envelope, Predicate as _, Statement, Verified};
use crate::time::Timestamp;

/// Refuses a request that is over: taken back, denied, or granted and revoked since.
pub(super) fn require(
    exchange: &dyn Statements,
    request: &Verified<Statement<Request>>,
    rules: &RulesInForce,
    catalogue: &Catalogue,
) -> anyhow::Result<()> {
    require_not_withdrawn(exchange, request)?;
    require_not_denied(exchange, request, rules, catalogue)?;
    require_not_revoked(exchange, request, rules, catalogue)
}

/// What revocations ended: the grants that they name, and the earlier ones of the same people.
pub(super) struct EndedGrants<'a> {
    rules: &'a RulesInForce,
    grants: Vec<Found>,
    revocations: Vec<Envelope>,
}

impl<'a> EndedGrants<'a> {
    pub(super) fn read(exchange: &dyn Statements, rules: &'a RulesInForce) -> anyhow::Result<Self> {
        let revocations = registry::revocations(exchange)?;
        let grants = if revocations.is_empty() { Vec::new() } else { exchange.merged(Grant::KIND)? };
        Ok(Self { rules, grants, revocations })
    }

    /// Whether one of them ended this grant, however many signed it.
    pub(super) fn has_ended(&self, found: &Found) -> bool {
        let Ok(claim) = found.envelope.claim::<Grant>() else { return false };
        let person = &claim.predicate.researcher.verifying_key;
        let last = last_revocation_of(person, &self.grants, &self.revocations, self.rules);
        last.is_some_and(|last| claim.predicate.issued <= last.created)
    }
}

/// A revocation ends a request, too, unless others for whom it asks go on.
fn require_not_revoked(
    exchange: &dyn Statements,
    request: &Verified<Statement<Request>>,
    rules: &RulesInForce,
    catalogue: &Catalogue,
) -> anyhow::Result<()> {
    let grants = merge(exchange.about(Grant::KIND, request.digest())?);
    let mut revoked = None;
    for found in &grants {
        let Ok(claim) = found.envelope.claim::<Grant>() else { continue };
        let revocations: Vec<_> =
            exchange.about("revocation", found.digest)?.into_iter().map(|found| found.envelope).collect();
        if let Some(why) = revocation_of(found.digest, &revocations, rules) {
            let by = revocations.iter().filter_map(|found| verify_revocation(found, rules).ok()).next();
            let by = by.and_then(|by| by.signers().first().map(|key| catalogue.name_of(key)));
            revoked = Some((found.digest, by.unwrap_or_default(), why));
            continue;
        }
        let affiliations = people::affiliations(exchange, [&claim.predicate.researcher], rules)?;
        if verify_grant(&found.envelope, rules, &[], &affiliations, Timestamp::now()).is_ok() {
            return Ok(());
        }
    }
    let Some((grant, by, why)) = revoked else { return Ok(()) };
    let message = format!("{why} ({by} revoked {})", registry::short_digest(grant));
    Err(Refusal::denied(message, explain_renewal("revocation", request)).into())
}

/// Refuses drafts that no request needs: of a person whose grant stands, or in a stage where the registry itself grants.
pub(super) fn require_wanted(
    exchange: &dyn Statements,
    request: &Verified<Statement<Request>>,
    rules: &RulesInForce,
    drafts: &[Envelope],
) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let revocations = registry::revocations(exchange)?;
    for found in merge(exchange.about(Grant::KIND, request.digest())?) {
        let Ok(claim) = found.envelope.claim::<Grant>() else { continue };
        let Grant { researcher, expires, .. } = &claim.predicate;
        let is_theirs = |draft: &Envelope| {
            // One that was drafted in the same second has the same bytes.
            (draft.signatures().is_empty() || draft.digest() != found.digest)
                && draft.claim::<Grant>().is_ok_and(|draft| draft.predicate.researcher == *researcher)
        };
        if !drafts.iter().any(is_theirs) {
            continue;
        }
        let affiliations = people::affiliations(exchange, [researcher], rules)?;
        if verify_grant(&found.envelope, rules, &revocations, &affiliations, now).is_ok() {
            let message = format!(
                "the request of {} is already granted: the grant {} is valid until {}",
                researcher.name,
                registry::short(&found),
                expires.date()
            );
            return Err(Refusal::denied(message, "no approval is needed").into());
        }
    }
    if rules.policy.stage(&rules.stage).is_some_and(|stage| stage.approvals.is_empty()) {
        let Request { checkpoint, .. } = &request.predicate;
        let message = format!(
            "{checkpoint} is in stage `{}`, where the registry grants by itself; no approval is needed",
            rules.stage
        );
        let next = format!(
            "the registry grants after the board hands over its shares: `portcullis handover {checkpoint}`"
        );
        return Err(Refusal::denied(message, next).into());
    }
    Ok(())
}

/// What its author has to do about a request that is over.
fn explain_renewal(what: &str, request: &Verified<Statement<Request>>) -> String {
    let Request { card, checkpoint, .. } = &request.predicate;
    format!(
        "a {what} ends a request; {} must send a new one: `portcullis request new {checkpoint} --renew {}`",
        card.name,
        registry::short_digest(request.digest())
    )
}

fn require_not_withdrawn(
    exchange: &dyn Statements,
    request: &Verified<Statement<Request>>,
) -> anyhow::Result<()> {
    let withdrawals = exchange.list("withdrawal")?;
    if withdrawals.iter().any(|found| verify_withdrawal(&found.envelope, request).is_ok()) {
        let message = format!("{} withdrew this request", request.predicate.card.name);
        return Err(Refusal::denied(message, "ask them for a new request").into());
    }
    Ok(())
}

/// A denial ends a request: its author reads why, and must send a new one.
fn require_not_denied(
    exchange: &dyn Statements,
    request: &Verified<Statement<Request>>,
    rules: &RulesInForce,
    catalogue: &Catalogue,
) -> anyhow::Result<()> {
    for found in exchange.about("denial", request.digest())? {
        if let Ok(denial) = verify_denial(&found.envelope, request.digest(), rules) {
            let author = &request.predicate.card.name;
            let by: Vec<_> = denial.signers().iter().map(|key| catalogue.name_of(key)).collect();
            let message = format!(
                "{} denied the request of {author} on {}: {}",
                by.join(" and "),
                denial.created.date(),
                denial.reason
            );
            return Err(Refusal::denied(message, explain_renewal("denial", request)).into());
        }
    }
    Ok(())
}
