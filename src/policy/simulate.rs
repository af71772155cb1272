//! What a draft would have decided about past requests.

use serde::Serialize;

use super::application::{Application, Terms};
use super::decide::{Decision, Verdict, decide};
use super::stage::Policy;
use super::word::StageName;
use crate::time::Timestamp;

/// A draft policy beside the one in force.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy)]
pub struct Simulation<'a> {
    /// The policy in force, if any.
    pub in_force: Option<&'a Policy>,
    pub draft: &'a Policy,
    /// The stage to compare, in both.
    pub stage: &'a StageName,
    /// What the catalogue states; without it, any signed agreement is taken as the one in force.
    pub terms: Option<Terms>,
    /// The instant of both decisions.
    pub now: Timestamp,
}

/// Both decisions on one application.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Serialize)]
pub struct SimulatedDecision<'a> {
    pub application: &'a Application,
    pub in_force: Option<Decision<'a>>,
    pub draft: Decision<'a>,
}

impl SimulatedDecision<'_> {
    /// The verdict of the policy in force, if there is one, and the draft's.
    pub fn verdicts(&self) -> (Option<Verdict>, Verdict) {
        (self.in_force.as_ref().map(Decision::verdict), self.draft.verdict())
    }

    /// Whether the two verdicts differ.
    pub fn is_changed(&self) -> bool {
        let (before, after) = self.verdicts();
        before.is_some_and(|before| before != after)
    }
}

/// Decides each application under both policies, lazily.
pub fn simulate<'a>(
    simulation: Simulation<'a>,
    applications: &'a [Application],
) -> impl Iterator<Item = SimulatedDecision<'a>> {
    let Simulation { in_force, draft, stage, terms, now } = simulation;
    applications.iter().map(move |application| {
        let terms = terms.unwrap_or(Terms { agreement: application.agreement, ..Terms::default() });
        SimulatedDecision {
            application,
            in_force: in_force.map(|policy| decide(policy, stage, application, terms, now)),
            draft: decide(draft, stage, application, terms, now),
        }
    })
}
