//! The policy that a grant cites, by version and digest, and whether the one in force keeps grants of that.
//!
//! A policy may keep grants made under earlier versions (`keeps_grants_from`). Such a grant is put to the policy in force as if it were
//! asked for anew, with the same uses, days, agreement and those approvals that still hold: nothing is kept that would be refused now.
//! What a grant cites is the word of those who signed it; a board that cites an earlier version gains nothing by it, because the rules and
//! the board of today decide either way.

use super::rules::{Objections, RulesInForce};
use super::{Error, Grant};
use crate::policy::Rule;
use crate::statement::{self, Envelope, Quorum};

/// Which policy a grant was made under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cited {
    /// The one in force.
    InForce,
    /// An earlier one, whose grants the one in force keeps.
    Kept,
}

impl RulesInForce {
    /// Refuses a grant of a policy that was replaced, unless the one in force keeps its grants, and a grant whose version and digest do not
    /// belong together as far as the policy in force can tell.
    pub(super) fn require_cited(&self, grant: &Grant) -> Result<Cited, Error> {
        let in_force = self.policy.version;
        match grant.policy_version {
            version if grant.policy == self.policy_digest => match version {
                Some(cited) if cited != in_force => Err(Error::PolicyMiscited { cited, in_force }),
                _ => Ok(Cited::InForce),
            },
            Some(cited) if cited >= in_force => Err(Error::PolicyMiscited { cited, in_force }),
            Some(version) if self.policy.keeps_grants_of(version) => Ok(Cited::Kept),
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

    /// Whose signatures make a grant stand. One whose stage the policy in force does not have any more is over for that.
    pub(super) fn quorum_of(&self, grant: &Grant) -> Result<Quorum, Error> {
        let quorum = self.quorum_for(&grant.stage, grant.researcher.verifying_key);
        quorum.map_err(|error| match error {
            Error::UnknownStage { .. } => match self.require_cited(grant) {
                Ok(Cited::InForce) => error,
                Ok(Cited::Kept) => self.no_longer_permitted(grant, vec![named(Rule::StageExists, &error)]),
                Err(ended) => ended,
            },
            other => other,
        })
    }

    /// Refuses what the policy in force objects to. Of a grant made under it, what is missing may still come in; one that it kept ends.
    pub(super) fn require_permitted(
        &self,
        grant: &Grant,
        cited: Cited,
        objections: Objections,
    ) -> Result<(), Error> {
        if cited == Cited::InForce || objections.unconfirmed.is_some() || objections.named.is_empty() {
            return objections.require_none();
        }
        Err(self.no_longer_permitted(grant, objections.named))
    }

    /// Why an envelope is no grant, if not as many of those signed it who must under the policy in force: one that this keeps had enough
    /// signatures under another.
    pub(super) fn too_few_signed(&self, envelope: &Envelope, error: Error) -> Error {
        match (&error, envelope.claim::<Grant>()) {
            (Error::Statement(statement::Error::Threshold(_)), Ok(claim))
                if self.require_cited(&claim.predicate).is_ok_and(|cited| cited == Cited::Kept) =>
            {
                self.no_longer_permitted(&claim.predicate, vec![named(Rule::Approvals, &error)])
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

/// What a rule objects to, with its name.
fn named(rule: Rule, error: &Error) -> String {
    format!("{}: {error}", rule.as_str())
}
