//! What a draft does to the grants that stand: for `policy simulate --grants` and for those who review it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::counted;
use crate::access::{self, Grant, Outlook, RulesInForce};
use crate::cli::failure::Refusal;
use crate::cli::files;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::people;
use crate::cli::registry;
use crate::digest::Sha256Digest;
use crate::policy::{Policy, StageName};
use crate::statement::verify_card;
use crate::time::Timestamp;

/// What would come into force together; what is left out stays as it is.
#[derive(Debug, Default)]
pub(in crate::cli) struct Proposed<'a> {
    /// The policy's text.
    pub(in crate::cli) policy: &'a str,
    pub(in crate::cli) agreement: Option<Sha256Digest>,
    pub(in crate::cli) manifest: Option<Sha256Digest>,
    pub(in crate::cli) stage: Option<StageName>,
}

/// The grants that stand, each with what becomes of it under a draft.
pub(in crate::cli) struct Grants {
    outlooks: Vec<Outlook>,
    checkpoint: String,
}

impl Grants {
    /// Reads every grant of the draft's checkpoint, which those who decide on it and auditors may.
    pub(in crate::cli) fn under(proposed: Proposed<'_>, home: &Home, output: Output) -> anyhow::Result<Self> {
        let draft = Policy::parse(proposed.policy)?;
        let catalogue = registry::catalogue(home, output)?;
        let rules = catalogue.rules_in_force(&draft.checkpoint)?;
        let reader = verify_card(&files::envelope(&home.card_path())?)?.verifying_key;
        let auditors = rules.auditors.iter().flat_map(|auditors| auditors.keys());
        if !rules.deciders().keys().iter().chain(auditors).any(|key| *key == reader) {
            let message = format!(
                "you are on no board that decides on {}, so its grants are not yours to read",
                rules.checkpoint
            );
            return Err(Refusal::denied(
                message,
                "ask one of its members: `portcullis catalogue status` names them",
            )
            .into());
        }
        let statements = registry::statements(home, output)?;
        let grants = statements.merged("grant")?;
        let revocations = registry::revocations(&*statements)?;
        let claims = grants.iter().filter_map(|found| found.envelope.claim::<Grant>().ok());
        let of_checkpoint = claims.filter(|claim| claim.predicate.checkpoint == rules.checkpoint);
        let cards: BTreeMap<_, _> = of_checkpoint
            .map(|claim| (claim.predicate.researcher.verifying_key, claim.predicate.researcher))
            .collect();
        let affiliations = people::affiliations(&*statements, cards.values(), &rules)?;
        let drafted = RulesInForce {
            boards: catalogue.boards_of(&draft, &rules.board),
            policy: draft,
            policy_digest: Sha256Digest::compute(proposed.policy.as_bytes()),
            agreement: proposed.agreement.or(rules.agreement),
            manifest: proposed.manifest.unwrap_or(rules.manifest),
            stage: proposed.stage.unwrap_or_else(|| rules.stage.clone()),
            ..rules.clone()
        };
        let standing = (&grants[..], &revocations[..]);
        let outlooks = access::outlook(standing, (&rules, &affiliations), &drafted, Timestamp::now());
        Ok(Self { outlooks, checkpoint: rules.checkpoint.to_string() })
    }

    /// How many end, and whose, and how many go on, in one line.
    pub(in crate::cli) fn summary(&self) -> String {
        let ending: Vec<_> = self.outlooks.iter().filter(|outlook| !outlook.kept).collect();
        let kept = match self.outlooks.len() - ending.len() {
            0 => String::new(),
            kept => format!("keeps {}, ", counted(kept, "grant")),
        };
        if ending.is_empty() {
            return format!("{kept}ends {}", if kept.is_empty() { "no grant" } else { "none" });
        }
        let people: Vec<_> = ending.iter().map(|outlook| person(outlook)).collect();
        let verb = if ending.len() == 1 { "has" } else { "have" };
        format!(
            "{kept}ends {}, which {verb} to be asked for again: {}",
            counted(ending.len(), "grant"),
            people.join(", ")
        )
    }

    /// Each grant, in words.
    pub(in crate::cli) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        for outlook in &self.outlooks {
            let short = registry::short_digest(outlook.grant);
            let fate = if outlook.kept { "kept" } else { "ends" };
            writeln!(
                text,
                "{short}  {}, stage {}, until {}: {fate}: {}",
                person(outlook),
                outlook.stage,
                outlook.expires.date(),
                outlook.rule
            )?;
            if !outlook.kept {
                let again = match outlook.objections.as_slice() {
                    [] => "asked for again, the draft permits it".to_owned(),
                    objections => format!("asked for again, the draft refuses it: {}", objections.join("; ")),
                };
                writeln!(text, "   {again}")?;
            }
        }
        let kept = self.outlooks.iter().filter(|outlook| outlook.kept).count();
        let (all, end) = (counted(self.outlooks.len(), "grant"), self.outlooks.len() - kept);
        writeln!(text, "of {all} for {}: {kept} kept, {end} ending", self.checkpoint)?;
        Ok(text)
    }

    /// The same for programs.
    pub(in crate::cli) fn json(&self) -> Value {
        let kept = self.outlooks.iter().filter(|outlook| outlook.kept).count();
        json!({ "grants": self.outlooks, "kept": kept, "end": self.outlooks.len() - kept })
    }
}

fn person(outlook: &Outlook) -> String {
    format!("{} (key {})", outlook.person, outlook.key_id.short())
}
