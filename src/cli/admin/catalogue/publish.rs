//! `portcullis catalogue publish`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use crate::catalogue::{Days, Repository};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Unattended, unattended};
use crate::registry::incoherent;
use crate::time::Timestamp;

/// Put every proposal that has its signatures in force, and renew what the registry signs
#[derive(Debug, Args)]
pub(in crate::cli) struct Publish {
    /// For how long clients believe that nothing newer is out
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    timestamp_days: u32,

    /// For how long the list of versions is believed
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    snapshot_days: u32,
}

impl Publish {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let (_, signer) = unattended(home, Unattended::Registry, output)?;
        let days = Days { timestamp: self.timestamp_days, snapshot: self.snapshot_days, ..Days::default() };
        let repository = Repository::new(&home.catalogue()?);
        let held = incoherent(&repository)?;
        let done = repository.publish_except(&held, &*signer, Timestamp::now(), days)?;
        let mut text = format!("published version {}; publish again before {}\n", done.version, done.expires);
        for subject in &done.published {
            writeln!(text, "  in force  {subject}")?;
        }
        for held in &done.held {
            writeln!(text, "  waiting   {}: {}", held.subject, held.reason)?;
        }
        let held =
            done.held.iter().map(|held| json!({ "role": held.subject.to_string(), "reason": held.reason }));
        let result = json!({
            "version": done.version,
            "expires": done.expires,
            "published": done.published.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "waiting": held.collect::<Vec<_>>(),
        });
        output.result(&result, text)
    }
}
