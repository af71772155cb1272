//! `portcullis approve`.

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::approvable;
use crate::access::{
    self, Affiliations, ApprovalShare, ApprovalTally, Found, Grant, Request, RulesInForce, Statements,
    approvals, draft_grants, merge, verify_grant, verify_request,
};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::people::{self, People};
use crate::cli::signing::{Consent, Papers, Signatory};
use crate::cli::{registry, resolve};
use crate::digest::Sha256Digest;
use crate::seal::{Locks, reseal_share};
use crate::statement::{Envelope, Predicate as _, Statement, Subject, Verified};
use crate::time::Timestamp;

/// Approve a request: sign the grant and add your share of the board's key, sealed to the researcher
#[derive(Debug, Args)]
pub(in crate::cli) struct Approve {
    /// The first digits of the request's digest
    request: String,

    #[command(flatten)]
    consent: Consent,
}

impl Approve {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let exchange = registry::statements(home, output)?;
        let found = resolve::request(&*exchange, &self.request)?;
        let catalogue = registry::catalogue(home, output)?;
        let request = verify_request(&found.envelope, catalogue.id())?;
        let asked = &request.predicate;
        let rules = catalogue.rules_in_force(&asked.checkpoint)?;
        approvable::require(&*exchange, &request, &rules, &catalogue)?;
        let signatory = Signatory::open(home, output)?;
        require_may_approve(asked, &rules, &signatory)?;

        // Another board, such as one for ethics, approves without holding a share.
        let locks = match rules.board.keys().contains(&signatory.key()) {
            true => Some(registry::locks(home, &rules, output)?),
            false => None,
        };
        let (holders, now) = (asked.holders()?, Timestamp::now());
        let affiliations = people::affiliations(&*exchange, &holders, &rules)?;
        let mut papers = Papers::new(format!("approve the request of {}", asked.card.name))
            .about(&self.request, request.digest())
            .with_people(People::from_affiliations(&holders, &rules, &affiliations, now));
        papers.quote(&request);
        let drafts = find_or_draft(&*exchange, &request, &rules, &affiliations)?;
        approvable::require_wanted(&*exchange, &request, &rules, &drafts)?;
        for envelope in drafts {
            let grant = envelope.claim::<Grant>()?.predicate;
            if let Some(locks) = &locks {
                let share = seal_share(locks, &grant, envelope.digest(), &signatory)?;
                let subject = Subject { name: rules.checkpoint.to_string(), digest: rules.manifest };
                // The share first: a grant that stands must not lack the share of one who signed it.
                papers
                    .add::<ApprovalShare>(Statement::new(rules.catalogue, subject, share).to_envelope()?)?;
            }
            papers.add::<Grant>(envelope)?;
        }
        let revocations = registry::revocations(&*exchange)?;
        let standing = GrantContext { affiliations: &affiliations, revocations: &revocations };
        let (mut text, mut progress) = (String::new(), Progress::new(&rules, standing));
        for envelope in signatory.sign(papers, &self.consent)? {
            if envelope.kind()? == ApprovalShare::KIND {
                exchange.put("share", &envelope, &signatory.key())?;
                continue;
            }
            exchange.put("grant", &envelope, &signatory.key())?;
            text += &progress.add(&envelope)?;
        }
        text += &progress.describe();
        let Progress { grants, tally, refusal, .. } = &progress;
        let value = json!({
            "grant": grants.first(), "grants": grants, "request": request.digest(),
            "approvals": tally.as_ref().map(|tally| tally.approvals), "needed": tally.as_ref().map(|tally| tally.needed),
            "missing": tally.as_ref().map(|tally| &tally.missing), "stands": refusal.is_none(),
        });
        output.result(&value, text)
    }
}

/// What bears on a grant beside itself.
#[derive(Clone, Copy)]
struct GrantContext<'a> {
    affiliations: &'a Affiliations,
    revocations: &'a [Envelope],
}

/// How far the grants are that answer a request.
struct Progress<'a> {
    rules: &'a RulesInForce,
    context: GrantContext<'a>,
    grants: Vec<Sha256Digest>,
    /// What the boards gave of the grant that lacks the most.
    tally: Option<ApprovalTally>,
    /// Why one of them does not stand yet, if one does not.
    refusal: Option<access::Error>,
}

impl<'a> Progress<'a> {
    fn new(rules: &'a RulesInForce, context: GrantContext<'a>) -> Self {
        Self { rules, context, grants: Vec::new(), tally: None, refusal: None }
    }

    fn add(&mut self, envelope: &Envelope) -> anyhow::Result<String> {
        let grant = envelope.claim::<Grant>()?.predicate;
        let tally = ApprovalTally::of(&approvals(Some(envelope), self.rules));
        if self.tally.as_ref().is_none_or(|known| tally.approvals < known.approvals) {
            self.tally = Some(tally);
        }
        let GrantContext { affiliations, revocations } = self.context;
        let verified = verify_grant(envelope, self.rules, revocations, affiliations, Timestamp::now());
        self.refusal = self.refusal.take().or(verified.err());
        self.grants.push(envelope.digest());
        Ok(format!(
            "signed the grant {}: {} for {}, {} days, until {}\n",
            registry::short_digest(envelope.digest()),
            self.rules.checkpoint,
            grant.researcher.name,
            grant.days(),
            grant.expires.date(),
        ))
    }

    /// A grant stands once everything holds that the researcher's own machine will check: every board's approvals, and the agreement.
    fn describe(&self) -> String {
        match (&self.refusal, self.grants.len()) {
            (None, 1) => {
                "The grant is valid: the researcher can pull and run while the registry issues leases.\n"
                    .to_owned()
            }
            (None, _) => {
                "The grants are valid: each researcher can pull and run while the registry issues leases.\n"
                    .to_owned()
            }
            (Some(error), _) => match &self.tally {
                Some(tally) if !tally.missing.is_empty() => {
                    let ApprovalTally { approvals, needed, .. } = tally;
                    format!("{approvals} of {needed} approvals: {} to come.\n", tally.outstanding())
                }
                _ => format!("The grant is not valid yet: {error}\n"),
            },
        }
    }
}

fn require_may_approve(asked: &Request, rules: &RulesInForce, signatory: &Signatory) -> anyhow::Result<()> {
    let key = signatory.key();
    if !rules.boards.values().chain([&rules.board]).any(|board| board.keys().contains(&key)) {
        return Err(Refusal::denied(
            format!("you are not on the board of {}", rules.checkpoint),
            "only its members approve: `portcullis catalogue status` lists them",
        )
        .into());
    }
    if asked.holders()?.iter().any(|holder| holder.verifying_key == key) {
        return Err(Refusal::denied(
            "you cannot approve your own request",
            "the other members must approve it",
        )
        .into());
    }
    Ok(())
}

/// The grants that others have signed already, if they are what this board member would draft; otherwise new ones.
fn find_or_draft(
    exchange: &dyn Statements,
    request: &Verified<Statement<Request>>,
    rules: &RulesInForce,
    affiliations: &Affiliations,
) -> anyhow::Result<Vec<Envelope>> {
    let now = Timestamp::now();
    let answers = |found: &Found| {
        found.envelope.claim::<Grant>().is_ok_and(|claim| claim.predicate.request == request.digest())
    };
    let found = merge(exchange.about("grant", request.digest())?);
    let mut started: Vec<_> = found.into_iter().filter(answers).collect();
    // Whichever board began: an ethics board's member may be the first.
    let deciders = rules.deciders();
    let ended = approvable::EndedGrants::read(exchange, rules)?;
    started.retain(|found| !found.envelope.signers(&deciders).is_empty() && !ended.has_ended(found));
    started.sort_by_key(|found| std::cmp::Reverse(found.envelope.signers(&deciders).len()));
    let mut known = BTreeMap::new();
    for found in started {
        let claim = found.envelope.claim::<Grant>()?;
        let same = draft_grants(request, rules, affiliations, claim.predicate.issued)?.contains(&claim);
        let age = now.seconds_since(claim.predicate.issued);
        // A draft from the future, or one that is over already, is not completed.
        if same && age >= -crate::access::CLOCK_TOLERANCE && now < claim.predicate.expires {
            known.entry(claim.predicate.researcher.verifying_key.id()).or_insert(found.envelope);
        }
    }
    let mut drafts = Vec::new();
    for fresh in draft_grants(request, rules, affiliations, now)? {
        let known = known.remove(&fresh.predicate.researcher.verifying_key.id());
        drafts.push(known.map_or_else(|| fresh.to_envelope(), Ok)?);
    }
    Ok(drafts)
}

/// This member's share, opened and sealed again to the researcher for this grant alone.
fn seal_share(
    locks: &Locks,
    grant: &Grant,
    digest: Sha256Digest,
    signatory: &Signatory,
) -> anyhow::Result<ApprovalShare> {
    let own = signatory.key().id();
    let share = locks
        .shares
        .open_share(&locks.manifest, own, signatory.opening_key())
        .with_context(|| format!("cannot open your share of {}", grant.checkpoint))?;
    let share = reseal_share(&share, &grant.researcher.sealing_key, digest, &mut rand::rng())?;
    Ok(ApprovalShare { grant: digest, share })
}
