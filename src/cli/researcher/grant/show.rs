//! `portcullis grant show`.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use serde_json::json;

use crate::access::{Found, Grant};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::{files, registry, resolve};

/// Show what a grant says; `grant verify` checks it
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// The first digits of the grant's digest, or a file
    grant: String,
}

impl Show {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let found = find(home, &self.grant, output)?;
        let claim = found.envelope.claim::<Grant>()?;
        let grant = &claim.predicate;
        let uses: Vec<_> = grant.uses.iter().map(ToString::to_string).collect();
        let mut text = String::new();
        writeln!(text, "grant {}", found.digest)?;
        writeln!(text, "  checkpoint   {}", grant.checkpoint)?;
        writeln!(text, "  manifest     {}", claim.subject.digest)?;
        writeln!(
            text,
            "  issued to    {}, key id {}",
            grant.researcher.name,
            grant.researcher.verifying_key.id()
        )?;
        writeln!(text, "  stage        {}", grant.stage)?;
        let version = grant.policy_version.map(|version| format!("version {version}, ")).unwrap_or_default();
        writeln!(text, "  policy       {version}{}", grant.policy)?;
        writeln!(
            text,
            "  uses         {}",
            if uses.is_empty() { "any".to_owned() } else { uses.join(", ") }
        )?;
        writeln!(text, "  from         {}", grant.issued)?;
        writeln!(text, "  until        {}", grant.expires)?;
        writeln!(text, "  signatures   {}, not verified", found.envelope.signatures().len())?;
        let value = json!({ "digest": found.digest, "manifest": claim.subject.digest, "grant": grant });
        output.result(&value, text)
    }
}

/// The grant of a file, of the registry's exchange or of the vault.
pub(super) fn find(home: &Home, grant: &str, output: Output) -> anyhow::Result<Found> {
    let path = Path::new(grant);
    if path.is_file() {
        let envelope = files::envelope(path)?;
        return Ok(Found { path: path.to_owned(), digest: envelope.digest(), envelope });
    }
    resolve::grant(&*registry::statements(home, output)?, grant)
}
