//! What a request asks for: from the command line, from the request that it renews, and at a terminal by asking.

use std::collections::BTreeSet;

use super::terms;
use crate::access::{Request, RulesInForce, Statements, verify_request};
use crate::cli::failure::Refusal;
use crate::cli::output::Output;
use crate::cli::resolve;
use crate::cli::signing::{answer, ask_yes_or_no, can_ask};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::name::Prose;
use crate::policy::Use;
use crate::statement::{Statement, Verified};

/// Longest answer that is read: 4,000 characters of a purpose.
const MAX_ANSWER: u64 = 16_000;

/// What is known of a request so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) purpose: Option<Prose>,
    pub(super) uses: BTreeSet<Use>,
    pub(super) days: Option<u32>,
    pub(super) accepts: bool,
    pub(super) renews: Option<Sha256Digest>,
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct RequestTerms {
    pub(super) purpose: Prose,
    pub(super) uses: BTreeSet<Use>,
    pub(super) days: u32,
    pub(super) accepts: bool,
    pub(super) renews: Option<Sha256Digest>,
}

impl Draft {
    /// The same with what an earlier request of the same person said, if nothing else is given now.
    pub(super) fn renew(
        self,
        statements: &dyn Statements,
        digits: &str,
        rules: &RulesInForce,
        own: VerifyingKey,
    ) -> anyhow::Result<Self> {
        let found = resolve::request(statements, digits)?;
        let old: Verified<Statement<Request>> = verify_request(&found.envelope, rules.catalogue)?;
        let Request { checkpoint, purpose, uses, days, card, .. } = &old.predicate;
        if card.verifying_key != own || *checkpoint != rules.checkpoint {
            let message = format!("the request is by {} for {checkpoint}", card.name);
            let hint = "renew a request of your own for the same checkpoint: `portcullis request list`";
            return Err(Refusal::usage(message, hint).into());
        }
        Ok(Self {
            purpose: self.purpose.or_else(|| Some(purpose.clone())),
            uses: if self.uses.is_empty() { uses.clone() } else { self.uses },
            days: self.days.or(Some(*days)),
            accepts: self.accepts,
            renews: Some(found.digest),
        })
    }

    /// Everything, at a terminal by asking for what is missing, below the `terms`.
    pub(super) fn complete(
        self,
        terms: &str,
        rules: &RulesInForce,
        output: Output,
    ) -> anyhow::Result<RequestTerms> {
        let asks = can_ask(output);
        if asks {
            output.note(terms.trim_end());
        }
        let accepts = match terms::agreement_of(rules) {
            Some(_) if !self.accepts && asks => {
                if !ask_yes_or_no("\nAccept this agreement?")? {
                    let message = "you did not accept the agreement: no request was sent";
                    return Err(Refusal::denied(message, "the stage requires it").into());
                }
                true
            }
            _ => self.accepts,
        };
        let purpose = match self.purpose {
            Some(purpose) => purpose,
            None if asks => answer("Purpose, which the board reads: ", MAX_ANSWER)?.trim().parse()?,
            None => {
                let hint =
                    "give --purpose \"…\", or --renew with an earlier request; at a terminal you are asked";
                return Err(Refusal::usage("a request needs a purpose", hint).into());
            }
        };
        let named = rules.policy.stage(&rules.stage).map(|stage| &stage.uses);
        let uses = match named.filter(|named| self.uses.is_empty() && !named.is_empty() && asks) {
            Some(named) => {
                let known: Vec<_> = named.iter().map(ToString::to_string).collect();
                let typed = answer(&format!("Which uses, of {}? ", known.join(", ")), MAX_ANSWER)?;
                let words = typed.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty());
                words.map(str::parse).collect::<Result<_, _>>()?
            }
            None => self.uses,
        };
        Ok(RequestTerms {
            purpose,
            uses,
            days: self.days.unwrap_or(terms::DEFAULT_DAYS),
            accepts,
            renews: self.renews,
        })
    }
}
