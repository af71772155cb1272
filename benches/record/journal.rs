//! What the journal adds to a generation: the record before it, and the one behind it.

use std::path::Path;
use std::time::{Duration, Instant};

use portcullis::digest::Sha256Digest;
use portcullis::identity::{Card, Identity};
use portcullis::misuse::{Rules, Scorer};
use portcullis::policy::UsageMode;
use portcullis::time::Timestamp;
use portcullis::usage::{Begin, End, Journal, JournalPlace, Recipients, Task};

use crate::milliseconds;

const RECORDS: usize = 2000;

pub(crate) fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let person = |seed: u8| -> Identity {
        Identity::new("Rosa".parse().unwrap(), None, &[seed; 32], &[seed; 32], Timestamp::now())
    };
    let (rosa, august) = (person(1), person(2));
    let auditors: [Card; 1] = [august.card().clone()];
    let recipients = Recipients::new(UsageMode::Sealed, &auditors).unwrap();
    let rules =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/misuse.toml")).unwrap();
    let scorer = Scorer::new(Rules::parse(&rules).unwrap()).unwrap();
    let signer = rosa.signer(None).unwrap();
    let prompt =
        "In a shocking finding, scientists discovered a herd of unicorns living in a remote valley. "
            .repeat(4);
    let mut journal = Journal::open(&JournalPlace::in_home(folder.path()), [1; 16]).unwrap();
    journal.keep_live(rosa.card().sealing_key).unwrap();
    let (mut before, mut behind) = (Vec::new(), Vec::new());
    for _ in 0..RECORDS {
        let one = Instant::now();
        let hits = scorer.prompt(&prompt, &["detection".parse().unwrap()].into());
        let begin = Begin {
            task: Task::Run,
            checkpoint: "gpt2-124m".parse().unwrap(),
            grant: Sha256Digest::compute(b"grant"),
            lease: Sha256Digest::compute(b"lease"),
            prompt_tokens: 80,
            max_tokens: 128,
            parameters: None,
            prompt: recipients.keep(&prompt, &mut rand::rng()).unwrap(),
            sketch: None,
            hits: hits.iter().map(|hit| hit.rule.clone()).collect(),
            justification: None,
            blocked: false,
        };
        let begun = journal.begin(begin, Some(u64::MAX), &*signer, Timestamp::now()).unwrap();
        before.push(one.elapsed());
        let one = Instant::now();
        let output = recipients.keep(&prompt, &mut rand::rng()).unwrap();
        let end = End {
            begin: begun.seq,
            tokens: 128,
            finish: portcullis::usage::Finish::Length,
            output,
            hits: Vec::new(),
            explanation: None,
        };
        journal.end(end, &*signer, Timestamp::now()).unwrap();
        behind.push(one.elapsed());
    }
    print(folder.path(), &mut before, &mut behind);
}

fn print(folder: &Path, before: &mut [Duration], behind: &mut [Duration]) {
    let opened = Instant::now();
    Journal::open(&JournalPlace::in_home(folder), [1; 16]).unwrap();
    let opened = opened.elapsed();
    println!("## The journal\n\n| what | p50 ms | p99 ms |\n|---|---|---|");
    for (name, times) in [("before the first token", before), ("behind the last", behind)] {
        times.sort_unstable();
        println!("| {name} | {:.2} | {:.2} |", milliseconds(times, 0.5), milliseconds(times, 0.99));
    }
    println!(
        "\nOpening a journal of {} records that the registry does not have: {:.0} ms\n",
        2 * RECORDS,
        opened.as_secs_f64() * 1000.0
    );
}
