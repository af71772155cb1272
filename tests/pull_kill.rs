//! Pulling, killed at random: what is left is right, and the next run goes on from there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/hostile_server.rs"]
mod hostile_server;
#[path = "support/pulling.rs"]
mod pulling;
mod support;

use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use hostile_server::{Act, Server};
use pulling::{Ground, honest};
use rand::RngExt as _;
use support::people::ID;

/// How often a pull is killed, in all.
const KILLS: usize = 200;
/// Bytes of the largest chunk.
const CHUNK: u64 = 65_552;

fn start(ground: &Ground, url: &str, workers: u64) -> Child {
    let home = ground.scene.at("homes/rosa");
    support::portcullis()
        .current_dir(ground.scene.path())
        .arg("--home")
        .arg(home)
        .args(["pull", ID, "--mirror", url, "--parallel", &workers.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_pull_that_is_killed_goes_on_from_there() {
    let ground = Ground::new();
    // Slow enough to be met in the middle of a chunk.
    let server = Server::scripted(|_, _| Act::Slow(8_000, Duration::from_millis(3)));
    ground.publish(&server.site);
    let vault = ground.scene.at("homes/rosa/vault");
    let workers = 3;
    let mut met = 0;
    while met < KILLS {
        drop(std::fs::remove_dir_all(&vault));
        server.site.forget();
        let mut kills = 0;
        loop {
            let mut child = start(&ground, &server.url(), workers);
            thread::sleep(Duration::from_millis(rand::rng().random_range(1..90)));
            if child.try_wait().unwrap().is_some() {
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success(), "{}", support::text(&output.stderr));
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(ground.is_honest(&vault), "a chunk's name holds something else after a kill");
            kills += 1;
        }
        assert!(ground.is_whole(&vault), "exit code 0, and it is not whole");
        // At most one chunk a worker is fetched again for each kill.
        let sent = server.site.body_bytes.load(Ordering::SeqCst);
        let allowed = ground.size() + kills as u64 * workers * CHUNK;
        assert!(sent <= allowed, "{sent} bytes were sent in {kills} kills, {allowed} are allowed");
        met += kills;
    }
}

#[test]
fn two_pulls_at_once_do_not_disturb_each_other() {
    let ground = Ground::new();
    let server = Server::scripted(|_, _| Act::Slow(8_000, Duration::from_millis(3)));
    ground.publish(&server.site);
    let children = [start(&ground, &server.url(), 2), start(&ground, &server.url(), 2)];
    let outputs = children.map(|child| child.wait_with_output().unwrap());
    let (good, bad): (Vec<_>, Vec<_>) = outputs.iter().partition(|output| output.status.success());
    assert!(!good.is_empty());
    for output in bad {
        insta::allow_duplicates! {
            let said = support::failure(output).replace(&ground.rules.manifest.to_string(), "<digest>");
            insta::assert_snapshot!(ground.scene.stable(&said), @"
            exit 5
            error: another pull into <scene>/homes/rosa/vault/sealed/tiny/<digest> is running
              next: wait until it ends
            ");
        }
    }
    assert!(ground.is_whole(&ground.scene.at("homes/rosa/vault")));
}

#[test]
fn a_disk_that_cannot_hold_it_is_refused_first_and_one_that_fills_up_keeps_what_is_there() {
    let ground = Ground::new();
    let server = honest(&ground);
    std::fs::create_dir_all(ground.scene.at("homes/rosa/vault")).unwrap();
    // A disk of its own for the vault, too small at first; then it grows.
    let script = "mount -t tmpfs -o size=100k v homes/rosa/vault && \
        { $0 --home homes/rosa pull tiny --mirror $1; echo \"exit $?\" >&2; \
          mount -o remount,size=5m homes/rosa/vault && $0 --home homes/rosa pull tiny --mirror $1; }";
    let output = Command::new("unshare")
        .args(support::namespace())
        .args(["sh", "-c", script, env!("CARGO_BIN_EXE_portcullis"), &server.url()])
        .current_dir(ground.scene.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", support::text(&output.stderr));
    let said = regex::Regex::new(r"\d+ bytes|\d+ are").unwrap();
    let said = said.replace_all(&support::text(&output.stderr), "<count>").into_owned();
    insta::assert_snapshot!(ground.scene.stable(&said), @"
    error: <count> are needed in homes/rosa/vault/sealed/tiny/<digest>, and <count> free
      next: free some space and run the same command again
    exit 5
    ");
}
