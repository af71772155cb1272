//! What auditors decided in cases about people, verified: warned or suspended people are notified, and so is the board.

use crate::access::{RulesInForce, Statements};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::misuse::{Case, CaseStep, Outcome, Standing, Step, verify_case, verify_step};
use crate::name::Prose;
use crate::statement::Predicate as _;
use crate::time::Timestamp;
use crate::visible::one_line;

/// Days for which a final decision is shown.
const TOLD_DAYS: u32 = 30;

/// The last decision in a case.
pub(super) struct Decision {
    pub(super) case: Sha256Digest,
    pub(super) person: VerifyingKey,
    pub(super) standing: Standing,
    reason: Prose,
}

/// The decisions in the cases over a checkpoint about these people, as far as this home may read them.
pub(super) fn load_decisions(
    statements: &dyn Statements,
    rules: &RulesInForce,
    people: &[VerifyingKey],
) -> anyhow::Result<Vec<Decision>> {
    let cases = statements.list(Case::KIND)?;
    let steps = if cases.is_empty() { Vec::new() } else { statements.list(CaseStep::KIND)? };
    let mut decisions = Vec::new();
    for found in &cases {
        let Ok(case) = verify_case(&found.envelope, rules) else { continue };
        let person = people.iter().find(|person| person.id() == case.predicate.person);
        let Some(person) = person.filter(|_| case.subject.digest == rules.manifest) else { continue };
        let taken: Vec<CaseStep> = steps
            .iter()
            .filter_map(|step| Some(verify_step(&step.envelope, person, rules).ok()?.into_inner()))
            .filter(|step| step.case == found.digest)
            .collect();
        let reason = taken.iter().rev().find_map(|step| match &step.step {
            Step::Decide { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        if let Some(reason) = reason {
            let standing = Standing::after(&taken);
            decisions.push(Decision { case: found.digest, person: *person, standing, reason });
        }
    }
    Ok(decisions)
}

impl Decision {
    /// What it comes to, if the person has to know it now: a suspension while it lasts, a warning or a revocation for some weeks.
    pub(super) fn describe(&self, now: Timestamp) -> Option<String> {
        let reason = one_line(self.reason.as_str());
        let is_recent = self.standing.decided.is_some_and(|at| now < at.plus_days(TOLD_DAYS));
        match self.standing.outcome? {
            Outcome::Warn if is_recent => Some(format!("a warning: {reason}")),
            Outcome::Revoke if is_recent => Some(format!("the grant is revoked: {reason}")),
            Outcome::Suspend => {
                let until = self.standing.suspended_until(now)?;
                Some(format!("suspended until {until}: {reason}"))
            }
            _ => None,
        }
    }
}
