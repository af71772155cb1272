//! Auditing a long log: a real one, continued by many leases and usage batches, each signed and in its place.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portcullis::access::{Lease, lease_context};
use portcullis::digest::{Sha256Digest, Sha256Hasher};
use portcullis::identity::Signer;
use portcullis::log::{Entry, EntryKind, HeadNote, LogAppender, Part, Tiles, TreeHead};
use portcullis::seal::{SealedMessage, seal_registry_key};
use portcullis::statement::{CatalogueId, Envelope, Statement, Subject};
use portcullis::time::Timestamp;
use portcullis::usage::{Begin, End, Event, JournalId, Record, Task, first_link, make_batch};

use crate::support::people::ID;
use crate::support::portcullis;
use crate::support::served::{Database, Served};

struct Nothing;

impl Tiles for Nothing {
    fn read(&self, part: Part) -> Result<Vec<u8>, portcullis::log::Error> {
        Err(portcullis::log::Error::Tile { path: part.to_string(), reason: String::new() })
    }
}

pub(crate) fn measure(entries: u64) {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    scene.succeed("rosa", "usage sync");
    scene.succeed("august", "audit bundle --to small.jsonl");
    let made = Instant::now();
    let bytes = continued(&served, entries);
    println!(
        "## Audit\n\nA log of {entries} entries, half of them leases, half usage batches; the bundle has {:.0} MB (made in {:.0} s).\n",
        bytes as f64 / 1e6,
        made.elapsed().as_secs_f64()
    );
    println!("| what | seconds | entries a second | peak MB |\n|---|---|---|---|");
    for (name, arguments) in [
        ("`audit verify`: tree, head, every signature and rule", "audit verify --offline big.jsonl"),
        ("`audit verify --quick`: tree, head, every digest", "audit verify --quick --offline big.jsonl"),
        (
            "`audit report --quick`: tree, head, every digest",
            "audit report --quick --format html --output report.html --offline big.jsonl",
        ),
        ("`audit report`: everything", "audit report --format html --output report.html --offline big.jsonl"),
    ] {
        let (time, peak) = run(&served, arguments);
        println!(
            "| {name} | {:.1} | {:.0} | {peak} |",
            time.as_secs_f64(),
            entries as f64 / time.as_secs_f64()
        );
    }
    let begun = Instant::now();
    let mut hasher = Sha256Hasher::default();
    let mut file = File::open(scene.at("big.jsonl")).unwrap();
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = std::io::Read::read(&mut file, &mut buffer) {
        hasher.update(&buffer[..count]);
    }
    let _ = hasher.finish();
    println!(
        "| for comparison: SHA-256 of the file, one thread | {:.1} | | |\n",
        begun.elapsed().as_secs_f64()
    );
}

/// The time that a command takes, and its peak memory in MB.
fn run(served: &Served, arguments: &str) -> (Duration, u64) {
    let mut command: Command = portcullis();
    command
        .current_dir(served.scene.path())
        .args(["--home", "homes/august"])
        .args(arguments.split_whitespace());
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kilobytes =
            line.and_then(|line| line.split_whitespace().nth(1)).and_then(|text| text.parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{arguments}");
            return (begun.elapsed(), peak / 1000);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes the small bundle's lines and many more; how many bytes they are.
fn continued(served: &Served, entries: u64) -> u64 {
    let scene = &served.scene;
    let small = std::fs::read_to_string(scene.at("small.jsonl")).unwrap();
    let lines: Vec<&str> = small.lines().collect();
    let registry = scene.identity_at("reg/identity.age");
    let rosa = scene.identity("rosa");
    let (registry_signer, signer) = (registry.signer(None).unwrap(), rosa.signer(None).unwrap());
    let mut appender = LogAppender::open(&TreeHead::EMPTY, &Nothing).unwrap();
    let (mut grant, mut subject) = (None, None);
    for line in &lines[1..lines.len() - 1] {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(entry) = value["entry"].as_str() else { continue };
        appender.append(entry.as_bytes()).unwrap();
        let entry = Entry::parse(entry.as_bytes()).unwrap();
        if entry.kind == EntryKind::Lease {
            let envelope = Envelope::parse(value["statements"][0].to_string().as_bytes()).unwrap();
            let lease = envelope.claim::<Lease>().unwrap();
            (grant, subject) = (Some(lease.predicate.grant), Some(lease.subject));
        }
    }
    let (grant, subject) = (grant.unwrap(), subject.unwrap());
    let made = Maker {
        catalogue: scene.catalogue_id("ada"),
        grant,
        subject,
        journal: JournalId::from_bytes([9; 16]),
        registry: &*registry_signer,
        signer: &*signer,
        card: rosa.card().clone(),
        sealed: sealed(&rosa),
    };
    // The head comes first in the file, and is known last: the lines go to a file of their own before.
    let body = scene.at("body.jsonl");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&body).unwrap());
    for line in &lines[1..lines.len() - 1] {
        writeln!(out, "{line}").unwrap();
    }
    let (mut next, mut seq) = ((0, first_link(made.journal)), 0);
    let now = Timestamp::now();
    while appender.size() < entries {
        let lease = made.lease(now.plus_seconds(seq));
        write(&mut out, &mut appender, EntryKind::Lease, (&lease, Some(grant)), now);
        let batch = made.batch(&mut next, lease.digest(), now);
        write(&mut out, &mut appender, EntryKind::Usage, (&batch, None), now);
        seq = (seq + 1) % 60;
        if appender.size() % 65_536 < 2 {
            drop(appender.take_update().unwrap());
        }
    }
    out.flush().unwrap();
    drop(out);
    let old: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    let name = HeadNote::parse(old["head"].as_str().unwrap().as_bytes()).unwrap().log().to_owned();
    let head =
        HeadNote::sign(&name, appender.take_update().unwrap().head, &*registry_signer).unwrap().to_bytes();
    let header = serde_json::json!({ "portcullis-bundle": 1, "created": old["created"], "head": String::from_utf8(head).unwrap() });
    assemble(scene, &header.to_string(), &body)
}

fn assemble(scene: &crate::support::people::Scene, header: &str, body: &std::path::Path) -> u64 {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(scene.at("big.jsonl")).unwrap());
    let mut hasher = Sha256Hasher::default();
    let mut lines = 1_u64;
    let first = format!("{header}\n");
    hasher.update(first.as_bytes());
    out.write_all(first.as_bytes()).unwrap();
    let mut file = File::open(body).unwrap();
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = std::io::Read::read(&mut file, &mut buffer) {
        hasher.update(&buffer[..count]);
        lines += buffer[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
        out.write_all(&buffer[..count]).unwrap();
    }
    writeln!(out, "{{\"lines\":{lines},\"sha256\":\"{}\"}}", hasher.finish()).unwrap();
    out.flush().unwrap();
    std::fs::remove_file(body).unwrap();
    std::fs::metadata(scene.at("big.jsonl")).unwrap().len()
}

fn write(
    out: &mut impl std::io::Write,
    appender: &mut LogAppender,
    kind: EntryKind,
    (envelope, about): (&Envelope, Option<Sha256Digest>),
    now: Timestamp,
) {
    let mut entry = Entry::new(kind, now, envelope.digest()).with_about(about);
    if kind == EntryKind::Lease {
        entry = entry.with_checkpoint(&ID.parse().unwrap());
    }
    let entry = entry.to_json();
    appender.append(entry.as_bytes()).unwrap();
    let statement: serde_json::Value = serde_json::from_str(&envelope.to_json()).unwrap();
    writeln!(out, "{{\"entry\":{},\"statements\":[{statement}]}}", serde_json::Value::from(entry)).unwrap();
}

fn sealed(rosa: &portcullis::identity::Identity) -> SealedMessage {
    let key = portcullis::seal::RegistryKey::random(&mut rand::rng());
    let at = Timestamp::now();
    let context = lease_context(Sha256Digest::compute(b"grant"), at, at);
    seal_registry_key(&key, &rosa.card().sealing_key, context, &mut rand::rng()).unwrap()
}

/// What makes leases and batches.
struct Maker<'a> {
    grant: Sha256Digest,
    subject: Subject,
    catalogue: CatalogueId,
    journal: JournalId,
    registry: &'a dyn Signer,
    signer: &'a dyn Signer,
    card: portcullis::identity::Card,
    sealed: SealedMessage,
}

impl Maker<'_> {
    fn lease(&self, issued: Timestamp) -> Envelope {
        let lease = Lease {
            grant: self.grant,
            issued,
            expires: issued.plus_hours(24),
            registry_key: self.sealed.clone(),
            journal: None,
        };
        Statement::new(self.catalogue, self.subject.clone(), lease).sign(self.registry).unwrap()
    }

    fn batch(&self, next: &mut (u64, Sha256Digest), lease: Sha256Digest, now: Timestamp) -> Envelope {
        let begin = Begin {
            task: Task::Run,
            checkpoint: ID.parse().unwrap(),
            grant: self.grant,
            lease,
            prompt_tokens: 9,
            max_tokens: 64,
            parameters: None,
            prompt: None,
            sketch: None,
            hits: Vec::new(),
            justification: None,
            blocked: false,
        };
        let at = now.plus_seconds(61);
        let begin =
            Record::new(self.journal, *next, at, Event::Begin(Box::new(begin))).sign(self.signer).unwrap();
        let end = End {
            begin: next.0,
            tokens: 64,
            finish: portcullis::usage::Finish::Length,
            output: None,
            hits: Vec::new(),
            explanation: None,
        };
        let end = Record::new(self.journal, (next.0 + 1, begin.digest()), at, Event::End(end))
            .sign(self.signer)
            .unwrap();
        *next = (next.0 + 2, end.digest());
        make_batch(self.catalogue, &self.card, &[begin, end], self.signer, now).unwrap()
    }
}
