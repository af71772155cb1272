//! A served registry with as many requests in its database as are asked for, each signed as a researcher would.

use std::fs;
use std::io::Write as _;

use portcullis::access::Request;
use portcullis::digest::Sha256Digest;
use portcullis::identity::IdentityFile;
use portcullis::statement::{Envelope, Statement};
use serde_json::{Value, json};

use crate::support::served::{Database, Process, Served};

/// A registry with a grant for rosa, and many more requests of hers that wait.
pub(crate) struct Setting {
    pub(crate) served: Served,
    pub(crate) grant: String,
    pub(crate) request: String,
}

impl Setting {
    pub(crate) fn with_requests(database: Database, count: usize) -> Self {
        let mut served = Served::released(database, "partners");
        let (request, grant) = served.granted();
        let full = |kind: &str, prefix: &str| {
            let page = served.get_as("rosa", &format!("/v1/statements?kind={kind}&prefix={prefix}")).json();
            page["statements"][0]["digest"].as_str().unwrap().to_owned()
        };
        let (request, grant) = (full("request", &request), full("grant", &grant));
        served.scene.succeed("registry", "registry backup reg --to few.jsonl");
        multiply(&served, count);
        let path = served.scene.at("reg/portcullis.toml");
        let url = database.url().replace("registry.db", "many.db");
        let settings = fs::read_to_string(&path).unwrap();
        let settings: String = settings
            .lines()
            .map(|line| match line.split_once(" = ") {
                Some(("database", _)) => format!("database = \"{url}\"\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        fs::write(&path, settings + "limits.per_address = 0\nlimits.per_identity = 0\n").unwrap();
        served.scene.succeed("registry", "registry restore reg --from many.jsonl --unsigned");
        let address = served.process.url.strip_prefix("http://").unwrap().to_owned();
        let between = served.replica();
        assert!(std::mem::replace(&mut served.process, between).stop());
        served.process = Process::start(&served.scene, &format!("reg --listen {address} --quiet"), &[]);
        Self { served, grant, request }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.served.process.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// The bearer of a person's session.
    pub(crate) fn bearer(&self, person: &str) -> String {
        // The program has a runtime of its own, which cannot begin inside another.
        std::thread::scope(|scope| scope.spawn(|| self.served.bearer(person)).join().unwrap())
    }
}

/// Writes the backup again with `count` requests in place of one, each signed.
fn multiply(served: &Served, count: usize) {
    let scene = &served.scene;
    let text = fs::read_to_string(scene.at("few.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rows = &lines[1..lines.len() - 1];
    let first_of = |table: &str| rows.iter().find(|row| row["table"] == table).unwrap().clone();
    let statement =
        rows.iter().find(|row| row["row"]["kind"] == "request").unwrap_or_else(|| panic!("no request"));
    let envelope = Envelope::parse(statement["row"]["envelope"].as_str().unwrap().as_bytes()).unwrap();
    let asked = envelope.claim::<Request>().unwrap();
    let path = scene.at("homes/rosa/identity.age");
    let signer = IdentityFile::new(path).read(None).unwrap().signer(None).unwrap();
    let mut out = Vec::new();
    let mut written = 0;
    let mut write = |row: &Value| {
        writeln!(out, "{row}").unwrap();
        written += 1;
    };
    for table in ["statements", "requests", "request_events", "catalogue_files", "catalogue_version", "seals"]
    {
        for row in rows.iter().filter(|row| row["table"] == table) {
            write(row);
        }
        if !matches!(table, "statements" | "requests" | "request_events") {
            continue;
        }
        let model = if table == "statements" { statement.clone() } else { first_of(table) };
        for number in 0..count {
            let purpose = format!("Question {number}").parse().unwrap();
            let request = Statement::new(
                asked.catalogue().unwrap(),
                asked.subject.clone(),
                Request { purpose, ..asked.predicate.clone() },
            );
            let (digest, envelope) = signed(&request, &*signer, table == "statements");
            let mut row = model.clone();
            let cells = row["row"].as_object_mut().unwrap();
            cells["seq"] = json!(1000 + number);
            match table {
                "statements" => {
                    cells["digest"] = json!(digest);
                    cells["envelope"] = json!(envelope);
                }
                "requests" => {
                    cells["digest"] = json!(digest);
                    // Half of them were decided.
                    let is_decided = number % 2 == 0;
                    cells["state"] = json!(if is_decided { "denied" } else { "pending" });
                    let created = cells["created"].as_i64().unwrap();
                    cells["decided"] = json!(if is_decided { created + number as i64 % 9999 } else { 0 });
                }
                _ => cells["request"] = json!(digest),
            }
            write(&row);
        }
    }
    write(&empty_log(first_of("log_head")));
    // The form of earlier releases, which nobody signed.
    let mut all = b"{\"portcullis-backup\":1}\n".to_vec();
    all.extend(&out);
    let end = json!({ "rows": written, "sha256": Sha256Digest::compute(&all) });
    writeln!(all, "{end}").unwrap();
    fs::write(scene.at("many.jsonl"), all).unwrap();
}

/// The row of a log without entries: the registry enters everything when it starts.
fn empty_log(mut row: Value) -> Value {
    let cells = row["row"].as_object_mut().unwrap();
    cells["size"] = json!(0);
    cells["root"] = json!(Sha256Digest::compute(b""));
    cells["note"] = json!("");
    cells["cosigned"] = json!("");
    row
}

fn signed(
    request: &Statement<Request>,
    signer: &dyn portcullis::identity::Signer,
    wanted: bool,
) -> (Sha256Digest, String) {
    let envelope = if wanted { request.sign(signer).unwrap() } else { request.to_envelope().unwrap() };
    (envelope.digest(), envelope.to_json())
}
