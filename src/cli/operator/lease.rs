//! `portcullis lease issue`: the registry's part of a run.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use crate::access::{Found, Grant, Statements};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Unattended, unattended};
use crate::cli::{people, registry, resolve};
use crate::client::Catalogue;
use crate::registry::{Issued, Keys, LeaseTerms, issue_lease, require_registry};
use crate::statement::Envelope;
use crate::time::Timestamp;

/// Issue a lease for a valid grant, or for all valid grants
#[derive(Debug, Args)]
pub(in crate::cli) struct Issue {
    /// The first digits of the grant's digest [default: every valid grant]
    grant: Option<String>,
}

impl Issue {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        let exchange = registry::statements(home, output)?;
        let (identity, signer) = unattended(home, Unattended::Registry, output)?;
        require_registry(&catalogue, &*signer)?;
        let keys = Keys { opening: identity.opening_key(), signer: &*signer };
        let revocations = registry::revocations(&*exchange)?;
        let grants = match &self.grant {
            Some(prefix) => vec![resolve::grant(&*exchange, prefix)?],
            None => exchange.merged("grant")?,
        };
        let issuer = LeaseIssuer {
            home,
            output,
            catalogue: &catalogue,
            keys,
            revocations: &revocations,
            exchange: &*exchange,
        };
        let mut text = String::new();
        let mut issued = Vec::new();
        for found in &grants {
            match issuer.issue(found) {
                Ok(Issued { grant, lease, expires }) => {
                    exchange.put("lease", &lease, &signer.verifying_key())?;
                    let name = &grant.predicate.researcher.name;
                    let (short, checkpoint) = (registry::short(found), &grant.predicate.checkpoint);
                    writeln!(text, "lease for {name}, {checkpoint}, grant {short}: until {expires}")?;
                    issued
                        .push(json!({ "grant": found.digest, "lease": lease.digest(), "expires": expires }));
                }
                Err(error) if self.grant.is_some() => return Err(error),
                Err(error) => {
                    output.note(format_args!("note: no lease for {}: {error:#}", registry::short(found)))
                }
            }
        }
        if issued.is_empty() {
            text.push_str("no grant is valid now\n");
        }
        output.result(&issued, text)
    }
}

/// Issues leases for grants, by the registry's own key.
struct LeaseIssuer<'a> {
    home: &'a Home,
    output: Output,
    catalogue: &'a Catalogue,
    keys: Keys<'a>,
    revocations: &'a [Envelope],
    exchange: &'a dyn Statements,
}

impl LeaseIssuer<'_> {
    fn issue(&self, found: &Found) -> anyhow::Result<Issued> {
        let grant = found.envelope.claim::<Grant>()?.predicate;
        let rules = self.catalogue.rules_in_force(&grant.checkpoint)?;
        let affiliations = people::affiliations(self.exchange, [&grant.researcher], &rules)?;
        let locks = registry::locks(self.home, &rules, self.output)?;
        let terms = LeaseTerms {
            grant: &found.envelope,
            revocations: self.revocations,
            affiliations: &affiliations,
            rules: &rules,
            locks: &locks,
            journal: None,
        };
        Ok(issue_lease(&terms, self.keys, Timestamp::now())?)
    }
}
