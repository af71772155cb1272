//! `portcullis lease …`: the registry's part of a run.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::access::{Found, Grant, Lease, RulesInForce, lease_context, verify_grant};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::client::{self, Catalogue};
use crate::digest::Sha256Digest;
use crate::identity::{Identity, Signer};
use crate::seal::{self, SealedMessage};
use crate::statement::{Envelope, Statement, Subject, Verified};
use crate::time::Timestamp;

/// Leases: the registry's key, sealed to a researcher for some hours
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum LeaseCommand {
    Issue(Issue),
}

impl LeaseCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Issue(issue) => issue.run(home, output),
        }
    }
}

/// Issue a lease for a grant that counts, or for every one
#[derive(Debug, Args)]
pub(in crate::cli) struct Issue {
    /// The first digits of the grant's digest; without one, every grant that counts
    grant: Option<String>,
}

impl Issue {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        let exchange = registry::exchange(home)?;
        let (identity, signer) = home.signer(output)?;
        require_registry(&catalogue, &*signer)?;
        let revocations = registry::revocations(&exchange)?;
        let issuer = Issuer { home, catalogue: &catalogue, identity: &identity, signer: &*signer };
        let grants = match &self.grant {
            Some(prefix) => vec![exchange.find("grant", prefix)?],
            None => exchange.merged("grant")?,
        };
        let mut text = String::new();
        let mut issued = Vec::new();
        for found in &grants {
            match issuer.issue(found, &revocations) {
                Ok((grant, envelope, expires)) => {
                    exchange.put("lease", &envelope, &signer.verifying_key())?;
                    let name = &grant.predicate.researcher.name;
                    let (short, checkpoint) = (registry::short(found), &grant.predicate.checkpoint);
                    writeln!(text, "lease for {name}, {checkpoint}, grant {short}: until {expires}")?;
                    issued.push(
                        json!({ "grant": found.digest, "lease": envelope.digest(), "expires": expires }),
                    );
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

pub(super) fn require_registry(catalogue: &Catalogue, signer: &dyn Signer) -> anyhow::Result<()> {
    if catalogue.registry().keys().contains(&signer.verifying_key()) {
        return Ok(());
    }
    Err(Refusal::denied(
        "this identity is not the registry that the catalogue names",
        "run it with the registry's --home",
    )
    .into())
}

/// What issuing takes.
struct Issuer<'a> {
    home: &'a Home,
    catalogue: &'a Catalogue,
    identity: &'a Identity,
    signer: &'a dyn Signer,
}

impl Issuer<'_> {
    fn issue(
        &self,
        found: &Found,
        revocations: &[Envelope],
    ) -> anyhow::Result<(Verified<Statement<Grant>>, Envelope, Timestamp)> {
        let checkpoint = found.envelope.claim::<Grant>()?.predicate.checkpoint;
        let rules = self.catalogue.rules_in_force(&checkpoint)?;
        let now = Timestamp::now();
        let grant = verify_grant(&found.envelope, &rules, revocations, now)?;
        let hours = rules.lease_hours(&grant.predicate.stage);
        let expires = now.plus_hours(hours).min(grant.predicate.expires);
        let registry_key = self.sealed_key(&rules, &grant, (now, expires))?;
        let lease = Lease { grant: grant.digest(), issued: now, expires, registry_key };
        let subject = Subject { name: checkpoint.to_string(), digest: rules.manifest };
        let envelope = Statement { subject, predicate: lease }.sign(self.signer)?;
        Ok((grant, envelope, expires))
    }

    fn sealed_key(
        &self,
        rules: &RulesInForce,
        grant: &Verified<Statement<Grant>>,
        (issued, expires): (Timestamp, Timestamp),
    ) -> anyhow::Result<SealedMessage> {
        let folder = registry::sealed(self.home, &rules.checkpoint)?;
        let sealed = client::sealed(&folder, rules.manifest)?;
        let key = sealed
            .shares()?
            .open_registry_key(sealed.manifest(), self.identity.opening_key())
            .with_context(|| format!("cannot open the registry's key of {}", rules.checkpoint))?;
        let context: Sha256Digest = lease_context(grant.digest(), issued, expires);
        let researcher = &grant.predicate.researcher.sealing_key;
        Ok(seal::seal_registry_key(&key, researcher, context, &mut rand::rng())?)
    }
}
