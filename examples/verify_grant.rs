//! Verifies the grants in a person's home, offline: signatures, policy, stage, dates and revocations.
//!
//! ```text
//! portcullis demo --dir story
//! cargo run --example verify_grant -- story/homes/rosa
//! ```
//!
//! It trusts the root that the home trusts, and takes the catalogue and the statements as the home saw them last. Ask the registry first
//! for what is new (`portcullis grant list`): a revocation that this machine does not know ends nothing here.
#![expect(clippy::print_stdout, reason = "an example prints what it finds")]

use std::path::PathBuf;

use anyhow::Context as _;
use portcullis::access::{Affiliations, Grant, Statements as _, verify_grant};
use portcullis::catalogue::{self, Folder};
use portcullis::client::{Catalogue, Vault};
use portcullis::statement::Envelope;
use portcullis::time::Timestamp;

fn main() -> anyhow::Result<()> {
    let home = PathBuf::from(std::env::args().nth(1).context("give a home")?);
    let now = Timestamp::now();
    let trusted = catalogue::Client::new(home.join("catalogue")).load_offline(now)?;
    // Files that the home has not read are not fetched.
    let catalogue = Catalogue::new(trusted, Box::new(Folder::new(home.join("nothing"))));
    let statements = Vault::at(home.join("vault")).statements();
    let envelopes = |kind| -> anyhow::Result<Vec<Envelope>> {
        Ok(statements.merged(kind)?.into_iter().map(|found| found.envelope).collect())
    };
    let revocations = envelopes("revocation")?;
    let affiliations = envelopes("affiliation")?;
    for found in statements.merged("grant")? {
        let claim = found.envelope.claim::<Grant>()?.predicate;
        let rules = catalogue.rules_in_force(&claim.checkpoint)?;
        let affiliations = Affiliations::among(&affiliations, &rules.organizations);
        match verify_grant(&found.envelope, &rules, &revocations, &affiliations, now) {
            Ok(grant) => {
                let signers: Vec<_> = grant.signers().iter().map(|key| catalogue.name_of(key)).collect();
                println!(
                    "{}: valid until {}, signed by {}",
                    claim.checkpoint,
                    grant.predicate.expires,
                    signers.join(", ")
                );
            }
            Err(why) => println!("{}: not valid: {why}", claim.checkpoint),
        }
    }
    Ok(())
}
