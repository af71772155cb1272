//! What the tests of fetching share: a published checkpoint, a patient watcher, an attempt in a folder of its own.
#![allow(dead_code, reason = "each file of tests uses a part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis::checkpoint::fetch::{
    FetchError, FetchOptions, FetchOutcome, Fetcher, RemoteSource, RetryPolicy, Timeouts,
};
use portcullis::digest::Sha256Digest;
use portcullis::progress::Progress;

use super::hostile_server::{Act, Seen, Server, Site};

pub(crate) const OPENAI: [&str; 7] = [
    "checkpoint",
    "encoder.json",
    "hparams.json",
    "model.ckpt.data-00000-of-00001",
    "model.ckpt.index",
    "model.ckpt.meta",
    "vocab.bpe",
];
pub(crate) const WEIGHTS: &str = "model.ckpt.data-00000-of-00001";
pub(crate) const COMMIT: &str = "607a30d783dfa663caf39e06633721c8d4cfcd7e";
pub(crate) const SECRET: &str = "hf_doNotShowMeToAnyone";

/// Notes what it is told.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) notes: Mutex<Vec<String>>,
    pub(crate) bytes: AtomicU64,
}

impl Progress for Recorder {
    fn begin(&self, _step: &str, _total: Option<u64>) {}
    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }
    fn note(&self, message: &str) {
        self.notes.lock().unwrap().push(message.to_owned());
    }
}

impl Recorder {
    pub(crate) fn text(&self) -> String {
        self.notes.lock().unwrap().join("\n")
    }
}

/// Bytes that differ everywhere, so that a piece in the wrong place shows.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn etag(text: &str) -> (&'static str, String) {
    ("ETag", format!("\"{text}\""))
}

pub(crate) fn weights() -> Vec<u8> {
    noise(7, 10_500)
}

/// Publishes OpenAI's seven files, the weights in eleven pieces of the tests' size.
pub(crate) fn publish_openai(site: &Site) {
    for name in OPENAI {
        let bytes = if name == WEIGHTS { weights() } else { noise(name.len() as u64, 300) };
        site.publish(&format!("/124M/{name}"), &bytes, &[etag("1")]);
    }
}

pub(crate) fn options(server: &Server) -> FetchOptions {
    FetchOptions {
        mirror: Some(server.url().parse().unwrap()),
        piece_bytes: 1000,
        retry: RetryPolicy {
            attempts: 4,
            first_delay: Duration::from_millis(2),
            longest_delay: Duration::from_millis(10),
            longest_retry_after: Duration::from_millis(40),
        },
        pace: Timeouts { connect: Duration::from_secs(5), idle: Duration::from_secs(3), floor: 16 },
        ..FetchOptions::default()
    }
}

pub(crate) fn openai() -> RemoteSource {
    "openai:124M".parse().unwrap()
}

/// A fetch into a folder of its own.
pub(crate) struct Attempt {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) recorder: Recorder,
    pub(crate) outcome: Result<FetchOutcome, FetchError>,
}

impl Attempt {
    pub(crate) fn at(source: &RemoteSource, options: FetchOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::default();
        let outcome = Fetcher::new(options).fetch_blocking(source, folder.path(), &recorder);
        Self { folder, recorder, outcome }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn refusal(&self, server: &Server) -> String {
        let error = self.outcome.as_ref().unwrap_err();
        error.to_string().replace(&server.address.to_string(), "[server]")
    }

    pub(crate) fn assert_whole(&self) {
        let fetched = self.outcome.as_ref().unwrap();
        assert_eq!(fetched.files.iter().map(|f| &f.name[..]).collect::<Vec<_>>(), OPENAI);
        assert_eq!(fs::read(self.path(WEIGHTS)).unwrap(), weights());
        assert_eq!(sha256_of(fetched, WEIGHTS), Sha256Digest::compute(&weights()));
        assert_no_leftovers(self.folder.path());
    }
}

pub(crate) fn sha256_of(fetched: &FetchOutcome, name: &str) -> Sha256Digest {
    fetched.files.iter().find(|f| f.name == name).unwrap().sha256
}

pub(crate) fn assert_no_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains(".part") && !name.ends_with(".new"), "{name}");
    }
}

/// Serves OpenAI's files; the script sees only requests for pieces of the weights.
pub(crate) fn hostile_weights(act: impl Fn(&Site, &Seen) -> Act + Send + Sync + 'static) -> Server {
    let server = Server::scripted(move |site, seen| {
        if seen.path.ends_with(WEIGHTS) && seen.range != Some((0, 0)) { act(site, seen) } else { Act::Serve }
    });
    publish_openai(&server.site);
    server
}

pub(crate) fn fetch_weights(act: impl Fn(&Site, &Seen) -> Act + Send + Sync + 'static) -> (Server, Attempt) {
    let server = hostile_weights(act);
    let attempt = Attempt::at(&openai(), options(&server));
    (server, attempt)
}
