//! P6: `kill -9` at random instants of sealing and of opening to a folder; what is resumed ends with the same digests.
//!
//! The processes that are killed are this test program itself, told by a variable of the environment what to do.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::sealing::*;
use crate::support::workplace;
use portcullis::progress::NoProgress;
use rand::RngExt as _;

const TASK: &str = "PORTCULLIS_TEST_TASK";
const FOLDER: &str = "PORTCULLIS_TEST_FOLDER";
/// Kills of each kind, all of which must have met a living process.
const KILLS: usize = 110;

/// What a killed process was doing; does nothing when the tests are run.
#[test]
fn worker() {
    let (Ok(task), Some(folder)) = (env::var(TASK), env::var_os(FOLDER).map(PathBuf::from)) else {
        return;
    };
    let holders = Holders::new(2, 3);
    let (imported, destination) = (folder.join("imported"), folder.join("destination"));
    match task.as_str() {
        // The same seed makes the same keys, so that every run that ends must end with the same bytes.
        "seal" => {
            let done = holders.seal(&imported, &destination, 1).unwrap();
            fs::write(folder.join("resumed"), done.resumed_bytes.to_string()).unwrap();
        }
        _ => {
            let opened = holders.open(&folder.join("sealed"), &[0, 2]).unwrap();
            opened.unseal_to(&destination, &NoProgress).unwrap();
        }
    }
}

fn start(task: &str, folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["worker", "--exact", "--nocapture"])
        .envs([(TASK, task.as_ref()), (FOLDER, folder.as_os_str())])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs to the end. How long it took.
fn finish(task: &str, folder: &Path) -> Duration {
    let started = Instant::now();
    let output = start(task, folder).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", crate::support::text(&output.stderr));
    started.elapsed()
}

/// Starts and kills at a random instant, until one run ends by itself. How many kills met a living process.
fn kill_until_done(task: &str, folder: &Path, whole: Duration) -> usize {
    let mut kills = 0;
    // Some runs are cut off again and again, some only once.
    for _ in 0..rand::rng().random_range(1..6) {
        let mut child = start(task, folder);
        thread::sleep(whole.mul_f64(rand::rng().random_range(0.05..1.0)));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        kills += usize::from(!status.success());
        // No folder, or a whole one.
        let destination = folder.join("destination");
        assert!(!destination.exists() || destination.join("manifest.json").exists());
    }
    finish(task, folder);
    assert!(!folder.join("destination.partial").exists(), "nothing is left over");
    kills
}

#[test]
fn a_seal_that_is_killed_and_resumed_ends_with_the_same_digests() {
    let folder = workplace();
    medium(folder.path());
    let destination = folder.path().join("destination");
    let whole = finish("seal", folder.path()).min(finish_again("seal", folder.path()));
    let manifest = digests(&destination)["manifest.json"];
    let chunks = digests(&destination.join("chunks"));
    assert!(chunks.len() > 40);
    let (mut kills, mut resumed) = (0, 0);
    while kills < KILLS {
        fs::remove_dir_all(&destination).unwrap();
        kills += kill_until_done("seal", folder.path(), whole);
        assert_eq!(digests(&destination)["manifest.json"], manifest);
        assert_eq!(digests(&destination.join("chunks")), chunks);
        resumed += fs::read_to_string(folder.path().join("resumed")).unwrap().parse::<u64>().unwrap();
    }
    assert!(resumed > 0, "{kills} kills and nothing was ever kept");
    let opened = Holders::new(2, 3).open(&destination, &[1, 2]).unwrap();
    let plain = opened.unseal_to(&folder.path().join("plain"), &NoProgress).unwrap();
    plain.check_files(&NoProgress).unwrap();
}

fn finish_again(task: &str, folder: &Path) -> Duration {
    fs::remove_dir_all(folder.join("destination")).unwrap();
    finish(task, folder)
}

#[test]
fn an_opening_that_is_killed_and_resumed_ends_with_the_same_digests() {
    let folder = workplace();
    let imported = medium(folder.path());
    Holders::new(2, 3).seal(&imported, &folder.path().join("sealed"), 1).unwrap();
    let destination = folder.path().join("destination");
    let whole = finish("open", folder.path()).min(finish_again("open", folder.path()));
    let mut kills = 0;
    while kills < KILLS {
        fs::remove_dir_all(&destination).unwrap();
        kills += kill_until_done("open", folder.path(), whole);
        assert_eq!(digests(&destination), digests(&imported));
    }
}
