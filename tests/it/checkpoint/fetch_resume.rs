//! Fetching that was interrupted: what is kept, what is dropped, and a process killed at any instant. All on loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::fetching::*;
use crate::support::hostile_server::{Act, Server};
use portcullis::checkpoint::fetch::{FetchOptions, Fetcher};
use portcullis::digest::Sha256Digest;

/// A server that refuses after some pieces of the weights, until it is told to relent; and what a fetch left by then.
struct Interrupted {
    server: Server,
    folder: tempfile::TempDir,
    relent: Arc<AtomicBool>,
}

impl Interrupted {
    fn new() -> Self {
        let relent = Arc::new(AtomicBool::new(false));
        let relented = relent.clone();
        let pieces = AtomicUsize::new(0);
        let (server, attempt) = fetch_weights(move |_, _| {
            let served = pieces.fetch_add(1, Ordering::SeqCst);
            match served < 6 || relented.load(Ordering::SeqCst) {
                true => Act::Serve,
                false => Act::Status(400, vec![]),
            }
        });
        assert!(attempt.outcome.is_err());
        let folder = attempt.folder;
        Self { server, folder, relent }
    }

    fn part(&self, ending: &str) -> PathBuf {
        self.folder.path().join(format!("{WEIGHTS}.{ending}"))
    }

    fn pieces_here(&self) -> u64 {
        fs::read_to_string(self.part("part.jsonl")).unwrap().lines().count() as u64 - 1
    }

    /// Fetches the rest: how many bytes of the weights came, and the notes.
    fn resume(&self, expected: &[u8]) -> (u64, String) {
        self.relent.store(true, Ordering::SeqCst);
        self.server.site.forget();
        let recorder = Recorder::default();
        let fetcher = Fetcher::new(options(&self.server));
        let fetched = fetcher.fetch_blocking(&openai(), self.folder.path(), &recorder).unwrap();
        assert_eq!(sha256_of(&fetched, WEIGHTS), Sha256Digest::compute(expected));
        assert_eq!(fs::read(self.folder.path().join(WEIGHTS)).unwrap(), expected);
        assert_no_leftovers(self.folder.path());
        let pieces = self
            .server
            .site
            .seen()
            .into_iter()
            .filter_map(|seen| seen.path.ends_with(WEIGHTS).then_some(seen.range?));
        let bytes = pieces.filter(|r| *r != (0, 0)).map(|(first, last)| last - first + 1);
        (bytes.sum::<usize>() as u64, recorder.text())
    }
}

#[test]
fn an_interrupted_fetch_goes_on_with_what_is_missing() {
    let interrupted = Interrupted::new();
    let here = interrupted.pieces_here();
    assert!(here >= 3, "{here}");
    let (came, notes) = interrupted.resume(&weights());
    assert_eq!(came, 10_500 - here * 1000);
    assert!(notes.contains(&format!("resuming at {} of 10500 bytes", here * 1000)), "{notes}");
}

#[test]
fn altered_torn_and_missing_pieces_are_fetched_again() {
    type Harm = fn(&Interrupted);
    let harms: [(&str, Harm); 5] = [
        ("a flipped bit", |at| {
            let mut bytes = fs::read(at.part("part")).unwrap();
            for piece in bytes.chunks_mut(1000) {
                piece[100] ^= 1;
            }
            fs::write(at.part("part"), bytes).unwrap();
        }),
        ("a truncated file", |at| {
            let bytes = fs::read(at.part("part")).unwrap();
            fs::write(at.part("part"), &bytes[..999]).unwrap();
        }),
        ("no file", |at| fs::remove_file(at.part("part")).unwrap()),
        ("no journal", |at| fs::remove_file(at.part("part.jsonl")).unwrap()),
        ("another journal", |at| fs::write(at.part("part.jsonl"), "\0{}[]").unwrap()),
    ];
    for (name, harm) in harms {
        let interrupted = Interrupted::new();
        harm(&interrupted);
        let (came, notes) = interrupted.resume(&weights());
        assert_eq!(came, 10_500, "{name}: {notes}");
    }
    // A torn last line costs the one piece that it was about.
    let interrupted = Interrupted::new();
    let here = interrupted.pieces_here();
    let journal = fs::read(interrupted.part("part.jsonl")).unwrap();
    fs::write(interrupted.part("part.jsonl"), &journal[..journal.len() - 4]).unwrap();
    assert_eq!(interrupted.resume(&weights()).0, 10_500 - (here - 1) * 1000);
}

#[test]
fn what_was_fetched_of_an_older_version_is_dropped_with_a_word() {
    let path = format!("/124M/{WEIGHTS}");
    let other = noise(5, 10_500);
    // Another ETag; another size under the same ETag; no validator at all, so that nobody could tell.
    for (bytes, headers) in
        [(&other[..], vec![etag("2")]), (&other[..9_100], vec![etag("1")]), (&other[..], vec![])]
    {
        let interrupted = Interrupted::new();
        interrupted.server.site.publish(&path, bytes, &headers);
        let (came, notes) = interrupted.resume(bytes);
        assert_eq!(came, bytes.len() as u64);
        assert!(notes.contains("starting again"), "{notes}");
    }
}

// Processes of their own: this test binary, run again.

const CHILD: &str = "PORTCULLIS_FETCH_TEST_CHILD";

fn child(base: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "a_child_fetches_what_it_is_told"])
        .env(CHILD, format!("{base} {}", folder.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[test]
fn a_child_fetches_what_it_is_told() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let (base, folder) = told.split_once(' ').unwrap();
    let options =
        FetchOptions { mirror: Some(base.parse().unwrap()), piece_bytes: 4096, ..FetchOptions::default() };
    let fetcher = Fetcher::new(options);
    fetcher.fetch_blocking(&openai(), Path::new(folder), &Recorder::default()).unwrap();
}

/// Waits until the server gave `answers` more answers; false if the child ended by itself before.
fn wait_for(server: &Server, child: &mut Child, answers: usize) -> bool {
    let begun = server.site.answers.load(Ordering::SeqCst);
    while server.site.answers.load(Ordering::SeqCst) < begun + answers {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    true
}

#[test]
fn killed_at_any_instant_a_fetch_goes_on_and_ends_right() {
    const KILLS: u64 = 40;
    let big = noise(3, 2_000 * 4096 + 77);
    let server = Server::scripted(|_, _| Act::Serve);
    publish_openai(&server.site);
    server.site.publish(&format!("/124M/{WEIGHTS}"), &big, &[etag("big")]);
    let folder = tempfile::tempdir().unwrap();
    for round in 0..KILLS {
        let mut child = child(&server.url(), folder.path()).spawn().unwrap();
        // Seven answers are about the files, at most 41 more are pieces: it cannot be done after forty rounds.
        let answers = rand::random_range(0..=48);
        assert!(wait_for(&server, &mut child, answers), "round {round} ended by itself");
        std::thread::sleep(Duration::from_micros(rand::random_range(0..1500)));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
    }
    let killed = server.site.body_bytes.load(Ordering::SeqCst);
    assert!(child(&server.url(), folder.path()).status().unwrap().success());
    assert_eq!(fs::read(folder.path().join(WEIGHTS)).unwrap(), big);
    assert_no_leftovers(folder.path());
    // Each round: seven first bytes, and four pieces in flight. The small files may have come a few times.
    let came = server.site.body_bytes.load(Ordering::SeqCst);
    let size = big.len() as u64 + 6 * 300;
    let wasted = came - size;
    assert!(wasted <= KILLS * (4 * 4096 + 7) + 7, "{wasted} bytes came twice; {killed} by the last kill");
}

#[test]
fn proxies_are_used_as_the_usual_variables_say() {
    let proxy = Server::honest();
    publish_openai(&proxy.site);
    let fetch = |no_proxy: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = child("http://checkpoints.invalid", folder.path());
        for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy", "no_proxy", "NO_PROXY"] {
            command.env_remove(name);
        }
        command.env("HTTP_PROXY", proxy.url()).env("NO_PROXY", no_proxy);
        command.spawn().unwrap().wait().unwrap().success() && folder.path().join(WEIGHTS).exists()
    };
    assert!(fetch("elsewhere.example"));
    assert_eq!(proxy.site.seen()[0].headers["host"], "checkpoints.invalid");
}
