//! Decides applications by a policy, and says what each rule answered.
//!
//! ```text
//! cargo run --example decide_policy -- policies/gpt2-1.5b.toml partners policies/agreements/partners.md < applications.jsonl
//! ```
//!
//! The last argument is the agreement in force, if the stage names one. Standard input has one application as JSON on each line, as
//! `portcullis policy simulate` takes them (this one is broken in two to fit). `person` is an Ed25519 key and `agreement` a SHA-256, of
//! 64 digits each:
//!
//! ```json
//! {"checkpoint": "gpt2-1.5b", "person": "0707…", "organization": "University of Oregon", "confirmed_until": "2027-06-30T00:00:00Z",
//!  "uses": ["detection"], "days": 90, "agreement": "5d0c…", "approvals": {"board": 2}}
//! ```
//!
//! `decide` reads no clock and verifies nothing: the caller answers for what goes in. The registry, clients and audits verify the
//! signatures first, and count approvals by distinct keys.
#![expect(clippy::print_stdout, reason = "an example prints what it finds")]

use std::fs;
use std::io;

use anyhow::Context as _;
use portcullis::digest::Sha256Digest;
use portcullis::policy::{Policy, StageName, Terms, decide, read_applications};
use portcullis::time::Timestamp;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("give a policy's file")?;
    let stage: StageName = arguments.next().context("give a stage")?.parse()?;
    let policy = Policy::parse(&fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?)?;
    let agreement = arguments.next().map(fs::read).transpose().context("cannot read the agreement")?;
    // A catalogue names these outside the policy: the agreement in force, and the board's own threshold.
    let terms = Terms { agreement: agreement.map(|text| Sha256Digest::compute(&text)), board_threshold: None };
    for application in read_applications(&io::read_to_string(io::stdin())?)? {
        let decision = decide(&policy, &stage, &application, terms, Timestamp::now());
        println!("{}: {:?}", application.person, decision.verdict());
        for outcome in decision.rules() {
            println!("  {:<28} {:?}: {outcome}", outcome.rule.as_str(), outcome.verdict);
        }
    }
    Ok(())
}
