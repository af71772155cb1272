//! `portcullis lease issue`: the registry's part of a run.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use crate::access::{FoundStatement, Grant, Statements};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Unattended, unattended};
use crate::cli::{people, registry, resolve};
use crate::client::Catalogue;
use crate::registry::{IssuedLease, Keys, LeaseTerms, issue_lease, require_registry};
use crate::statement::Envelope;
use crate::time::Timestamp;

/// Issue a lease for a grant that counts, or for every one
#[derive(Debug, Args)]
pub(in crate::cli) struct Issue {
    /// The first digits of the grant's digest; without one, every grant that counts
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
            None => exchange.list_merged("grant")?,
        };
        let mut text = String::new();
        let mut issued = Vec::new();
        for found in &grants {
            let evidence = Beside { revocations: &revocations, exchange: &*exchange };
            match issue((home, output), (&catalogue, keys), found, &evidence) {
                Ok(IssuedLease { grant, lease, expires }) => {
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
            text.push_str("no grant counts now\n");
        }
        output.result(&issued, text)
    }
}

/// What bears on grants beside themselves.
struct Beside<'a> {
    revocations: &'a [Envelope],
    exchange: &'a dyn Statements,
}

fn issue(
    (home, output): (&Home, Output),
    (catalogue, keys): (&Catalogue, Keys<'_>),
    found: &FoundStatement,
    beside: &Beside<'_>,
) -> anyhow::Result<IssuedLease> {
    let grant = found.envelope.claim::<Grant>()?.predicate;
    let rules = catalogue.rules_in_force(&grant.checkpoint)?;
    let affiliations = people::affiliations(beside.exchange, [&grant.researcher], &rules)?;
    let locks = registry::locks(home, &rules, output)?;
    let terms = LeaseTerms {
        grant: &found.envelope,
        revocations: beside.revocations,
        affiliations: &affiliations,
        rules: &rules,
        locks: &locks,
        journal: None,
    };
    Ok(issue_lease(&terms, keys, Timestamp::now())?)
}
