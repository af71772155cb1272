//! `portcullis revoke`.

use clap::Args;
use serde_json::json;

use crate::access::{
    ExchangeError, Found, Grant, Request, Revocation, RulesInForce, Statements, approvals, merge,
    verify_granted,
};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Consent, Papers, Signatory};
use crate::cli::{registry, resolve};
use crate::name::Prose;
use crate::statement::{Predicate as _, Statement};
use crate::time::Timestamp;

/// End a grant, with a reason; one board member is enough
#[derive(Debug, Args)]
pub(in crate::cli) struct Revoke {
    /// The first digits of the grant's digest, or of the request that it answers
    grant: String,

    /// The reason
    #[arg(long)]
    reason: Prose,

    #[command(flatten)]
    consent: Consent,
}

impl Revoke {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let exchange = registry::statements(home, output)?;
        let found = find_grant(&*exchange, &self.grant)?;
        let checkpoint = found.envelope.claim::<Grant>()?.predicate.checkpoint;
        let rules = registry::rules(home, &checkpoint, output)?;
        let signatory = Signatory::open(home, output)?;
        if !rules.board.keys().contains(&signatory.key()) {
            let message = format!("you are not on the board of {}", rules.checkpoint);
            return Err(Refusal::denied(
                message,
                "only its members revoke: `portcullis catalogue status` lists them",
            )
            .into());
        }
        require_valid(&found, &rules, home, output)?;
        // What its board did not sign is not a grant, and is not shown.
        let grant = verify_granted(&found.envelope, &rules)?;
        let subject = grant.subject.clone();
        let revocation = Revocation { grant: found.digest, reason: self.reason, created: Timestamp::now() };
        let name = &grant.predicate.researcher.name;
        let mut papers = Papers::new(format!("revoke the grant of {name}")).about(&self.grant, found.digest);
        papers.quote(&grant);
        papers.add::<Revocation>(Statement::new(rules.catalogue, subject, revocation).to_envelope()?)?;
        let envelope = signatory.sign_one(papers, &self.consent)?;
        exchange.put("revocation", &envelope, &signatory.key())?;
        let text = format!(
            "revoked the grant {} of {name}: no further lease is issued; a running lease ends within {} hours\n",
            registry::short(&found),
            rules.lease_hours(&grant.predicate.stage),
        );
        output.result(&json!({ "grant": found.digest }), text)
    }
}

/// Refuses the grant that still lacks approvals: there is nothing to end, and what waits is its request. Where today's rules do not tell
/// whether it once had them all, the registry says so.
fn require_valid(found: &Found, rules: &RulesInForce, home: &Home, output: Output) -> anyhow::Result<()> {
    let grant = found.envelope.claim::<Grant>()?.predicate;
    let boards = approvals(Some(&found.envelope), rules);
    let needed: usize = boards.iter().map(|board| board.needed).sum();
    let missing: usize = boards.iter().map(|board| board.missing).sum();
    if missing == 0 || grant.policy != rules.policy_digest {
        return Ok(());
    }
    let short = registry::short_digest(grant.request);
    let mut next = format!("deny the request that it answers: `portcullis deny {short} --reason <why>`");
    if let Some(address) = home.address()? {
        match registry::remote(home, &address, output)?.standing(grant.request)?.request.state.as_str() {
            "pending" => {}
            // Members left the board, or its threshold rose, since.
            "granted" => return Ok(()),
            state => next = format!("nothing to do: the request {short} is {state}"),
        }
    }
    let message = format!(
        "the grant {} is not valid yet: {} of {needed} approvals",
        registry::short(found),
        needed - missing
    );
    Err(Refusal::denied(message, next).into())
}

/// The grant that begins with these digits, or the one that answers the request that does.
fn find_grant(statements: &dyn Statements, digits: &str) -> anyhow::Result<Found> {
    match statements.find(Grant::KIND, digits) {
        Err(ExchangeError::Ambiguous { count: 0, .. }) => {}
        _ => return resolve::grant(statements, digits),
    }
    let request = match statements.find(Request::KIND, digits) {
        // Neither: it says what may be meant.
        Err(ExchangeError::Ambiguous { count: 0, .. }) => return resolve::grant(statements, digits),
        found => found?,
    };
    let mut grants = merge(statements.about(Grant::KIND, request.digest)?);
    match (grants.pop(), grants.as_slice()) {
        (Some(grant), []) => Ok(grant),
        (None, _) => {
            let short = registry::short(&request);
            let message = format!("the request {short} has no grant to revoke");
            let next = format!("deny it: `portcullis deny {short} --reason <why>`");
            Err(Refusal::usage(message, next).into())
        }
        (Some(last), _) => {
            grants.push(last);
            let listed: Vec<_> = grants.iter().map(describe).collect();
            let message = format!("{} grants answer the request {}", grants.len(), registry::short(&request));
            Err(Refusal::usage(message, format!("name one of them: {}", listed.join(", "))).into())
        }
    }
}

/// `3f2a9c81d0e4 (Rosa, until 2027-01-05)`.
fn describe(grant: &Found) -> String {
    let short = registry::short(grant);
    grant.envelope.claim::<Grant>().map_or_else(
        |_| short.clone(),
        |claim| {
            let Grant { researcher, expires, .. } = &claim.predicate;
            format!("{short} ({}, until {})", researcher.name, expires.date())
        },
    )
}
