//! `portcullis demo --replay-2019`: the nine months in which GPT-2 was released, day by day, into a real registry with a simulated clock.
//!
//! Stages, dates and policies are those of `policies/`; the checkpoints' ids are GPT-2's, their weights the demo's small stand-ins. The people,
//! their requests, what they generate and what auditors decide are made up, from a seed. At the end the registry is served as any other, and the
//! auditor's commands are the real ones.

mod cast;
mod days;
mod stage;

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::interrupt;
use super::super::output::Output;
use super::REPORT;
use super::people::People;
use super::server::RegistryProcess;
use crate::time::Timestamp;

/// The first day, and the day behind the last.
const FROM: &str = "2019-02-14T12:00:00Z";
const TO: &str = "2019-11-15T12:00:00Z";

/// Tells the nine months and returns them as data.
pub(super) fn play(folder: &Path, seed: u64, output: Output) -> anyhow::Result<Value> {
    std::fs::create_dir_all(folder).context("cannot make the replay's folder")?;
    let people = People::new(folder, output)?;
    output.piece(format_args!(
        "GPT-2's release of 2019, day by day, with simulated people from the seed {seed}\n\n"
    ))?;
    let (from, to): (Timestamp, Timestamp) = (FROM.parse()?, TO.parse()?);
    let runtime = tokio::runtime::Runtime::new().context("cannot start")?;
    let story = runtime.block_on(async {
        let mut world = stage::World::build(folder, &people, from).await?;
        let mut days = days::Days::new(seed);
        let mut now = from;
        let mut month: String = from.date()[..7].to_owned();
        while now < to {
            anyhow::ensure!(!interrupt::is_interrupted(), "stopped");
            world.set_clock(now);
            days.simulate(&mut world, now, output).await?;
            now = now.plus_days(1);
            if now.date()[..7] != month {
                output.piece(format_args!("  {month}  {}\n", days.summary()))?;
                month = now.date()[..7].to_owned();
            }
        }
        let story = days.summary();
        // Years later it is served again: what its keepers signed still holds, and its timestamp is renewed.
        world.set_clock(Timestamp::now());
        world.close().await?;
        Ok(story)
    })?;
    output.piece(format_args!(
        "\n  {story}\n\nThe registry is served in its final state; the auditor joins it and verifies everything\n"
    ))?;
    let registry = RegistryProcess::start(folder)?;
    people.run("august", &["join", &registry.url, "--root", "1.root.json"])?;
    people.show("august", &["audit", "verify"])?;
    people.show("august", &["audit", "bundle", "--to", "audit.jsonl"])?;
    let period = ["--from", "2019-02-14", "--to", "2019-11-15", "--bundle", "audit.jsonl"];
    let report = ["audit", "report", "--format", "html", "--output", REPORT];
    people.show("august", &[&report[..], &period[..]].concat())?;
    Ok(json!({ "story": story, "registry": registry.url, "report": folder.join(REPORT) }))
}
