//! What became of a request, worked out from the statements that hold.

use serde::Serialize;

use crate::access::{
    self, Found, Grant, Request, RulesInForce, verify_denial, verify_grant, verify_withdrawal,
};
use crate::name::Prose;
use crate::statement::{Envelope, Statement, Verified};
use crate::time::Timestamp;

/// How a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(in crate::cli) enum State {
    /// The board has not decided.
    Pending {
        /// How many distinct members signed the grant.
        approvals: usize,
        /// How many must.
        needed: usize,
    },
    /// A grant stands.
    Granted {
        /// The grant's digest.
        grant: crate::digest::Sha256Digest,
        /// Until when.
        expires: Timestamp,
    },
    /// A grant was given and counts no more.
    Ended {
        /// Why.
        reason: String,
    },
    /// A member denied it.
    Denied {
        /// Why.
        reason: Prose,
    },
    /// Its author took it back.
    Withdrawn,
    /// It is about weights or rules that were replaced.
    Outdated {
        /// Why.
        reason: String,
    },
}

/// The statements of an exchange that bear on requests.
pub(in crate::cli) struct Statements {
    pub(in crate::cli) grants: Vec<Found>,
    pub(in crate::cli) denials: Vec<Found>,
    pub(in crate::cli) withdrawals: Vec<Found>,
    pub(in crate::cli) revocations: Vec<Envelope>,
}

impl Statements {
    pub(in crate::cli) fn read(exchange: &access::Exchange) -> anyhow::Result<Self> {
        Ok(Self {
            grants: exchange.merged("grant")?,
            denials: exchange.list("denial")?,
            withdrawals: exchange.list("withdrawal")?,
            revocations: crate::cli::registry::revocations(exchange)?,
        })
    }
}

/// How `request` stands under the rules in force.
pub(in crate::cli) fn state_of(
    request: &Verified<Statement<Request>>,
    statements: &Statements,
    rules: &RulesInForce,
    now: Timestamp,
) -> State {
    let digest = request.digest();
    if statements.withdrawals.iter().any(|found| verify_withdrawal(&found.envelope, request).is_ok()) {
        return State::Withdrawn;
    }
    let answers = statements
        .grants
        .iter()
        .filter(|found| found.envelope.claim::<Grant>().is_ok_and(|claim| claim.predicate.request == digest));
    let mut signed = 0;
    let mut ended = None;
    for found in answers {
        match verify_grant(&found.envelope, rules, &statements.revocations, now) {
            Ok(grant) => {
                return State::Granted { grant: grant.digest(), expires: grant.predicate.expires };
            }
            Err(error @ (access::Error::Revoked { .. } | access::Error::Expired { .. })) => {
                ended = Some(error.to_string());
            }
            Err(_) => signed = signed.max(found.envelope.signers(&rules.board).len()),
        }
    }
    if let Some(reason) = ended {
        return State::Ended { reason };
    }
    let denials = statements.denials.iter();
    if let Some(denial) =
        denials.flat_map(|found| verify_denial(&found.envelope, digest, &rules.board)).next()
    {
        return State::Denied { reason: denial.reason.clone() };
    }
    if request.subject.digest != rules.manifest {
        return State::Outdated { reason: "the catalogue has other weights now".to_owned() };
    }
    State::Pending { approvals: signed, needed: rules.board.threshold() }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pending { approvals, needed } => write!(f, "pending: {approvals} of {needed} approvals"),
            Self::Granted { expires, .. } => write!(f, "granted until {}", expires.date()),
            Self::Ended { reason } => write!(f, "ended: {reason}"),
            Self::Denied { reason } => write!(f, "denied: {reason}"),
            Self::Withdrawn => f.write_str("withdrawn"),
            Self::Outdated { reason } => write!(f, "outdated: {reason}"),
        }
    }
}
