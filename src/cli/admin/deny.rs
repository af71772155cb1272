//! `portcullis deny`.

use clap::Args;
use serde_json::json;

use crate::access::{Denial, verify_request};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Consent, Papers, Signatory};
use crate::cli::{registry, resolve};
use crate::name::Prose;
use crate::statement::{Statement, Subject};
use crate::time::Timestamp;

/// Deny a request, with a reason that the researcher reads
#[derive(Debug, Args)]
pub(in crate::cli) struct Deny {
    /// The first digits of the request's digest
    request: String,

    /// The reason
    #[arg(long)]
    reason: Prose,

    #[command(flatten)]
    consent: Consent,
}

impl Deny {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let exchange = registry::statements(home, output)?;
        let found = resolve::request(&*exchange, &self.request)?;
        let catalogue = registry::catalogue(home, output)?;
        let request = verify_request(&found.envelope, catalogue.id())?;
        let rules = catalogue.rules_in_force(&request.predicate.checkpoint)?;
        let signatory = Signatory::open(home, output)?;
        if !rules.deciders().keys().contains(&signatory.key()) {
            let message = format!("you are not on a board that decides on {}", rules.checkpoint);
            return Err(Refusal::denied(
                message,
                "only its members decide: `portcullis catalogue status` lists them",
            )
            .into());
        }
        let subject = Subject { name: request.subject.name.clone(), digest: request.subject.digest };
        let denial = Denial { request: request.digest(), reason: self.reason, created: Timestamp::now() };
        let name = &request.predicate.card.name;
        let mut papers =
            Papers::new(format!("deny the request of {name}")).about(&self.request, request.digest());
        papers.quote(&request);
        papers.add::<Denial>(Statement::new(rules.catalogue, subject, denial).to_envelope()?)?;
        let envelope = signatory.sign_one(papers, &self.consent)?;
        exchange.put("denial", &envelope, &signatory.key())?;
        let text = format!("denied the request of {name}, who can read the reason\n");
        output.result(&json!({ "request": request.digest() }), text)
    }
}
