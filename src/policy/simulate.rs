//! What a draft would have answered to the requests of the past.

use serde::Serialize;

use super::application::{Application, Terms};
use super::decide::{Decision, Verdict, decide};
use super::stage::Policy;
use super::word::StageName;
use crate::time::Timestamp;

/// A draft beside the policy in force.
#[derive(Debug, Clone, Copy)]
pub struct Simulation<'a> {
    /// The policy that is in force, if any.
    pub in_force: Option<&'a Policy>,
    /// The policy that might follow it.
    pub draft: &'a Policy,
    /// The stage that is looked at, in both.
    pub stage: &'a StageName,
    /// What the catalogue says; without it, whatever each applicant signed counts as the agreement in force.
    pub terms: Option<Terms>,
    /// The instant that both are asked at.
    pub now: Timestamp,
}

/// Both answers to one application.
#[derive(Debug, Clone, Serialize)]
pub struct Simulated<'a> {
    /// What was asked.
    pub application: &'a Application,
    /// What the policy in force says.
    pub in_force: Option<Decision<'a>>,
    /// What the draft says.
    pub draft: Decision<'a>,
}

impl Simulated<'_> {
    /// The verdict of the policy in force, where there is one, and the draft's.
    pub fn verdicts(&self) -> (Option<Verdict>, Verdict) {
        (self.in_force.as_ref().map(Decision::verdict), self.draft.verdict())
    }

    /// Whether the draft answers otherwise than the policy in force.
    pub fn is_changed(&self) -> bool {
        let (before, after) = self.verdicts();
        before.is_some_and(|before| before != after)
    }
}

/// Asks the policy in force and the draft about each application, one at a time as the results are taken.
pub fn simulate<'a>(
    simulation: Simulation<'a>,
    applications: &'a [Application],
) -> impl Iterator<Item = Simulated<'a>> {
    let Simulation { in_force, draft, stage, terms, now } = simulation;
    applications.iter().map(move |application| {
        let terms = terms.unwrap_or(Terms { agreement: application.agreement, ..Terms::default() });
        Simulated {
            application,
            in_force: in_force.map(|policy| decide(policy, stage, application, terms, now)),
            draft: decide(draft, stage, application, terms, now),
        }
    })
}
