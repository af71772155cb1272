//! `portcullis policy show`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::read;
use crate::cli::output::Output;
use crate::cli::units;
use crate::policy::{AffiliationProof, Audience, Policy, Stage};

/// Show policies in readable form: each stage, its audience, its terms and its requirements
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// The policies
    #[arg(required = true, value_name = "FILE")]
    policies: Vec<PathBuf>,
}

impl Show {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        let policies = self.policies.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
        let cards: Vec<_> = policies.iter().map(card).collect::<Result<_, _>>()?;
        output.result(&json!({ "policies": policies }), cards.join("\n"))
    }
}

fn card(policy: &Policy) -> Result<String, std::fmt::Error> {
    let Policy { checkpoint, version, expires, keeps_grants_from, .. } = policy;
    let mut card = format!("{checkpoint}, policy version {version}, until {expires}\n");
    if policy.keeps_grants() {
        writeln!(card, "keeps grants made under version {keeps_grants_from} or later, if it permits them")?;
    } else if *version > 1 {
        writeln!(card, "ends every grant made before it")?;
    }
    for (number, stage) in (1..).zip(&policy.stages) {
        writeln!(card, "\n  {number}. {}", stage.name)?;
        for (label, value) in rows(stage) {
            writeln!(card, "     {label:<10}  {value}")?;
        }
    }
    Ok(card)
}

fn rows(stage: &Stage) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if stage.requires.soak_days > 0 {
        rows.push(("after", format!("{} days in the stage before", stage.requires.soak_days)));
    }
    rows.extend(stage.requires.evidence.iter().map(|bound| ("evidence", bound.to_string())));
    match &stage.audience {
        Audience::Anyone => rows.push(("for", "anyone".to_owned())),
        Audience::Named { organizations, people, affiliation } => {
            rows.extend(organizations.iter().map(|name| ("for", name.as_str().to_owned())));
            rows.extend(people.iter().map(|person| ("for", format!("the person {person}"))));
            if *affiliation == AffiliationProof::Confirmed {
                rows.push(("who", "confirmed by a registrar of the organization".to_owned()));
            }
        }
    }
    let limits = stage.limits;
    if stage.is_public() {
        rows.push(("approvals", "none: the weights are public".to_owned()));
    } else {
        let count = stage.approvals.iter().map(|(board, count)| format!("{count} of {board}"));
        let count = count.collect::<Vec<_>>().join(", ");
        let approvals = if count.is_empty() { "none: the registry grants".to_owned() } else { count };
        rows.push(("approvals", approvals));
        rows.push(("uses", stage.uses.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(", ")));
    }
    rows.extend(stage.agreement.iter().map(|name| ("agreement", name.to_string())));
    let days = limits.max_days.map(|days| format!("at most {days} days"));
    let hours = limits.lease_hours.map(|hours| format!("leases of {hours} hours"));
    let tokens = limits.tokens_per_day.map(|tokens| format!("{} tokens a day", units::count(tokens)));
    let terms: Vec<_> = [days, hours, tokens].into_iter().flatten().collect();
    if !terms.is_empty() {
        rows.push(("limits", terms.join(", ")));
    }
    rows.push(("usage", limits.usage.as_str().to_owned()));
    // A label stands at the first of its rows.
    let mut last = "";
    for (label, _) in &mut rows {
        if *label == last {
            *label = "";
        } else {
            last = label;
        }
    }
    rows
}
