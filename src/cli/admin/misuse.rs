//! `portcullis misuse`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use super::policy::{counted, text};
use crate::cli::output::Output;
use crate::misuse::{MOST_BYTES, Rules};

/// Check misuse rules before they are signed
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum MisuseCommand {
    Check(Check),
}

/// Read misuse rules and compile their patterns
#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    /// The rules
    rules: PathBuf,
}

impl MisuseCommand {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        let Self::Check(Check { rules: path }) = self;
        let rules = read(&path)?;
        let mut kinds = BTreeMap::<_, usize>::new();
        for rule in &rules.rules {
            *kinds.entry(rule.name.to_string()).or_default() += 1;
        }
        let listed: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let (file, version, count) = (path.display().to_string(), rules.version, rules.rules.len());
        let result = json!({ "file": file, "version": version, "rules": count, "kinds": kinds });
        let listed = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
        let count = counted(count, "rule");
        output.result(&result, format_args!("{file}: version {version} is sound: {count}: {listed}\n"))
    }
}

fn read(path: &Path) -> anyhow::Result<Rules> {
    Rules::parse(&text(path, MOST_BYTES as u64)?).with_context(|| path.display().to_string())
}
