//! `portcullis grant verify`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::show::find;
use crate::access::{Grant, verify_grant};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::{people, registry};
use crate::time::Timestamp;

/// Check a grant against the catalogue: signatures, policy, stage, dates, revocations
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// The first digits of the grant's digest, or a file
    grant: String,
}

impl Verify {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let found = find(home, &self.grant, output)?;
        let Grant { checkpoint, researcher, .. } = found.envelope.claim::<Grant>()?.predicate;
        let catalogue = registry::catalogue(home, output)?;
        let rules = catalogue.rules_in_force(&checkpoint)?;
        let statements = registry::statements(home, output)?;
        let revocations = registry::revocations(&*statements)?;
        let affiliations = people::affiliations(&*statements, [&researcher], &rules)?;
        let grant = verify_grant(&found.envelope, &rules, &revocations, &affiliations, Timestamp::now())?;
        let signers: Vec<_> = grant.signers().iter().map(|key| catalogue.name_of(key)).collect();
        let mut text = format!("the grant {} is valid\n", registry::short(&found));
        writeln!(text, "  signed by    {}", signers.join(", "))?;
        let made = grant.predicate.policy_version.filter(|version| *version < rules.policy.version);
        let kept =
            made.map(|version| format!(", which keeps grants of version {version}")).unwrap_or_default();
        writeln!(text, "  permitted by the policy in force, version {}{kept}", rules.policy.version)?;
        writeln!(text, "  until        {}", grant.predicate.expires)?;
        let value =
            json!({ "digest": found.digest, "counts": true, "signers": signers, "grant": grant.predicate });
        output.result(&value, text)
    }
}
