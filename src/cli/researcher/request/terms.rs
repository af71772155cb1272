//! What the stage in force asks of those who want a checkpoint, and what it does with their use of it: read before anybody asks.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::json;

use crate::access::RulesInForce;
use crate::cli::failure::Refusal;
use crate::cli::output::Output;
use crate::cli::units;
use crate::digest::Sha256Digest;
use crate::policy::{AffiliationProof, Audience, BoardName, Stage, UsageMode};

/// Days for which is asked where a request names none.
pub(super) const DEFAULT_DAYS: u32 = 30;

/// Prints the terms of the stage in force.
pub(super) fn print(rules: &RulesInForce, agreement: Option<&str>, output: Output) -> anyhow::Result<()> {
    let stage = stage(rules)?;
    let uses: BTreeSet<String> = stage.uses.iter().map(ToString::to_string).collect();
    let value = json!({
        "checkpoint": rules.checkpoint, "stage": rules.stage, "audience": stage.audience, "uses": uses,
        "max_days": stage.limits.max_days, "default_days": DEFAULT_DAYS, "approvals": stage.approvals,
        "tokens_per_day": stage.limits.tokens_per_day, "usage": stage.limits.usage,
        "lease_hours": rules.lease_hours(&rules.stage), "policy_expires": rules.policy.expires,
        "policy_version": rules.policy.version, "keeps_grants_from": rules.policy.keeps_grants_from,
        "agreement": agreement, "agreement_digest": agreement.map(|text| Sha256Digest::compute(text.as_bytes())),
    });
    output.result(&value, words(rules, agreement)?)
}

/// The same in words.
pub(super) fn words(rules: &RulesInForce, agreement: Option<&str>) -> anyhow::Result<String> {
    let stage = stage(rules)?;
    let mut text = format!("{} is in stage `{}`\n", rules.checkpoint, rules.stage);
    for (name, value) in rows(stage, rules) {
        writeln!(text, "  {name:12} {value}")?;
    }
    if let Some(agreement) = agreement {
        let agreement = agreement.trim_end();
        write!(text, "\nThe agreement, which --accept-agreement accepts:\n\n{agreement}\n")?;
    }
    Ok(text)
}

/// The agreement that the stage in force asks for; a file that lies there for other stages is none.
pub(super) fn agreement_of(rules: &RulesInForce) -> Option<Sha256Digest> {
    let stage = rules.policy.stage(&rules.stage)?;
    rules.agreement.filter(|_| stage.agreement.is_some())
}

/// The rules of the stage in force. A policy that lacks it is the board's mistake, and lets nobody ask.
fn stage(rules: &RulesInForce) -> Result<&Stage, Refusal> {
    rules.policy.stage(&rules.stage).ok_or_else(|| {
        let checkpoint = &rules.checkpoint;
        let message = format!(
            "{checkpoint} is in stage `{}`, which its policy (version {}) does not have: nobody can ask for it",
            rules.stage, rules.policy.version
        );
        let next = format!(
            "tell {}: `portcullis catalogue propose {checkpoint} --stage <name>` names a stage that it has",
            rules.contacts
        );
        Refusal::denied(message, next)
    })
}

fn rows(stage: &Stage, rules: &RulesInForce) -> Vec<(&'static str, String)> {
    let listed = |items: Vec<String>| if items.is_empty() { "any".to_owned() } else { items.join(", ") };
    let mut rows = vec![
        ("for", audience(&stage.audience)),
        ("uses", listed(stage.uses.iter().map(ToString::to_string).collect())),
        ("days", days(stage.limits.max_days)),
        ("approvals", approvals(stage, rules)),
        ("lease", format!("{} hours, renewed while the grant holds", rules.lease_hours(&rules.stage))),
    ];
    rows.extend(
        stage.limits.tokens_per_day.map(|count| ("tokens", format!("{} a day", units::count(count)))),
    );
    rows.push(("recorded", recorded(stage.limits.usage).to_owned()));
    let policy = &rules.policy;
    rows.push(("policy", format!("version {}, which ends on {}", policy.version, policy.expires.date())));
    if policy.keeps_grants() {
        let from = policy.keeps_grants_from;
        rows.push((
            "earlier",
            format!("grants made under version {from} or later go on, if it permits them"),
        ));
    } else if policy.version > 1 {
        rows.push(("earlier", "grants made under an earlier version have ended".to_owned()));
    }
    rows
}

fn audience(audience: &Audience) -> String {
    match audience {
        Audience::Anyone => "anyone".to_owned(),
        Audience::Named { organizations, people, affiliation } => {
            let by = match affiliation {
                AffiliationProof::Unconfirmed => "",
                AffiliationProof::Confirmed => ", confirmed by its registrars",
            };
            let organizations = organizations.iter().map(|name| format!("people of {}{by}", name.as_str()));
            let people = people.iter().map(|person| format!("the person {person}"));
            organizations.chain(people).collect::<Vec<_>>().join("; ")
        }
    }
}

fn days(max: Option<u32>) -> String {
    match max {
        None => format!("as many as you ask for with --days; {DEFAULT_DAYS} if you name none"),
        Some(max) if max < DEFAULT_DAYS => format!("at most {max}: name them with --days"),
        Some(max) => format!("at most {max}; {DEFAULT_DAYS} if you name none"),
    }
}

fn approvals(stage: &Stage, rules: &RulesInForce) -> String {
    let demands = stage.demands(rules.terms().board_threshold);
    let approvals = demands.iter().map(|(board, demand)| {
        let board = if board == BoardName::own() { "the board" } else { board.as_str() };
        format!("{} of {board}", demand.need)
    });
    let approvals: Vec<_> = approvals.collect();
    if approvals.is_empty() { "none: the registry answers".to_owned() } else { approvals.join(", ") }
}

fn recorded(usage: UsageMode) -> &'static str {
    match usage {
        UsageMode::Sealed => "every use; prompts and outputs are sealed to the auditors, who can read them",
        UsageMode::Digest => "every use, with digests of prompts and outputs, not their text",
        UsageMode::Counts => "every use, with numbers of tokens only",
    }
}
