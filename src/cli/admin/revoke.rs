//! `portcullis revoke`.

use clap::Args;
use serde_json::json;

use crate::access::{Grant, Revocation};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::cli::signing::{Consent, Papers, Signatory};
use crate::name::Prose;
use crate::statement::{Statement, Subject};
use crate::time::Timestamp;

/// End a grant, with a reason; one board member is enough
#[derive(Debug, Args)]
pub(in crate::cli) struct Revoke {
    /// The first digits of the grant's digest
    grant: String,

    /// Why
    #[arg(long)]
    reason: Prose,

    #[command(flatten)]
    consent: Consent,
}

impl Revoke {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let exchange = registry::statements(home, output)?;
        let found = exchange.find("grant", &self.grant)?;
        let claim = found.envelope.claim::<Grant>()?;
        let rules = registry::rules(home, &claim.predicate.checkpoint, output)?;
        let signatory = Signatory::of(home, output)?;
        if !rules.board.keys().contains(&signatory.key()) {
            let message = format!("you are not on the board of {}", rules.checkpoint);
            return Err(Refusal::denied(message, "its members revoke: `portcullis catalogue status`").into());
        }
        let subject = Subject { name: claim.subject.name, digest: claim.subject.digest };
        let revocation = Revocation { grant: found.digest, reason: self.reason, created: Timestamp::now() };
        let name = &claim.predicate.researcher.name;
        let mut papers = Papers::to(format!("revoke the grant of {name}")).about(&self.grant, found.digest);
        papers.quote(&claim.predicate);
        papers.add::<Revocation>(Statement::new(rules.catalogue, subject, revocation).to_envelope()?)?;
        let envelope = signatory.sign_one(papers, &self.consent)?;
        exchange.put("revocation", &envelope, &signatory.key())?;
        let text = format!(
            "revoked the grant {} of {name}: no further lease is issued; the one that runs ends by itself\n",
            registry::short(&found),
        );
        output.result(&json!({ "grant": found.digest }), text)
    }
}
