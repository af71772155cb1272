//! `portcullis handover`.

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::access::{Handover, handover_context};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::cli::signing::{Consent, Papers, Signatory};
use crate::name::CheckpointId;
use crate::seal::reseal_share;
use crate::statement::{Statement, Subject};
use crate::time::Timestamp;

/// Hand your share of a public checkpoint's key to the registry; the log records it
#[derive(Debug, Args)]
pub(in crate::cli) struct HandoverCommand {
    /// The checkpoint; its stage must need no approvals
    checkpoint: CheckpointId,

    #[command(flatten)]
    consent: Consent,
}

impl HandoverCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        let rules = catalogue.rules_in_force(&self.checkpoint)?;
        let needs_approval = rules.policy.stage(&rules.stage).is_none_or(|stage| !stage.approvals.is_empty());
        if needs_approval {
            let message = format!(
                "{} is in stage `{}`, where the board approves each request",
                rules.checkpoint, rules.stage
            );
            let hint = "hand over shares after the board moves it to a stage without approvals";
            return Err(Refusal::denied(message, hint).into());
        }
        let signatory = Signatory::open(home, output)?;
        let own = signatory.key().id();
        let locks = registry::locks(home, &rules, output)?;
        let share = locks
            .shares
            .open_share(&locks.manifest, own, signatory.opening_key())
            .with_context(|| format!("cannot open your share of {}", self.checkpoint))?;
        let registry = catalogue.registry().keys().first().context("the catalogue names no registry")?;
        let card = catalogue.card(registry)?;
        let context = handover_context(rules.manifest, rules.policy_digest, &rules.stage);
        let handover = Handover {
            policy: rules.policy_digest,
            stage: rules.stage.clone(),
            share: reseal_share(&share, &card.sealing_key, context, &mut rand::rng())?,
            created: Timestamp::now(),
        };
        let subject = Subject { name: self.checkpoint.to_string(), digest: rules.manifest };
        let mut papers = Papers::new(format!("hand your share of {} to the registry", self.checkpoint));
        papers.line("registry", format!("{}, key {}", card.name, card.verifying_key.id()));
        let needed = locks.manifest.seal.board.threshold;
        papers.line("opens", format!("{}, once {needed} members have handed over theirs", self.checkpoint));
        papers.add::<Handover>(Statement::new(rules.catalogue, subject, handover).to_envelope()?)?;
        let envelope = signatory.sign_one(papers, &self.consent)?;
        registry::statements(home, output)?.put("handover", &envelope, &signatory.key())?;
        let text = format!(
            "handed your share of {} to the registry for stage `{}`; {} shares are needed\n",
            self.checkpoint, rules.stage, needed,
        );
        output.result(&json!({ "checkpoint": self.checkpoint, "stage": rules.stage }), text)
    }
}
