//! The records of what `serve` serves, and what its clients see if none can be made.

use anyhow::Context as _;

use super::gate::{self, Admission};
use super::recording;
use super::renewal::Renewal;
use crate::cli::advice;
use crate::cli::failure::Kind;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::client::{self, Asked, Begun, Ended, Recorders};
use crate::endpoint::{Denied, Ledger};
use crate::name::{CheckpointId, Prose};
use crate::time::Timestamp;
use crate::usage;

/// The records of what is served. Leases are renewed as `run` renews them, beside the records: the network may take its time.
pub(super) struct Records {
    recorders: Recorders,
    /// Finds new leases; none if nothing is sealed.
    renewal: Option<Renewal<Vec<Admission>>>,
    justification: Option<Prose>,
    home: Home,
    output: Output,
}

impl Records {
    /// Records by `recorders`, one for each of the `sealed` checkpoints.
    pub(super) fn new(
        recorders: Recorders,
        sealed: Vec<CheckpointId>,
        justification: Option<Prose>,
        home: &Home,
        output: Output,
    ) -> anyhow::Result<Self> {
        let renewal = recorders.renewal_due().map(|due| {
            let home = home.clone();
            Renewal::begin(due, move || renew_passes(&home, &sealed, output))
        });
        let renewal = renewal.transpose().context("cannot start the thread that renews leases")?;
        Ok(Self { recorders, renewal, justification, home: home.clone(), output })
    }

    /// Whether anything is recorded.
    pub(super) fn is_recording(&self) -> bool {
        !self.recorders.is_empty()
    }

    /// Records under the leases that were found last.
    fn take_renewed(&mut self) -> anyhow::Result<()> {
        let Some(passed) = self.renewal.as_ref().and_then(Renewal::take_found) else { return Ok(()) };
        let recorders = passed
            .iter()
            .map(|Admission { pass, rules, .. }| recording::recorder(&self.home, pass, rules, self.output));
        let mut recorders = Recorders::new(recorders.collect::<anyhow::Result<Vec<_>>>()?);
        recorders.continue_texts(&mut self.recorders);
        self.recorders = recorders;
        Ok(())
    }
}

/// Passes the gate again, and says when that is due the next time.
fn renew_passes(
    home: &Home,
    sealed: &[CheckpointId],
    output: Output,
) -> anyhow::Result<(Vec<Admission>, Timestamp)> {
    // What was out of reach an hour ago may be there now.
    let home = home.retry();
    let passed = sealed.iter().map(|checkpoint| gate::pass(&home, checkpoint, output));
    let passed = passed.collect::<anyhow::Result<Vec<_>>>()?;
    let now = Timestamp::now();
    let due = passed.iter().map(|passed| {
        let lease = &passed.pass.lease;
        // Who got no new one tries again, more often towards the end.
        lease.renewal_due().max(now.plus_seconds(lease.expires.seconds_since(now) / 10))
    });
    let due = due.min().unwrap_or(now);
    Ok((passed, due))
}

impl Ledger for Records {
    fn begin(&mut self, asked: &Asked<'_>) -> Result<Begun, Denied> {
        self.take_renewed().map_err(|error| denied(&error))?;
        let (justification, parameters) = (self.justification.clone(), asked.parameters.clone());
        let asked = Asked { justification, parameters, ..*asked };
        let begun = self.recorders.begin(&asked, Timestamp::now());
        if let (Err(client::Error::AccessExpired { .. }), Some(renewal)) = (&begun, &self.renewal) {
            renewal.hurry();
        }
        begun.map(|(begun, _)| begun).map_err(|error| denied(&error.into()))
    }

    fn wrote(&mut self, begun: &Begun, text: &str, tokens: usize) -> Result<(), Denied> {
        self.recorders.wrote(begun, text, tokens).map_err(|error| denied(&error.into()))
    }

    fn end(&mut self, begun: Begun, ended: &Ended<'_>) -> Result<(), Denied> {
        let recorded = self.recorders.end(begun, ended, Timestamp::now());
        recorded.map(drop).map_err(|error| denied(&error.into()))
    }
}

/// What a client sees. Paths of this machine, and advice for its command line, are for the log alone.
fn denied(error: &anyhow::Error) -> Denied {
    let (kind, next) = advice::explain(error);
    let by_rule = matches!(kind, Kind::Denied);
    let message = match error.downcast_ref().and_then(next_step) {
        Some(next) => format!("{error:#}; next: {next}"),
        None => {
            tracing::error!(next, "{error:#}");
            let why = if by_rule {
                "permission denied"
            } else {
                "the request cannot be recorded, and nothing runs without a record"
            };
            format!("{why}; next: ask the endpoint's operator, whose log has the reason")
        }
    };
    Denied { by_rule, message }
}

/// What a client can do about a refusal that it may read.
fn next_step(error: &client::Error) -> Option<&'static str> {
    use client::Error as E;
    match error {
        E::Blocked { .. } => Some("the attempt is recorded; if the rule is wrong, write to the auditors"),
        E::NeedsJustification { .. } => {
            Some("the attempt is recorded; the endpoint's operator can give a reason with --justify")
        }
        E::AccessExpired { .. } => {
            Some("try again later: the lease is renewed once the registry is reachable")
        }
        E::Usage(usage::Error::OverLimit { .. }) => Some("ask for fewer tokens, or wait"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn clients_read_the_rule_and_nothing_of_this_machine() {
        let blocked = client::Error::Blocked { rule: "spam".to_owned(), reason: "asks for spam".to_owned() };
        let told = denied(&blocked.into());
        assert!(told.by_rule && told.message.contains("`spam` blocks the prompt"), "{}", told.message);
        let path = PathBuf::from("/home/rosa/usage");
        let full = client::Error::Io { action: "write", path, source: std::io::Error::other("full") };
        let told = denied(&full.into());
        assert!(!told.by_rule && !told.message.contains("rosa"), "{}", told.message);
    }
}
