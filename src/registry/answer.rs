//! Answering requests of public stages: the registry grants with shares that the board handed over, on the record (P1).

use super::{Error, Keys};
use crate::access::{ApprovalShare, Request, RulesInForce, draft_grant, handover_context, verify_handover};
use crate::seal::{Locks, Share, open_resealed_share, reseal_share};
use crate::statement::{Envelope, Statement, Subject, Verified};
use crate::time::Timestamp;

/// A grant by the registry, and the shares that it comes with.
#[derive(Debug)]
pub struct Answer {
    /// The grant, signed.
    pub grant: Envelope,
    /// A threshold of shares, sealed to the researcher, each signed.
    pub shares: Vec<Envelope>,
}

/// Whether the stage in force asks for no approval, so that the registry answers.
pub fn answers_itself(rules: &RulesInForce) -> bool {
    rules.policy.stage(&rules.stage).is_some_and(|stage| stage.approvals.is_empty())
}

/// Grants a request of a stage that needs no approval.
///
/// # Errors
/// [`Error::Access`] where the policy does not permit it, [`Error::TooFewHandovers`], [`Error::Seal`].
pub fn answer_request(
    request: &Verified<Statement<Request>>,
    handovers: &[Envelope],
    (rules, locks): (&RulesInForce, &Locks),
    keys: Keys<'_>,
    now: Timestamp,
) -> Result<Answer, Error> {
    let mut grant = draft_grant(request, rules, now)?.to_envelope()?;
    let mut shares = Vec::new();
    for share in handed_over(handovers, (rules, locks), keys)? {
        let researcher = &request.predicate.card.sealing_key;
        let share = reseal_share(&share, researcher, grant.digest(), &mut rand::rng())?;
        let subject = Subject { name: rules.checkpoint.to_string(), digest: rules.manifest };
        let share = ApprovalShare { grant: grant.digest(), share };
        shares.push(Statement { subject, predicate: share }.sign(keys.signer)?);
    }
    grant.sign(keys.signer)?;
    Ok(Answer { grant, shares })
}

/// A threshold of shares that members handed over for the stage in force; handovers that do not hold are passed over.
pub(super) fn handed_over(
    handovers: &[Envelope],
    (rules, locks): (&RulesInForce, &Locks),
    keys: Keys<'_>,
) -> Result<Vec<Share>, Error> {
    let context = handover_context(rules.manifest, rules.policy_digest, &rules.stage);
    let need = usize::from(locks.manifest.seal.board.threshold);
    let mut shares: Vec<Share> = Vec::new();
    for envelope in handovers {
        let Ok(handover) = verify_handover(envelope, (rules, &locks.manifest)) else { continue };
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
