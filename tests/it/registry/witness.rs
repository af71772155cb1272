//! Witnesses: what they refuse, and how two of them keep a registry from showing two faces.
#![allow(clippy::too_many_lines, reason = "one exchange, read from top to bottom")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::support::people::ID;
use crate::support::portcullis;
use crate::support::served::{Answer, Ask, Database, Process, Served, ask};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use portcullis::identity::{Signer, SigningKey};
use portcullis::log::{HeadNote, LogAppender, LogKey, TreeHead, WitnessKey, WitnessRule};

const LOG: &str = "log.example/1";

/// A witness that runs.
struct Witness {
    child: Child,
    url: String,
    key: String,
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn init(folder: &std::path::Path, name: &str) -> String {
    let home = folder.join(name);
    let output =
        portcullis().args(["witness", "init", "--json", "--name", name]).arg(&home).output().unwrap();
    let made: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", crate::support::failure(&output)));
    made["key"].as_str().unwrap().to_owned()
}

fn serve(folder: &std::path::Path, name: &str, key: String, log: &str) -> Witness {
    let mut command = portcullis();
    command.args([
        "witness",
        "serve",
        "--name",
        name,
        "--log-key",
        log,
        "--listen",
        "127.0.0.1:0",
        "--quiet",
    ]);
    let mut child = command.arg(folder.join(name)).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    Witness { child, url, key }
}

fn signer() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

/// Heads of a log of these sizes, and what lies between them.
struct Log {
    entries: Vec<Vec<u8>>,
}

impl Log {
    fn head(&self, size: usize) -> TreeHead {
        struct None;
        impl portcullis::log::Tiles for None {
            fn read(&self, part: portcullis::log::Part) -> Result<Vec<u8>, portcullis::log::Error> {
                Err(portcullis::log::Error::Tile { path: part.to_string(), reason: String::new() })
            }
        }
        let mut appender = LogAppender::open(&TreeHead::EMPTY, &None).unwrap();
        for entry in &self.entries[..size] {
            appender.append(entry).unwrap();
        }
        appender.take_update().unwrap().head
    }

    fn note(&self, size: usize, key: &SigningKey) -> Vec<u8> {
        HeadNote::sign(LOG, self.head(size), key).unwrap().to_bytes()
    }

    /// The proof from one entry to three: the hashes of the second and of the third.
    fn one_to_three(&self) -> String {
        let hash = |entry: &[u8]| BASE64_STANDARD.encode(portcullis::log::leaf_hash(entry).as_bytes());
        format!("{}\n{}\n", hash(&self.entries[1]), hash(&self.entries[2]))
    }
}

fn offer(witness: &Witness, old: u64, proof: &str, note: &[u8]) -> Answer {
    let body = format!("old {old}\n{proof}\n{}", String::from_utf8_lossy(note));
    ask(&Ask {
        url: format!("{}/add-checkpoint", witness.url),
        method: "POST",
        body: Some(body),
        ..Ask::default()
    })
}

#[test]
fn a_witness_answers_as_tlog_witness_says_and_remembers_across_a_kill() {
    let folder = crate::support::workplace();
    let key = init(folder.path(), "witness.example");
    let log_key = LogKey::new(LOG, signer().verifying_key()).unwrap().to_string();
    let mut witness = serve(folder.path(), "witness.example", key.clone(), &log_key);
    let log = Log { entries: (0..3).map(|n| format!("entry {n}").into_bytes()).collect() };

    let first = offer(&witness, 0, "", &log.note(1, &signer()));
    assert_eq!(first.status, 200, "{}", first.text);
    let rule = WitnessRule { witnesses: vec![key.parse::<WitnessKey>().unwrap()], need: 1 };
    let mut note = HeadNote::parse(&log.note(1, &signer())).unwrap();
    note.add_signatures(&first.bytes).unwrap();
    assert_eq!(rule.require(&note).unwrap()[0].witness, "witness.example");

    // It is killed, and knows still.
    witness.child.kill().unwrap();
    witness.child.wait().unwrap();
    let witness = serve(folder.path(), "witness.example", key, &log_key);
    let said: Vec<_> = [
        (
            "no such log",
            offer(
                &witness,
                1,
                "",
                &HeadNote::sign("other.example", log.head(3), &signer()).unwrap().to_bytes(),
            ),
        ),
        (
            "another's signature",
            offer(&witness, 1, &log.one_to_three(), &log.note(3, &SigningKey::from_bytes(&[6; 32]))),
        ),
        ("from another head", offer(&witness, 0, "", &log.note(3, &signer()))),
        ("without a proof", offer(&witness, 1, "", &log.note(3, &signer()))),
        ("from a longer head", offer(&witness, 4, "", &log.note(3, &signer()))),
        (
            "no request",
            ask(&Ask {
                url: format!("{}/add-checkpoint", witness.url),
                method: "POST",
                body: Some("hello".to_owned()),
                ..Ask::default()
            }),
        ),
    ]
    .into_iter()
    .map(|(what, answer)| {
        format!(
            "{what}: {} {:?} {}",
            answer.status,
            answer.header("content-type").unwrap_or_default(),
            answer.text.trim()
        )
    })
    .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    no such log: 404 "text/plain; charset=utf-8" unknown log `other.example`
    another's signature: 403 "text/plain; charset=utf-8" the head is not signed by the log's key
    from another head: 409 "text/x.tlog.size" 1
    without a proof: 422 "text/plain; charset=utf-8" the head does not continue the last one that this witness saw
    from a longer head: 400 "text/plain; charset=utf-8" malformed request: the old head is longer than the new one
    no request: 400 "text/plain; charset=utf-8" malformed request: it has no blank line
    "#);
    let other = Log { entries: vec![b"other".to_vec()] };
    assert_eq!(offer(&witness, 1, "", &other.note(1, &signer())).status, 409, "the same size, another root");
    assert_eq!(offer(&witness, 1, &log.one_to_three(), &log.note(3, &signer())).status, 200);
}

/// A registry that asks two witnesses.
struct Watched {
    served: Served,
    folder: tempfile::TempDir,
    witnesses: Vec<Witness>,
}

fn watched() -> Watched {
    let mut served = Served::released(Database::Sqlite, "partners");
    let folder = crate::support::workplace();
    let log_key = served.scene.json("august", "audit key")["keys"][0].as_str().unwrap().to_owned();
    let witnesses: Vec<_> = ["one.example", "two.example"]
        .map(|name| {
            let key = init(folder.path(), name);
            serve(folder.path(), name, key, &log_key)
        })
        .into_iter()
        .collect();
    let settings = served.scene.at("reg/portcullis.toml");
    let mut text = std::fs::read_to_string(&settings).unwrap();
    for witness in &witnesses {
        text += &format!("\n[[witness]]\nkey = \"{}\"\nurl = \"{}\"\n", witness.key, witness.url);
    }
    std::fs::write(settings, text).unwrap();
    restart(&mut served);
    Watched { served, folder, witnesses }
}

fn restart(served: &mut Served) {
    let listen = served.process.url.trim_start_matches("http://").to_owned();
    assert!(std::mem::replace(&mut served.process, Process::idle()).stop());
    served.process = Process::start(&served.scene, &format!("reg --listen {listen}"), &[]);
}

impl Watched {
    fn join(&self, person: &str, need: usize) {
        let keys: String =
            self.witnesses.iter().map(|witness| format!(" --witness {}", witness.key)).collect();
        let url = &self.served.process.url;
        self.served
            .scene
            .succeed(person, &format!("join {url} --root root.json{keys} --witnesses-needed {need}"));
    }
}

#[test]
fn a_client_that_needs_two_witnesses_goes_on_with_two_and_refuses_with_one() {
    let mut watched = watched();
    watched.join("rosa", 2);
    watched.served.granted();
    let scene = &watched.served.scene;
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    watched.join("august", 2);
    let scene = &watched.served.scene;
    assert!(scene.succeed("august", "audit verify").contains("2 witnesses saw the same head"));
    // One of them goes away: clients that need both fail closed, those that need one go on.
    watched.witnesses.pop();
    restart(&mut watched.served);
    let scene = &watched.served.scene;
    let url = &watched.served.process.url;
    insta::assert_snapshot!(scene.refuse("rosa", "usage sync").replace(url, "<registry>"), @"
    exit 4
    error: the head has the cosignatures of 1 witnesses; 2 are required
      next: try again; if it stays, ask the registry's operator and the witnesses what they saw
    ");
    // The registry took the batch and could not show it in the log; what is recorded since goes behind it.
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    let one = format!("join {url} --root root.json --witness {}", watched.witnesses[0].key);
    scene.succeed("rosa", &one);
    scene.succeed("rosa", "usage sync");
    let journal = scene.json("rosa", "usage status")["journal"].clone();
    assert_eq!((&journal["records"], &journal["synced"]), (&4.into(), &4.into()));
    drop(watched.folder);
}

#[test]
fn a_split_view_is_caught_by_two_witnesses() {
    let mut watched = watched();
    watched.served.granted();
    watched.join("rosa", 2);
    let scene = &watched.served.scene;
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    // The registry keeps a second face: from a copy of its database it goes on with other entries for whom it likes.
    scene.succeed("registry", "registry backup reg --to face.jsonl");
    scene.succeed("ada", "request list --pending");
    scene.succeed("rosa", "usage sync");
    let listen = watched.served.process.url.trim_start_matches("http://").to_owned();
    assert!(std::mem::replace(&mut watched.served.process, Process::idle()).stop());
    let scene = &watched.served.scene;
    for file in ["reg/registry.db", "reg/registry.db-wal", "reg/registry.db-shm"] {
        drop(std::fs::remove_file(scene.at(file)));
    }
    scene.succeed("registry", "registry restore reg --from face.jsonl");
    watched.served.process = Process::start(scene, &format!("reg --listen {listen}"), &[]);
    // Eve was shown nothing yet, and would believe the second face by itself; the witnesses do not cosign it.
    watched.join("eve", 2);
    let scene = &watched.served.scene;
    let asked = scene
        .run("eve", &format!("request new {ID} --purpose X --use detection --days 3 --accept-agreement"));
    drop(asked);
    let head = watched.served.get("/log/checkpoint");
    let seen = HeadNote::parse(&head.bytes).unwrap();
    let rule = WitnessRule {
        witnesses: watched.witnesses.iter().map(|witness| witness.key.parse().unwrap()).collect(),
        need: 2,
    };
    // What it can show with both cosignatures is the old head only, and it cannot get beyond it.
    assert!(rule.require(&seen).is_ok());
    let size = seen.claim().size();
    scene.run("ada", "request list --pending");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let later = HeadNote::parse(&watched.served.get("/log/checkpoint").bytes).unwrap();
    assert_eq!(later.claim().size(), size, "the second face is never cosigned");
    let log = std::fs::read_to_string(scene.at("serve.log")).unwrap();
    assert!(log.contains("a witness does not cosign"), "{log}");
}
