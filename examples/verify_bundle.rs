//! Verifies an audit bundle offline: the log's tree and head, every signature, and each decision by the rules that were in force at the
//! time.
//!
//! ```text
//! portcullis audit bundle --to 2026.jsonl                                  # by an auditor, once
//! cargo run --release --example verify_bundle -- 2026.jsonl 1.root.json    # by anybody, years later
//! cargo run --release --example verify_bundle -- 2026.jsonl 1.root.json witness.example/1+…
//! ```
//!
//! The only thing that it trusts is the first root, `1.root.json`, which must come by another way than the bundle. With witnesses, all
//! of them must have cosigned the log's head. Ends with exit code 1 if something does not verify.
#![expect(clippy::print_stdout, reason = "an example prints what it finds")]

use std::fs::{self, File};
use std::io::BufReader;
use std::process::ExitCode;

use anyhow::Context as _;
use portcullis::catalogue::Client;
use portcullis::log::{WitnessKey, WitnessRule};
use portcullis::report::{BundleReader, Depth, audit};

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let bundle = arguments.next().context("give a bundle")?;
    let root = arguments.next().context("give the catalogue's 1.root.json")?;
    let witnesses: Vec<WitnessKey> = arguments.map(|key| key.parse()).collect::<Result<_, _>>()?;
    let rule = WitnessRule { need: witnesses.len(), witnesses };

    let root = fs::read(&root).with_context(|| format!("cannot read {root}"))?;
    let catalogue = Client::founded_by(&root)?;
    let file = File::open(&bundle).with_context(|| format!("cannot read {bundle}"))?;
    let mut reader = BundleReader::open(BufReader::new(file))?;
    let (verification, facts) = audit(&mut reader, Some(catalogue.digest()), &rule, Depth::Everything)?;

    println!("{}: {} entries, root {}", verification.log, verification.entries, verification.root);
    println!("{} grants, {} cases", facts.grants.len(), facts.cases.len());
    verification.proved.iter().for_each(|what| println!("proved: {what}"));
    verification.unproved.iter().for_each(|what| println!("not proved: {what}"));
    verification.findings.iter().for_each(|finding| println!("wrong: {}", finding.what));
    Ok(if verification.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
