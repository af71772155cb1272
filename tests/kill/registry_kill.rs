//! A registry that is killed at random under load: what it acknowledged is in its log, and the log has one history.
#![allow(clippy::print_stdout, reason = "the seed and the counts belong to the result")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::people::ID;
use crate::support::served::{Ask, Database, Process, Served, ask};
use portcullis::access::{Request, Withdrawal};
use portcullis::digest::Sha256Digest;
use portcullis::identity::Identity;
use portcullis::log::{HeadNote, Part, Tiles, TreeHead, prove_consistency, require_entries};
use portcullis::statement::{CatalogueId, Statement, Subject};
use portcullis::time::Timestamp;
use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha20Rng};

/// The log over plain HTTP.
struct Remote<'a>(&'a str);

impl Tiles for Remote<'_> {
    fn read(&self, part: Part) -> Result<Vec<u8>, portcullis::log::Error> {
        let answer = ask(&Ask { url: format!("{}/log/{part}", self.0), ..Ask::default() });
        assert_eq!(answer.status, 200, "{part}: {}", answer.text);
        Ok(answer.bytes)
    }
}

/// Sends requests and withdrawals until told to stop; the digests of those that were acknowledged.
fn load(
    url: &str,
    identity: &Identity,
    catalogue: CatalogueId,
    manifest: Sha256Digest,
    stop: &AtomicBool,
    acknowledged: &Mutex<Vec<Sha256Digest>>,
) {
    let signer = identity.signer(None).unwrap();
    let client = reqwest::blocking_client(url);
    while !stop.load(Ordering::Relaxed) {
        let subject = Subject { name: ID.to_owned(), digest: manifest };
        let request = Request {
            checkpoint: ID.parse().unwrap(),
            purpose: format!("Number {}", rand::random::<u64>()).parse().unwrap(),
            uses: ["detection".parse().unwrap()].into(),
            days: 3,
            agreement: Some(Sha256Digest::compute(b"You tell nobody.\n")),
            renews: None,
            card: identity.card().clone(),
            members: Vec::new(),
            created: Timestamp::now(),
        };
        let request = Statement::new(catalogue, subject.clone(), request).sign(&*signer).unwrap();
        if !client.post(&request.to_json()) {
            return;
        }
        acknowledged.lock().unwrap().push(request.digest());
        let withdrawal = Withdrawal { request: request.digest(), created: Timestamp::now() };
        let withdrawal = Statement::new(catalogue, subject, withdrawal).sign(&*signer).unwrap();
        if !client.post(&withdrawal.to_json()) {
            return;
        }
        acknowledged.lock().unwrap().push(withdrawal.digest());
    }
}

mod reqwest {
    /// A client of one registry that says whether a statement was acknowledged.
    pub(crate) struct Client {
        url: String,
        runtime: tokio::runtime::Runtime,
        client: ::reqwest::Client,
    }

    pub(crate) fn blocking_client(url: &str) -> Client {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = ::reqwest::Client::builder().no_proxy().build().unwrap();
        Client { url: format!("{url}/v1/statements"), runtime, client }
    }

    impl Client {
        pub(crate) fn post(&self, json: &str) -> bool {
            let request = self.client.post(&self.url).header("content-type", "application/json");
            let sent = self.runtime.block_on(request.body(json.to_owned()).send());
            sent.is_ok_and(|response| response.status().is_success())
        }
    }
}

fn kill_again_and_again(times: u32) {
    let mut served = Served::released(Database::Sqlite, "partners");
    let settings = served.scene.at("reg/portcullis.toml");
    let text =
        std::fs::read_to_string(&settings).unwrap() + "limits.per_address = 0\nlimits.per_identity = 0\n";
    std::fs::write(settings, text).unwrap();
    let identity = served.scene.identity("rosa");
    let manifest = std::fs::read(served.scene.at(&format!("homes/ada/sealed/{ID}/manifest.json"))).unwrap();
    let manifest = Sha256Digest::compute(&manifest);
    let catalogue = served.scene.catalogue_id("rosa");
    let acknowledged = Mutex::new(Vec::new());
    let mut heads: Vec<TreeHead> = Vec::new();
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    for _ in 0..times {
        let stop = AtomicBool::new(false);
        let url = served.process.url.clone();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| load(&url, &identity, catalogue, manifest, &stop, &acknowledged));
            }
            std::thread::sleep(Duration::from_millis(random.random_range(5..150)));
            let process = std::mem::replace(&mut served.process, Process::idle());
            process.kill();
            stop.store(true, Ordering::Relaxed);
        });
        served.process = Process::start(&served.scene, "reg --listen 127.0.0.1:0", &[]);
        let note = served.get("/log/checkpoint");
        assert_eq!(note.status, 200, "{}", note.text);
        heads.push(HeadNote::parse(&note.bytes).unwrap().claim());
    }
    // Everything that waits is taken in.
    std::thread::sleep(Duration::from_secs(2));
    let head = HeadNote::parse(&served.get("/log/checkpoint").bytes).unwrap().claim();
    let remote = Remote(&served.process.url);
    for earlier in &heads {
        prove_consistency(&head, earlier.size(), &remote).unwrap().verify(earlier, &head).unwrap();
    }
    let mut recorded: BTreeMap<Sha256Digest, u32> = BTreeMap::new();
    for index in 0..head.size().div_ceil(256) {
        for entry in require_entries(&head, index, &remote).unwrap().entries {
            let entry = portcullis::log::Entry::parse(&entry).unwrap();
            *recorded.entry(entry.statement).or_default() += 1;
        }
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    println!("{} acknowledged, {} entries, {times} kills", acknowledged.len(), head.size());
    assert!(acknowledged.len() > times as usize, "there was no load");
    for digest in acknowledged {
        assert_eq!(recorded.get(&digest), Some(&1), "{digest}");
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_and_no_history_forks_in_twenty_kills() {
    kill_again_and_again(20);
}

#[test]
#[ignore = "takes minutes: cargo test --release --test registry_kill -- --ignored"]
fn nothing_that_was_acknowledged_is_lost_and_no_history_forks_in_five_hundred_kills() {
    kill_again_and_again(500);
}
