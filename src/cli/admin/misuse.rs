//! `portcullis misuse`: rules, checked and tried on a text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::policy::{counted, text};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::cli::progress::read_stdin;
use crate::cli::registry;
use crate::misuse::{Hit, MAX_BYTES, Rules, Scorer};
use crate::policy::Use;

/// Longest text that is tested.
const MAX_TEXT: u64 = 1 << 20;

/// Check misuse rules before they are signed
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum MisuseCommand {
    Check(Check),
    Test(Test),
}

/// Read misuse rules and compile their patterns
#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    /// The rules
    rules: PathBuf,
}

/// Show which rules a text matches, as a prompt and as an output
#[derive(Debug, Args)]
pub(in crate::cli) struct Test {
    /// The text, or - to read it from standard input
    file: PathBuf,

    /// The rules [default: the rules that the owners signed]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,

    /// A granted use; may be repeated
    #[arg(long = "use", value_name = "USE")]
    uses: Vec<Use>,
}

impl MisuseCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Check(check) => check.run(output),
            Self::Test(test) => test.run(home, output),
        }
    }
}

impl Test {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let text = match self.file.to_str() {
            Some("-") => String::from_utf8_lossy(&read_stdin(MAX_TEXT)?).into_owned(),
            _ => text(&self.file, MAX_TEXT)?,
        };
        let scorer = match &self.rules {
            Some(path) => Some(Scorer::new(read(path)?)?),
            None => registry::catalogue(home, output)?.scorer()?,
        };
        let Some(scorer) = scorer else {
            let message = "the owners signed no misuse rules";
            return Err(Refusal::usage(message, "give a rules file with --rules").into());
        };
        let uses = self.uses.into_iter().collect();
        let sides = [("as a prompt", scorer.prompt(&text, &uses)), ("as an output", scorer.output(&text))];
        let (mut said, mut values) = (String::new(), Vec::new());
        for (side, hits) in sides {
            if hits.is_empty() {
                said.push_str(&format!("{side}: no rule\n"));
            }
            for hit in hits {
                let Hit { rule, severity, action, reason } = &hit;
                said.push_str(&format!(
                    "{side}: {rule}: {reason}; {} severity, {}\n",
                    name(severity),
                    name(action)
                ));
                values.push(json!({ "side": side, "rule": rule, "severity": severity, "action": action, "reason": reason }));
            }
        }
        said.push_str(
            "Rules about volume, near-duplicates and mass generation read a history, not one text.\n",
        );
        output.result(&values, said)
    }
}

/// A word as the rules write it.
fn name(word: &impl Serialize) -> String {
    serde_json::to_value(word).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Check {
    fn run(self, output: Output) -> anyhow::Result<()> {
        let path = self.rules;
        let rules = read(&path)?;
        let mut kinds = BTreeMap::<_, usize>::new();
        for rule in &rules.rules {
            *kinds.entry(rule.name.to_string()).or_default() += 1;
        }
        let listed: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let file = shown(&path);
        let (version, count) = (rules.version, rules.rules.len());
        let result = json!({ "file": file, "version": version, "rules": count, "kinds": kinds });
        let listed = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
        let count = counted(count, "rule");
        output.result(&result, format_args!("{file}: version {version} is sound: {count}: {listed}\n"))
    }
}

fn read(path: &Path) -> anyhow::Result<Rules> {
    Rules::parse(&text(path, MAX_BYTES as u64)?).with_context(|| path.display().to_string())
}
