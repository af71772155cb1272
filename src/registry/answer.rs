//! Answering requests of public stages: the registry grants with shares that the board handed over, on the record (P1).

use super::{Error, Keys};
use crate::access::{
    Affiliations, ApprovalShare, Grant, Request, RulesInForce, draft_grants, handover_context,
    verify_handover,
};
use crate::seal::{Locks, Share, open_resealed_share, reseal_share};
use crate::statement::{Envelope, Statement, Verified};
use crate::time::Timestamp;

/// A grant by the registry, and the shares that it comes with.
#[derive(Debug)]
pub struct Answer {
    /// The grant, signed.
    pub grant: Envelope,
    /// A threshold of shares, sealed to the researcher, each signed.
    pub shares: Vec<Envelope>,
}

/// What a request is answered by.
#[derive(Debug, Clone, Copy)]
pub struct AnswerTerms<'a> {
    /// The rules in force.
    pub rules: &'a RulesInForce,
    /// The sealed checkpoint's manifest and shares.
    pub locks: &'a Locks,
    /// Shares that the board handed over.
    pub handovers: &'a [Envelope],
    /// What registrars said of the people for whom it asks.
    pub affiliations: &'a Affiliations,
}

/// Whether the stage in force asks for no approval, so that the registry answers.
pub fn answers_itself(rules: &RulesInForce) -> bool {
    rules.policy.stage(&rules.stage).is_some_and(|stage| stage.approvals.is_empty())
}

/// Grants a request of a stage that needs no approval: one answer for each person for whom it asks.
///
/// # Errors
/// [`Error::Access`] if the policy does not permit it, [`Error::TooFewHandovers`], [`Error::Seal`].
pub fn answer_request(
    request: &Verified<Statement<Request>>,
    terms: &AnswerTerms<'_>,
    keys: Keys<'_>,
    now: Timestamp,
) -> Result<Vec<Answer>, Error> {
    let AnswerTerms { rules, locks, handovers, affiliations } = *terms;
    let drafts = draft_grants(request, rules, affiliations, now)?;
    let handed_over = handed_over(handovers, rules, locks, keys)?;
    drafts.iter().map(|draft| answer(rules, draft, &handed_over, keys)).collect()
}

fn answer(
    rules: &RulesInForce,
    draft: &Statement<Grant>,
    handed_over: &[Share],
    keys: Keys<'_>,
) -> Result<Answer, Error> {
    let mut grant = draft.to_envelope()?;
    let mut shares = Vec::new();
    for share in handed_over {
        let researcher = &draft.predicate.researcher.sealing_key;
        let share = reseal_share(share, researcher, grant.digest(), &mut rand::rng())?;
        let share = ApprovalShare { grant: grant.digest(), share };
        shares.push(Statement::new(rules.catalogue, draft.subject.clone(), share).sign(keys.signer)?);
    }
    grant.sign(keys.signer)?;
    Ok(Answer { grant, shares })
}

/// A threshold of shares that members handed over for the stage in force; handovers that do not hold are skipped.
pub(super) fn handed_over(
    handovers: &[Envelope],
    rules: &RulesInForce,
    locks: &Locks,
    keys: Keys<'_>,
) -> Result<Vec<Share>, Error> {
    let context = handover_context(rules.manifest, rules.policy_digest, &rules.stage);
    let need = usize::from(locks.manifest.seal.board.threshold);
    let mut shares: Vec<Share> = Vec::new();
    for envelope in handovers {
        let Ok(handover) = verify_handover(envelope, rules, &locks.manifest) else { continue };
        if shares.iter().any(|share| share.index() == handover.share.index) {
            continue;
        }
        shares.push(open_resealed_share(&handover.share, keys.opening, context, &locks.manifest)?);
        if shares.len() == need {
            return Ok(shares);
        }
    }
    Err(Error::TooFewHandovers { checkpoint: rules.checkpoint.clone(), have: shares.len(), need })
}
