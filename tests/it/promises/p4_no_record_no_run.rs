//! P4: local generation starts only after its usage record is durable on the disk.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::support::endpoint::Endpoint;
use crate::support::people::{ID, Scene};
use crate::support::{portcullis, text};
use serde_json::{Value, json};

fn granted() -> Scene {
    let scene = Scene::released("partners");
    scene.granted();
    scene
}

#[test]
fn p4_a_journal_that_cannot_be_written_stops_generation_and_says_so() {
    let scene = granted();
    fs::create_dir_all(scene.at("homes/rosa/usage")).unwrap();
    // A disk without space, as the kernel plays it.
    symlink("/dev/full", scene.at("homes/rosa/usage/journal.jsonl")).unwrap();
    let refused = scene.run("rosa", &format!("run {ID} Hello -n 4"));
    assert_eq!(text(&refused.stdout), "", "not one token without a record");
    insta::assert_snapshot!(scene.stable(&crate::support::failure(&refused)), @"
    exit 5
    error: cannot write the usage journal <scene>/homes/rosa/usage/journal.jsonl; nothing runs without a record: No space left on device (os error 28)
      next: free some space and run the same command again: it goes on where it stopped
    ");
}

#[test]
fn p4_the_record_is_on_the_disk_before_the_first_token_is_seen() {
    let scene = granted();
    for round in 0..5 {
        let mut child = portcullis()
            .current_dir(scene.path())
            .args(["--home", "homes/rosa", "run", ID, "Hello", "-n", "100000", "--ignore-eos"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut byte = [0];
        child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
        // The power goes with the first byte.
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(begins(&scene), round + 1, "round {round}");
    }
    let status: Value = scene.json("rosa", "usage status");
    // A text may have been finished before the power went; what was begun is never lost.
    assert!(status["journal"]["open"].as_u64().is_some_and(|open| open <= 5), "{status}");
    // It goes on from there.
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    assert_eq!(begins(&scene), 6);
}

#[test]
fn p4_every_text_of_the_endpoint_is_on_the_disk_before_its_first_token_is_sent() {
    let scene = granted();
    for round in 0..3 {
        let endpoint = Endpoint::start(scene.path(), &format!("--home homes/rosa serve {ID}"), &[]);
        let body = json!({ "model": ID, "prompt": "Hello", "max_tokens": 100, "stream": true });
        endpoint.block_on(async {
            let mut response = endpoint.post(&body).send().await.unwrap();
            assert!(response.chunk().await.unwrap().is_some());
        });
        // The power goes with the first token.
        endpoint.kill();
        assert_eq!(begins(&scene), round + 1, "round {round}");
    }
    let endpoint = Endpoint::start(scene.path(), &format!("--home homes/rosa serve {ID}"), &[]);
    endpoint.complete(json!({ "prompt": ["a", "b"], "n": 2, "max_tokens": 3 }));
    assert!(endpoint.stop());
    assert_eq!(begins(&scene), 3 + 4, "each text has a record of its own");
}

#[test]
fn p4_an_endpoint_whose_journal_cannot_be_written_writes_nothing() {
    let scene = granted();
    fs::create_dir_all(scene.at("homes/rosa/usage")).unwrap();
    symlink("/dev/full", scene.at("homes/rosa/usage/journal.jsonl")).unwrap();
    let endpoint = Endpoint::start(scene.path(), &format!("--home homes/rosa serve {ID}"), &[]);
    let said = endpoint.refuse(json!({ "prompt": "Hello", "max_tokens": 3 }));
    assert_eq!(endpoint.refuse(json!({ "prompt": "Hello", "max_tokens": 3, "stream": true })), said);
    insta::assert_snapshot!(scene.stable(&said), @r#"503 "server_error" null null: "the usage record cannot be written, and nothing is generated without one; next: ask the operator of this endpoint, whose log has the reason""#);
}

/// How many generations the journal says were begun.
fn begins(scene: &Scene) -> usize {
    let records = scene.json("rosa", "usage show");
    records.as_array().unwrap().iter().filter(|record| !record["event"]["begin"].is_null()).count()
}

#[test]
fn p4_a_score_is_recorded_too() {
    let scene = granted();
    scene.write("text.txt", "Hello, world");
    scene.succeed("rosa", &format!("score {ID} text.txt"));
    let shown = scene.succeed("rosa", "usage show");
    assert!(shown.contains("scored"), "{shown}");
}
