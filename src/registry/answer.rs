//! Answering requests of public stages: the registry grants with shares that the board handed over, on the record (P1).

use super::{Error, Keys};
use crate::access::{
    Affiliations, ApprovalShare, Grant, Request, RulesInForce, draft_grants, handover_context,
    verify_handover,
};
use crate::seal::{Locks, Share, open_resealed_share, reseal_share};
use crate::statement::{Envelope, Statement, Verified};
use crate::time::Timestamp;

/// A grant by the registry, with its shares.
#[derive(Debug)]
pub struct Answer {
    /// The signed grant.
    pub grant: Envelope,
    /// A threshold of shares, each signed and sealed to the researcher.
    pub shares: Vec<Envelope>,
}

/// The inputs for answering a request.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy)]
pub struct AnswerTerms<'a> {
    pub rules: &'a RulesInForce,
    pub locks: &'a Locks,
    /// Shares that members handed over.
    pub handovers: &'a [Envelope],
    /// Affiliations of the people in the request.
    pub affiliations: &'a Affiliations,
}

/// Whether the stage in force needs no approval, so that the registry answers.
pub fn answers_itself(rules: &RulesInForce) -> bool {
    rules.policy.stage(&rules.stage).is_some_and(|stage| stage.approvals.is_empty())
}

/// Grants a request of a stage that needs no approval: one answer per person in the request.
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

/// A threshold of shares handed over for the stage in force; invalid handovers are skipped.
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
