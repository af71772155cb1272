//! `portcullis answer`: the registry grants what a public stage's policy lets it.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::access::{
    ApprovalShare, Exchange, Grant, Request, RulesInForce, draft_grant, handover_context, verify_handover,
    verify_request,
};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::client::{self, Catalogue};
use crate::identity::{Identity, Signer};
use crate::seal::{SealedManifest, Share, open_resealed_share, reseal_share};
use crate::statement::{Envelope, Statement, Subject, Verified};
use crate::time::Timestamp;

/// Answer requests of stages that need no approval, with shares that the board handed over
#[derive(Debug, Args)]
pub(in crate::cli) struct Answer {
    /// The first digits of the request's digest; without one, every request that waits
    request: Option<String>,
}

impl Answer {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        let exchange = registry::exchange(home)?;
        let (identity, signer) = home.signer(output)?;
        super::lease::require_registry(&catalogue, &*signer)?;
        let answerer = Answerer {
            home,
            catalogue: &catalogue,
            exchange: &exchange,
            identity: &identity,
            signer: &*signer,
        };
        let requests = match &self.request {
            Some(prefix) => vec![exchange.find("request", prefix)?],
            None => exchange.list("request")?,
        };
        let mut text = String::new();
        let mut answered = Vec::new();
        for found in &requests {
            match answerer.answer(&found.envelope) {
                Ok(Some((request, grant))) => {
                    let (name, checkpoint) = (&request.predicate.card.name, &request.predicate.checkpoint);
                    let short = registry::short_digest(grant.digest());
                    writeln!(text, "granted {checkpoint} to {name}: grant {short}")?;
                    answered.push(json!({ "request": found.digest, "grant": grant.digest() }));
                }
                Ok(None) => {}
                Err(error) if self.request.is_some() => return Err(error),
                Err(error) => output.note(format_args!("note: {}: {error:#}", registry::short(found))),
            }
        }
        if answered.is_empty() {
            text.push_str("no request waits for the registry\n");
        }
        output.result(&answered, text)
    }
}

/// What answering takes.
struct Answerer<'a> {
    home: &'a Home,
    catalogue: &'a Catalogue,
    exchange: &'a Exchange,
    identity: &'a Identity,
    signer: &'a dyn Signer,
}

impl Answerer<'_> {
    /// Grants a request; `None` where the board decides, or an answer is there.
    fn answer(
        &self,
        envelope: &Envelope,
    ) -> anyhow::Result<Option<(Verified<Statement<Request>>, Envelope)>> {
        let request = verify_request(envelope)?;
        let rules = self.catalogue.rules_in_force(&request.predicate.checkpoint)?;
        let by_registry = rules.policy.stage(&rules.stage).is_some_and(|stage| stage.approvals.is_empty());
        if !by_registry || self.is_answered(&request)? {
            return Ok(None);
        }
        let mut grant = draft_grant(&request, &rules, Timestamp::now())?.to_envelope()?;
        let folder = registry::sealed(self.home, &rules.checkpoint)?;
        let sealed = client::sealed(&folder, rules.manifest)?;
        let shares = self.handed_over(&rules, sealed.manifest())?;
        let subject = || Subject { name: rules.checkpoint.to_string(), digest: rules.manifest };
        for share in &shares {
            let researcher = &request.predicate.card.sealing_key;
            let share = reseal_share(share, researcher, grant.digest(), &mut rand::rng())?;
            let share = ApprovalShare { grant: grant.digest(), share };
            let share = Statement { subject: subject(), predicate: share }.sign(self.signer)?;
            self.exchange.put("share", &share, &self.signer.verifying_key())?;
        }
        grant.sign(self.signer)?;
        self.exchange.put("grant", &grant, &self.signer.verifying_key())?;
        Ok(Some((request, grant)))
    }

    fn is_answered(&self, request: &Verified<Statement<Request>>) -> anyhow::Result<bool> {
        let grants = self.exchange.list("grant")?;
        Ok(grants.iter().any(|found| {
            let claim = found.envelope.claim::<Grant>();
            claim.is_ok_and(|claim| claim.predicate.request == request.digest())
        }))
    }

    /// A threshold of shares that members handed over for the stage in force.
    fn handed_over(&self, rules: &RulesInForce, manifest: &SealedManifest) -> anyhow::Result<Vec<Share>> {
        let context = handover_context(rules.manifest, rules.policy_digest, &rules.stage);
        let mut shares: Vec<Share> = Vec::new();
        for found in self.exchange.list("handover")? {
            let Ok(handover) = verify_handover(&found.envelope, (rules, manifest)) else { continue };
            if shares.iter().any(|share| share.index() == handover.share.index) {
                continue;
            }
            let key = self.identity.opening_key();
            let share = open_resealed_share(&handover.share, key, context, manifest);
            shares.push(share.with_context(|| format!("cannot open {}", found.path.display()))?);
        }
        let (have, need) = (shares.len(), usize::from(manifest.seal.board.threshold));
        if have < need {
            let message = format!("{have} of the {need} shares of {} were handed over", rules.checkpoint);
            let hint = format!("its board members run `portcullis handover {}`", rules.checkpoint);
            return Err(Refusal::denied(message, hint).into());
        }
        shares.truncate(need);
        Ok(shares)
    }
}
