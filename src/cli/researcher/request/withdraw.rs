//! `portcullis request withdraw`.

use clap::Args;
use serde_json::json;

use crate::access::{Withdrawal, verify_request};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Consent, Papers, Signatory};
use crate::cli::{registry, resolve};
use crate::statement::{Statement, Subject};
use crate::time::Timestamp;

/// Withdraw your own request
#[derive(Debug, Args)]
pub(in crate::cli) struct Withdraw {
    /// The first digits of the request's digest
    request: String,

    #[command(flatten)]
    consent: Consent,
}

impl Withdraw {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let exchange = registry::statements(home, output)?;
        let found = resolve::request(&*exchange, &self.request)?;
        let catalogue = registry::catalogue(home, output)?;
        let request = verify_request(&found.envelope, catalogue.id())?;
        let signatory = Signatory::open(home, output)?;
        if signatory.key() != request.predicate.card.verifying_key {
            let message = format!("the request is by {}, not by you", request.predicate.card.name);
            return Err(Refusal::denied(
                message,
                "only its author can withdraw it; a board member can deny it",
            )
            .into());
        }
        let subject = Subject { name: request.subject.name.clone(), digest: request.subject.digest };
        let withdrawal = Withdrawal { request: request.digest(), created: Timestamp::now() };
        let mut papers = Papers::new("withdraw your request").about(&self.request, request.digest());
        papers.quote(&request);
        papers.add::<Withdrawal>(Statement::new(catalogue.id(), subject, withdrawal).to_envelope()?)?;
        let envelope = signatory.sign_one(papers, &self.consent)?;
        exchange.put("withdrawal", &envelope, &signatory.key())?;
        let short = registry::short_digest(request.digest());
        output.result(&json!({ "request": request.digest() }), format_args!("withdrew request {short}\n"))
    }
}
