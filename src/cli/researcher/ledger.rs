//! The records of `serve`, and the errors for its clients if a record cannot be made.

use anyhow::Context as _;

use super::gate::{self, Passed};
use super::recording;
use super::renewal::Renewal;
use crate::cli::advice;
use crate::cli::failure::Kind;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::client::{self, OpenRecord, Outcome, Prompt, Recorders};
use crate::endpoint::{Denial, Ledger};
use crate::name::{CheckpointId, Prose};
use crate::time::Timestamp;
use crate::usage;

/// The records of `serve`. Leases are renewed in another thread, because the network may be slow.
pub(super) struct Records {
    recorders: Recorders,
    /// Renews leases; `None` if no checkpoint is sealed.
    renewal: Option<Renewal<Vec<Passed>>>,
    justification: Option<Prose>,
    home: Home,
    output: Output,
}

impl Records {
    /// Records with `recorders`, one for each of the `sealed` checkpoints.
    pub(super) fn new(
        recorders: Recorders,
        sealed: Vec<CheckpointId>,
        justification: Option<Prose>,
        home: &Home,
        output: Output,
    ) -> anyhow::Result<Self> {
        let renewal = recorders.renewal_due().map(|due| {
            let home = home.clone();
            Renewal::begin(due, move || renewed(&home, &sealed, output))
        });
        let renewal = renewal.transpose().context("cannot start the thread that renews leases")?;
        Ok(Self { recorders, renewal, justification, home: home.clone(), output })
    }

    /// Whether anything is recorded.
    pub(super) fn is_kept(&self) -> bool {
        !self.recorders.is_empty()
    }

    /// Records under the newest leases.
    fn take_renewed(&mut self) -> anyhow::Result<()> {
        let Some(passed) = self.renewal.as_ref().and_then(Renewal::found) else { return Ok(()) };
        let recorders = passed
            .iter()
            .map(|Passed { pass, rules, .. }| recording::recorder(&self.home, pass, rules, self.output));
        let mut recorders = Recorders::new(recorders.collect::<anyhow::Result<Vec<_>>>()?);
        recorders.continue_texts(&mut self.recorders);
        self.recorders = recorders;
        Ok(())
    }
}

/// Passes the gate again; returns the passes and the time of the next renewal.
fn renewed(home: &Home, sealed: &[CheckpointId], output: Output) -> anyhow::Result<(Vec<Passed>, Timestamp)> {
    // A registry that was unreachable before may be reachable now.
    let home = home.anew();
    let passed = sealed.iter().map(|checkpoint| gate::pass(&home, checkpoint, output));
    let passed = passed.collect::<anyhow::Result<Vec<_>>>()?;
    let now = Timestamp::now();
    let due = passed.iter().map(|passed| {
        let lease = &passed.pass.lease;
        // Without a new lease, try again, more often towards the end.
        lease.renewal_due().max(now.plus_seconds(lease.expires.seconds_since(now) / 10))
    });
    let due = due.min().unwrap_or(now);
    Ok((passed, due))
}

impl Ledger for Records {
    fn begin(&mut self, prompt: &Prompt<'_>) -> Result<OpenRecord, Denial> {
        self.take_renewed().map_err(|error| denied(&error))?;
        let (justification, parameters) = (self.justification.clone(), prompt.parameters.clone());
        let prompt = Prompt { justification, parameters, ..*prompt };
        let record = self.recorders.begin(&prompt, Timestamp::now());
        if let (Err(client::Error::PassOver { .. }), Some(renewal)) = (&record, &self.renewal) {
            renewal.hurry();
        }
        record.map(|(record, _)| record).map_err(|error| denied(&error.into()))
    }

    fn append(&mut self, record: &OpenRecord, text: &str, tokens: usize) -> Result<(), Denial> {
        self.recorders.append(record, text, tokens).map_err(|error| denied(&error.into()))
    }

    fn end(&mut self, record: OpenRecord, outcome: &Outcome<'_>) -> Result<(), Denial> {
        let recorded = self.recorders.end(record, outcome, Timestamp::now());
        recorded.map(drop).map_err(|error| denied(&error.into()))
    }
}

/// The refusal for a client. Paths of this machine and advice for its command line go to the log only.
fn denied(error: &anyhow::Error) -> Denial {
    let (kind, next) = advice::explain(error);
    let by_rule = matches!(kind, Kind::Denied);
    let message = match error.downcast_ref().and_then(next_step) {
        Some(next) => format!("{error:#}; next: {next}"),
        None => {
            tracing::error!(next, "{error:#}");
            let why = if by_rule {
                "permission denied by a rule"
            } else {
                "the usage record cannot be written, and nothing is generated without one"
            };
            format!("{why}; next: ask the operator of this endpoint, whose log has the reason")
        }
    };
    Denial { by_rule, message }
}

/// The advice for a refusal whose reason the client may read.
fn next_step(error: &client::Error) -> Option<&'static str> {
    use client::Error as E;
    match error {
        E::Blocked { .. } => Some("the attempt is recorded; if the rule is wrong, write to the auditors"),
        E::NeedsJustification { .. } => {
            Some("the attempt is recorded; the operator can start the endpoint with --justify")
        }
        E::PassOver { .. } => {
            Some("try again later: the endpoint requests a new lease when the registry is reachable")
        }
        E::Usage(usage::Error::OverLimit { .. }) => Some("request fewer tokens, or wait"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn clients_see_the_rule_and_nothing_of_this_machine() {
        let blocked = client::Error::Blocked { rule: "spam".to_owned(), reason: "asks for spam".to_owned() };
        let refusal = denied(&blocked.into());
        assert!(refusal.by_rule && refusal.message.contains("`spam` blocks it"), "{}", refusal.message);
        let path = PathBuf::from("/home/rosa/usage");
        let full = client::Error::Io { action: "write", path, source: std::io::Error::other("full") };
        let refusal = denied(&full.into());
        assert!(!refusal.by_rule && !refusal.message.contains("rosa"), "{}", refusal.message);
    }
}
