//! What makes a run faster, and what it says of its price: `--quantize`, `--draft`, `--lookup`, `--samples`, `bench`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::support::people::{ID, Scene};
use crate::support::*;
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_draft_and_a_lookup_leave_every_text_as_it_was() {
    let folder = workplace();
    succeed(folder.path(), "demo --dir demo --quiet --json");
    let xl = "demo/checkpoints/demo-xl";
    for how in ["-t 0 --seed 1", "--seed 5", "--seed 5 --top-k 0 -t 1.3", "--seed 9 --samples 5 --top-p 0.8"]
    {
        let texts = |more: &str| {
            let said = json(&succeed(folder.path(), &format!("--json run {xl} In {how} -n 60 {more}")));
            let samples = said["samples"].as_array().unwrap().iter();
            samples.map(|sample| (sample["seed"].clone(), sample["tokens"].clone())).collect::<Vec<_>>()
        };
        let plain = texts("");
        assert_eq!(texts("--draft demo/checkpoints/demo-small"), plain, "{how}");
        assert_eq!(texts("--lookup"), plain, "{how}");
    }
    // Texts that are written together are shown one after another, as they always were.
    let together = succeed(folder.path(), &format!("run {xl} In --seed 9 --samples 3 -n 12"));
    let mut apart = String::new();
    for i in 0..3 {
        apart += &format!("--- {} of 3, seed {}\n", i + 1, 9 + i);
        apart += &succeed(folder.path(), &format!("run {xl} In --seed {} -n 12", 9 + i));
    }
    assert_eq!(together, apart);
}

#[test]
fn a_draft_of_another_family_is_refused() {
    let folder = workplace();
    succeed(folder.path(), "demo --dir demo --quiet --json");
    published(folder.path(), "f32");
    succeed(folder.path(), "import mine source --to imported");
    insta::assert_snapshot!(refuse(folder.path(), "run demo/checkpoints/demo-xl In --draft imported"), @"
    exit 2
    error: mine and demo-xl have different tokenizers
      next: give --draft a smaller checkpoint of the same family
    ");
}

#[test]
fn a_sealed_draft_is_recorded_as_what_it_helps_is() {
    let scene = Scene::released("partners");
    scene.granted();
    scene.succeed("rosa", &format!("run {ID} Hello -n 3 --samples 2 --draft {ID}"));
    let records = scene.json("rosa", "usage show");
    let begins = records.as_array().unwrap().iter().filter(|record| !record["event"]["begin"].is_null());
    assert_eq!(begins.count(), 4, "two texts, each of two checkpoints that are at work");
    assert_eq!(scene.json("rosa", "usage status")["journal"]["open"], 0);
}

#[test]
fn score_says_what_rounding_costs() {
    let folder = workplace();
    succeed(folder.path(), "demo --dir demo --quiet --json");
    let valid = fs::read_to_string(fixture("demo/valid.txt")).unwrap();
    fs::write(folder.path().join("first.txt"), valid.split("<|endoftext|>").next().unwrap()).unwrap();
    let score = |how: &str| {
        json(&succeed(folder.path(), &format!("--json score demo/checkpoints/demo-small first.txt {how}")))
    };
    for (how, max) in [("--quantize q8", 1.005), ("--quantize q4", 1.05)] {
        let said = score(how);
        let ratio = said["unrounded"]["perplexity_ratio"].as_f64().unwrap();
        assert!((0.995..max).contains(&ratio), "{how}: {ratio}");
        assert_eq!(said["unrounded"]["dtype"], "f16");
    }
    assert_eq!(score("--quantize none")["unrounded"], Value::Null);
    let shown = succeed(folder.path(), "score demo/checkpoints/demo-small first.txt --quantize q4");
    assert!(shown.contains("in f16: rounding costs +"), "{shown}");
}

#[test]
fn bench_says_what_to_expect_and_is_recorded_for_sealed_weights() {
    let scene = Scene::released("partners");
    scene.granted();
    let said = scene.json("rosa", &format!("bench {ID} --prompt 16 --tokens 4 --rounds 1 --batch 2"));
    for field in [
        "load_seconds",
        "weight_bytes",
        "prefill_tokens_per_second",
        "decode_tokens_per_second",
        "prefill_share_of_peak",
        "decode_share_of_bandwidth",
        "read_gigabytes_per_second",
        "peak_gigaops_per_second",
    ] {
        assert!(said[field].as_f64().unwrap() > 0.0, "{field}: {said}");
    }
    assert_eq!(said["batches"][0]["texts"], 2);
    let records = scene.json("rosa", "usage show");
    assert_eq!(records[0]["event"]["begin"]["task"], "bench");
    assert_eq!(records[1]["event"]["end"]["tokens"], 0, "nobody reads it: no limit counts it");
    let plain = scene.json("rosa", &format!("bench {ID} --rounds 1 --batch 0"));
    assert_eq!(
        (plain["prompt"].as_u64(), plain["tokens"].as_u64()),
        (Some(64), Some(16)),
        "of a context of 128"
    );
    for endless in ["--batch 100000000", "--rounds 100000000"] {
        let refused = scene.refuse("rosa", &format!("bench {ID} {endless}"));
        assert!(refused.starts_with("exit 2\n") && refused.contains("100000000"), "{refused}");
    }
    insta::assert_snapshot!(scene.refuse("rosa", &format!("bench {ID} --prompt 1000")), @"
    exit 2
    error: the prompt and at least 2 generated tokens must fit the context of 128
      next: change --prompt or --tokens
    ");
    insta::assert_snapshot!(scene.refuse("rosa", "bench --shape gpt-5"), @"
    exit 2
    error: unknown shape `gpt-5`
      next: use gpt2-124m, gpt2-355m, gpt2-774m or gpt2-1.5b
    ");
}

#[test]
fn ctrl_c_leaves_nothing_of_a_bar() {
    // Random weights in the shape of a large model: they are long in coming.
    let line = format!("{} bench --shape gpt2-124m", env!("CARGO_BIN_EXE_portcullis"));
    let mut terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut shown, mut byte) = (Vec::new(), [0]);
    let mut stdout = terminal.stdout.take().unwrap();
    while !shown.ends_with(b"loading weights") {
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&shown));
        shown.extend(byte);
    }
    terminal.stdin.take().unwrap().write_all(b"\x03").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(terminal.wait().unwrap().code(), Some(130), "{rest}");
    // The line is emptied, and nothing is drawn on it any more.
    let left = rest.rsplit("\u{1b}[2K").next().unwrap();
    assert!(rest.contains("\u{1b}[2K") && left.trim().is_empty(), "{rest:?}");
}
