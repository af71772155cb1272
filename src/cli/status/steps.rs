//! What to type next: the first steps of those that make sense now.

use serde::Serialize;

use super::overview::{Overview, OwnRequest, TrustStep};
use crate::cli::registry::short_digest;
use crate::cli::researcher::list::{Offer, OwnGrant};
use crate::time::Timestamp;

/// How long before its end a grant is to be renewed, in seconds.
const RENEWAL: i64 = 7 * 24 * 3600;
/// Most steps that are shown.
const MAX_STEPS: usize = 6;

/// A step, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    pub(super) command: String,
    pub(super) why: String,
}

fn step(command: impl Into<String>, why: impl Into<String>) -> Step {
    Step { command: command.into(), why: why.into() }
}

/// What to type next.
pub(super) fn next_steps(overview: &Overview, now: Timestamp) -> Vec<Step> {
    if overview.you.is_none() {
        return vec![step(
            "portcullis identity new --name \"Your Name\" --organization \"Your Organization\"",
            "creates your keys, which requests, approvals and runs need",
        )];
    }
    let Some(registry) = &overview.registry else {
        return vec![
            step(
                "portcullis join https://registry.example --root 1.root.json",
                "trusts a registry's root once; its owners hand you the file",
            ),
            step("portcullis demo", "shows everything on this machine, without a registry"),
        ];
    };
    let mut steps: Vec<_> = overview.waiting.iter().map(|task| step(&task.command, &task.what)).collect();
    match (registry.trust, &registry.closed) {
        (Some(trust), _) => steps.extend(explain_trust(trust, &registry.place)),
        (None, Some(closed)) => steps.push(step("portcullis catalogue refresh", closed)),
        (None, None) => {}
    }
    for offer in &overview.checkpoints {
        steps.extend(plan_offer(offer, &overview.requests, now));
    }
    if steps.is_empty()
        && overview.offices.is_empty()
        && let Some(offer) = overview.checkpoints.iter().find(|offer| offer.closed.is_none())
    {
        let checkpoint = &offer.checkpoint;
        steps.push(step(
            format!("portcullis request new {checkpoint} --terms"),
            "shows what its stage allows",
        ));
    }
    steps.dedup();
    steps.truncate(MAX_STEPS);
    steps
}

/// How a home comes to trust the catalogue of a registry.
fn explain_trust(trust: TrustStep, place: &str) -> Vec<Step> {
    match trust {
        TrustStep::Found => vec![step(
            format!("portcullis --registry {place} catalogue review"),
            "the catalogue is not founded yet: shows what is proposed; its owners sign it with `catalogue sign`",
        )],
        TrustStep::Join => vec![
            step(
                "portcullis join <invitation>",
                "trusts the registry's root once; a member prints an invitation with `catalogue invite`",
            ),
            step(
                format!("portcullis --registry {place} catalogue root --to 1.root.json"),
                "if you are a founder: writes the root that you signed, to join with and to hand out",
            ),
        ],
    }
}

/// What to do about one checkpoint.
fn plan_offer(offer: &Offer, requests: &[OwnRequest], now: Timestamp) -> Vec<Step> {
    let checkpoint = &offer.checkpoint;
    let mut steps = Vec::new();
    match &offer.grant {
        // Nothing is leased meanwhile; what waits names the case.
        Some(OwnGrant { refused: None, suspended: Some(_), .. }) => {}
        Some(OwnGrant { refused: None, expires, request, .. }) => {
            if offer.pulled.is_none() {
                steps.push(step(
                    format!("portcullis pull {checkpoint}"),
                    "your grant is valid; fetches the weights",
                ));
            } else if offer.leased_until.is_none() {
                steps.push(step(format!("portcullis run {checkpoint} \"…\""), "gets a lease and runs"));
            } else {
                steps.push(step(format!("portcullis run {checkpoint} \"…\""), "ready, also offline"));
            }
            let is_asked = requests.iter().any(|other| {
                other.checkpoint == *checkpoint && other.state == "pending" && other.digest != *request
            });
            if expires.seconds_since(now) < RENEWAL && !is_asked {
                steps.push(step(
                    format!("portcullis request new {checkpoint} --renew {}", short_digest(*request)),
                    format!("your grant ends on {}", expires.date()),
                ));
            }
        }
        grant => {
            let of_this = |request: &&OwnRequest| request.checkpoint == *checkpoint;
            let last = requests.iter().filter(of_this).max_by_key(|request| request.created);
            match (last, grant) {
                (Some(last), _) if last.state == "pending" => steps.push(step(
                    format!("portcullis request show {}", short_digest(last.digest)),
                    format!("your request waits, {}", last.said),
                )),
                (Some(last), _) if last.state == "granted" => steps.push(step(
                    format!("portcullis pull {checkpoint}"),
                    "your request was granted; fetches grant and weights",
                )),
                (_, Some(OwnGrant { request, .. })) if !offer.is_public => steps.push(step(
                    format!("portcullis request new {checkpoint} --renew {}", short_digest(*request)),
                    "your grant is no longer valid",
                )),
                // What was denied or ended before it was public is requested again, unless it was revoked: then the registry refuses.
                _ if offer.is_public => {
                    steps.push(step(
                        format!("portcullis run {checkpoint} \"…\""),
                        "public: requests and pulls automatically",
                    ));
                }
                _ => {}
            }
        }
    }
    steps
}
