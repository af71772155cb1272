//! Reading what is private without an entry of the log, and learning from pages what one may not read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::support::people::ID;
use crate::support::served::{Answer, Ask, Database, Served, ask};

/// Every route that a bearer opens, and what its answers tell of others; `None` if nothing.
const PRIVATE: [(&str, &str, Option<&str>); 14] = [
    ("get", "/v1/statements", Some("a kind")),
    ("get", "/v1/requests", Some("queue")),
    ("get", "/v1/requests/{digest}", Some("history")),
    ("put", "/v1/requests/{digest}/assignee", Some("queue")),
    ("get", "/v1/grants/{digest}", Some("decision")),
    ("get", "/v1/audit/records", Some("audit")),
    ("get", "/v1/checkpoints/{checkpoint}/manifests/{digest}/shares", Some("shares")),
    // A lease is handed to its holder alone.
    ("post", "/v1/grants/{digest}/lease", None),
    // A proposal is about to be public, and concerns nobody in particular.
    ("get", "/v1/catalogue/proposals", None),
    ("get", "/v1/catalogue/proposals/{role}", None),
    // Nothing comes back but a receipt of what was sent.
    ("post", "/v1/catalogue/proposals/{role}", None),
    ("delete", "/v1/catalogue/proposals/{role}", None),
    ("put", "/v1/checkpoints/{checkpoint}/seal", None),
    ("put", "/v1/chunks/{digest}", None),
];

/// A registry where rosa was granted a checkpoint and has a lease.
struct Record {
    served: Served,
    bearers: BTreeMap<&'static str, String>,
    request: String,
    grant: String,
}

impl Record {
    fn new(database: Database) -> Self {
        let served = Served::released(database, "partners");
        let (request, grant) = served.granted();
        served.scene.succeed("rosa", &format!("pull {ID}"));
        served.scene.succeed("rosa", &format!("lease {ID}"));
        let people = ["ada", "cy", "rosa", "eve", "august"];
        let bearers = people.map(|person| (person, served.bearer(person))).into();
        let mut scene = Self { served, bearers, request: String::new(), grant: String::new() };
        scene.request = scene.digest("request", &request);
        scene.grant = scene.digest("grant", &grant);
        scene
    }

    fn digest(&self, kind: &str, prefix: &str) -> String {
        let page = self.get("rosa", &format!("/v1/statements?kind={kind}&prefix={prefix}")).json();
        page["statements"][0]["digest"].as_str().unwrap().to_owned()
    }

    fn send(&self, person: &str, method: &'static str, path: &str, body: Option<&str>) -> Answer {
        let url = format!("{}{path}", self.served.process.url);
        let bearer = Some(self.bearers[person].clone());
        ask(&Ask { url, method, bearer, body: body.map(str::to_owned), ..Ask::default() })
    }

    fn get(&self, person: &str, path: &str) -> Answer {
        let answer = self.send(person, "GET", path, None);
        assert_eq!(answer.status, 200, "{person} {path}: {}", answer.text);
        answer
    }

    /// What a person is on record as having read, with how often.
    fn readings(&self, person: &str) -> BTreeMap<String, usize> {
        let key = self.served.scene.identity(person).card().verifying_key.id().to_string();
        let page = self.get("august", "/v1/statements?kind=reading&limit=1000").json();
        let mut readings = BTreeMap::new();
        for item in page["statements"].as_array().unwrap() {
            let reading = payload(&item["envelope"])["predicate"].clone();
            if reading["reader"] == key {
                *readings.entry(reading["kind"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        readings
    }
}

fn payload(envelope: &Value) -> Value {
    use base64::Engine as _;
    let payload = envelope["payload"].as_str().unwrap();
    let payload = base64::engine::general_purpose::STANDARD.decode(payload).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

fn each(test: impl Fn(Database)) {
    [Database::Sqlite, Database::Postgres].into_iter().for_each(test);
}

#[test]
fn a_private_route_that_nobody_watches() {
    let served = Served::unfounded(Database::Sqlite);
    let document = served.get("/openapi.json").json();
    let mut private = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["security"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one.get("bearer").is_some()))
            {
                private.insert((method.clone(), path.clone()));
            }
        }
    }
    let covered = PRIVATE.map(|(method, path, _)| (method.to_owned(), path.to_owned()));
    let covered: BTreeSet<_> = covered.into();
    let strays: Vec<_> = private.difference(&covered).collect();
    assert!(strays.is_empty(), "say in this file what these tell of others, and try it below: {strays:?}");
}

#[test]
fn a_board_member_reads_without_an_entry() {
    each(|database| {
        let scene = Record::new(database);
        let manifest = payload(&scene.get("rosa", &format!("/v1/grants/{}", scene.grant)).json()["envelope"]);
        let manifest = manifest["subject"][0]["digest"]["sha256"].as_str().unwrap().to_owned();
        let Record { request, grant, .. } = &scene;
        let assignee = scene.served.scene.identity("cy").card().verifying_key.id();
        let assignee = format!("{{\"assignee\":\"{assignee}\"}}");
        let routes: [(&str, &str, String, Option<&str>); 8] = [
            ("queue", "GET", format!("/v1/requests?checkpoint={ID}&state=granted"), None),
            ("history", "GET", format!("/v1/requests/{request}"), None),
            ("decision", "GET", format!("/v1/grants/{grant}"), None),
            ("shares", "GET", format!("/v1/checkpoints/{ID}/manifests/{manifest}/shares"), None),
            ("grant", "GET", "/v1/statements?kind=grant".to_owned(), None),
            ("lease", "GET", format!("/v1/statements?kind=lease&about={grant}"), None),
            ("request", "GET", format!("/v1/statements?kind=request&prefix={}", &request[..8]), None),
            ("share", "GET", format!("/v1/statements?kind=share&about={grant}&newest=true"), None),
        ];
        for (what, method, path, body) in &routes {
            let answer = scene.send("cy", method, path, *body);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
            assert!(scene.readings("cy").contains_key(*what), "{path}: {:?}", scene.readings("cy"));
        }
        // What is shown after a change is a reading, too; here it is the one of the queue, within the hour.
        let assign = format!("/v1/requests/{request}/assignee");
        assert_eq!(scene.send("cy", "PUT", &assign, Some(&assignee)).status, 200);
        let ada = scene.readings("ada");
        assert_eq!(scene.send("ada", "PUT", &assign, Some(&assignee)).status, 200);
        assert!(scene.readings("ada").get("queue") > ada.get("queue"), "{ada:?}");
        // The same again is the same reading.
        let before = scene.readings("cy");
        for (_, method, path, body) in &routes {
            assert_eq!(scene.send("cy", method, path, *body).status, 200);
        }
        assert_eq!(scene.readings("cy"), before);
        // One's own is no reading.
        scene.get("rosa", &format!("/v1/requests/{request}"));
        scene.get("rosa", &format!("/v1/statements?kind=share&about={grant}"));
        assert_eq!(scene.readings("rosa"), BTreeMap::new());
    });
}

#[test]
fn an_auditor_reads_the_whole_record_from_its_second_entry() {
    each(|database| {
        let scene = Record::new(database);
        let audits = || scene.readings("august").get("audit").copied().unwrap_or(0);
        assert_eq!(audits(), 0);
        let page = scene.get("august", "/v1/audit/records?from=1").json();
        assert!(page["records"].as_array().unwrap().len() > 3, "{page}");
        assert_eq!(audits(), 1);
        // Going on is the same audit.
        scene.get("august", "/v1/audit/records?from=2");
        assert_eq!(audits(), 1);
        // What came in after that audit is another.
        scene.served.scene.succeed(
            "rosa",
            &format!("request new {ID} --purpose More --use detection --days 3 --accept-agreement"),
        );
        let from = page["records"].as_array().unwrap().len() + 1;
        let path = format!("/v1/audit/records?from={from}");
        let has_more = || !scene.get("august", &path).json()["records"].as_array().unwrap().is_empty();
        // It takes its place in the log within a second.
        assert!((0..50).any(|_| has_more() || {
            std::thread::sleep(Duration::from_millis(100));
            false
        }));
        assert_eq!(audits(), 2);
        for person in ["ada", "rosa", "eve"] {
            assert_eq!(scene.send(person, "GET", "/v1/audit/records?from=1", None).status, 403, "{person}");
        }
    });
}

#[test]
fn a_stranger_counts_rows_by_pages() {
    each(|database| {
        let scene = Record::new(database);
        let Record { request, grant, .. } = &scene;
        let none = "0".repeat(64);
        // There are two envelopes of the grant and two shares of it; neither a page nor its end tells so.
        let lists: [(&str, String, String); 4] = [
            ("grant", format!("prefix={}", &grant[..12]), format!("prefix={}", &none[..12])),
            ("grant", format!("about={request}"), format!("about={none}")),
            ("share", format!("about={grant}"), format!("about={none}")),
            ("lease", format!("about={grant}&newest=true"), format!("about={none}&newest=true")),
        ];
        for (kind, real, unreal) in lists {
            let path = |which: &str| format!("/v1/statements?kind={kind}&{which}&limit=1");
            let (real, unreal) = (scene.get("eve", &path(&real)), scene.get("eve", &path(&unreal)));
            assert_eq!(real.text, unreal.text, "{kind}");
            assert_eq!(unreal.json(), serde_json::json!({ "statements": [] }), "{kind}");
        }
        // Who may read it gets all of it, in parts that begin after what they were shown.
        let path = format!("/v1/statements?kind=share&about={grant}&limit=1");
        let first = scene.get("rosa", &path).json();
        let next = first["next"].as_str().unwrap();
        assert_eq!(next.split('.').next(), first["statements"][0]["digest"].as_str());
        let second = scene.get("rosa", &format!("{path}&after={next}")).json();
        assert_ne!(first["statements"], second["statements"]);
        assert_eq!(second["next"], Value::Null);
        // Another's place in a list is no place to begin at, and no way to learn that there is such a row.
        let key = next.split('.').nth(1).unwrap();
        for list in ["statements?kind=share&", "requests?"] {
            let refusals =
                [next.to_owned(), format!("{none}.{key}"), format!("{request}.{key}")].map(|after| {
                    let answer = scene.send("eve", "GET", &format!("/v1/{list}after={after}"), None);
                    let digest = after.split('.').next().unwrap().to_owned();
                    (answer.status, answer.text.replace(&digest, "<digest>"))
                });
            assert_eq!(refusals[0].0, 404, "{refusals:?}");
            assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
        }
        let number = scene.send("eve", "GET", "/v1/requests?after=1", None);
        assert_eq!(number.status, 400, "{}", number.text);
    });
}
