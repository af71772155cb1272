//! `portcullis status`: where a person stands, what waits for them, and what to type next.

mod overview;
mod show;
mod snapshot;
mod steps;
mod tasks;

use std::time::Duration;

use clap::Args;

use super::home::Home;
use super::interrupt;
use super::output::Output;

/// How long `--watch` rests before it looks whether it was asked to end.
const TICK: Duration = Duration::from_millis(100);

/// Show your identity, requests, grants, leases and open tasks, and what to type next
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Refresh every few seconds until Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5",
        value_parser = clap::value_parser!(u16).range(1..=3600))]
    watch: Option<u16>,
}

impl Status {
    pub(super) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let Some(seconds) = self.watch else {
            let overview = overview::gather(home, output)?;
            return output.page(&overview, &show::page(&overview));
        };
        interrupt::remember_interrupt();
        // What is found out of reach once is looked for again the next time.
        while !interrupt::is_interrupted() {
            let overview = overview::gather(&home.retry(), output)?;
            output.redraw(&overview, &show::page(&overview))?;
            for _ in 0..u64::from(seconds) * 10 {
                if interrupt::is_interrupted() {
                    break;
                }
                std::thread::sleep(TICK);
            }
        }
        Ok(())
    }
}
