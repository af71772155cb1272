//! The policy that a grant cites by version and digest, and whether the policy in force keeps such grants.
//!
//! A policy may keep grants made under earlier versions (`keeps_grants_from`). Such a grant is judged by the policy in force as a new
//! request with the same uses, days, agreement and still valid approvals: a grant is not kept if it would be refused today. A board gains
//! nothing by citing an earlier version, because the rules and the board in force decide either way.

use super::rules::{Objections, RulesInForce};
use super::{Error, Grant};
use crate::policy::Rule;
use crate::statement::{self, Envelope, Quorum};

/// The policy under which a grant was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PolicyCitation {
    /// The policy in force.
    InForce,
    /// An earlier policy whose grants the one in force keeps.
    Kept,
}

impl RulesInForce {
    /// Refuses a grant of a replaced policy, unless the policy in force keeps it, and a grant whose policy version and digest do not match.
    pub(super) fn require_known_policy(&self, grant: &Grant) -> Result<PolicyCitation, Error> {
        let in_force = self.policy.version;
        match grant.policy_version {
            version if grant.policy == self.policy_digest => match version {
                Some(cited) if cited != in_force => Err(Error::PolicyMiscited { cited, in_force }),
                _ => Ok(PolicyCitation::InForce),
            },
            Some(cited) if cited >= in_force => Err(Error::PolicyMiscited { cited, in_force }),
            Some(version) if self.policy.keeps_grants_since(version) => Ok(PolicyCitation::Kept),
            version if self.policy.keeps_grants() => Err(Error::NotKept {
                in_force,
                from: self.policy.keeps_grants_from,
                version,
                checkpoint: self.checkpoint.clone(),
                request: grant.request,
            }),
            _ => Err(self.policy_replaced("grant", Some(grant.request))),
        }
    }

    /// The quorum that makes a grant valid. If the policy in force no longer has the grant's stage, the grant has ended.
    pub(super) fn grant_quorum(&self, grant: &Grant) -> Result<Quorum, Error> {
        let quorum = self.quorum_for(&grant.stage, grant.researcher.verifying_key);
        quorum.map_err(|error| match error {
            Error::UnknownStage { .. } => match self.require_known_policy(grant) {
                Ok(PolicyCitation::InForce) => error,
                Ok(PolicyCitation::Kept) => {
                    self.no_longer_permitted(grant, vec![name_rule(Rule::StageExists, &error)])
                }
                Err(ended) => ended,
            },
            other => other,
        })
    }

    /// Refuses what the policy in force does not permit. A current grant may still receive missing approvals; a kept one ends.
    pub(super) fn require_permitted(
        &self,
        grant: &Grant,
        cited: PolicyCitation,
        objections: Objections,
    ) -> Result<(), Error> {
        if cited == PolicyCitation::InForce || objections.unconfirmed.is_some() || objections.named.is_empty()
        {
            return objections.require_none();
        }
        Err(self.no_longer_permitted(grant, objections.named))
    }

    /// Explains why a grant has too few signatures under the policy in force: a kept grant may have had enough under an earlier one.
    pub(super) fn too_few_signed(&self, envelope: &Envelope, error: Error) -> Error {
        match (&error, envelope.claim::<Grant>()) {
            (Error::Statement(statement::Error::Threshold(_)), Ok(claim))
                if self
                    .require_known_policy(&claim.predicate)
                    .is_ok_and(|cited| cited == PolicyCitation::Kept) =>
            {
                self.no_longer_permitted(&claim.predicate, vec![name_rule(Rule::Approvals, &error)])
            }
            _ => error,
        }
    }

    fn no_longer_permitted(&self, grant: &Grant, unmet: Vec<String>) -> Error {
        Error::NoLongerPermitted {
            version: self.policy.version,
            checkpoint: self.checkpoint.clone(),
            request: grant.request,
            unmet,
        }
    }
}

/// An objection with the name of its rule.
fn name_rule(rule: Rule, error: &Error) -> String {
    format!("{}: {error}", rule.as_str())
}
