//! Floods by strangers: memory, disk, processor, the board's queue.

use portcullis::access::{Request, Session, Withdrawal};
use portcullis::api::WorkDemand;
use portcullis::digest::Sha256Digest;
use portcullis::identity::{Identity, Signer};
use portcullis::statement::{Envelope, IN_TOTO, Statement, Subject, sign_card};
use portcullis::store::Store;
use portcullis::time::Timestamp;
use portcullis::usage::{JournalId, UsageBatch};
use serde_json::{Value, json};

use crate::support::endpoint::Endpoint;
use crate::support::people::ID;
use crate::support::served::{Answer, Ask, Database, Served, ask};
use crate::support::{fixture, workplace};

/// How much more memory a server may hold after a flood than before it.
const MAX_GROWTH: u64 = 32 << 20;

#[test]
fn thousands_of_invented_methods_grow_neither_memory_nor_what_is_scraped() {
    let served = Served::unfounded(Database::Sqlite);
    let before = (served.process.resident_bytes(), served.get("/metrics").text.len());
    let tail = "X".repeat(30_000);
    for batch in 0..40 {
        let requests = (0..25).map(|i| {
            let end = if i == 24 { "Connection: close\r\n" } else { "" };
            format!("M{batch}Y{i}{tail} /healthz HTTP/1.1\r\nHost: localhost\r\n{end}\r\n")
        });
        let answers = served.process.send_raw(requests.collect::<String>().as_bytes());
        assert!(answers.starts_with("HTTP/1.1 4"), "{answers}");
    }
    let scraped = served.get("/metrics").text;
    assert!(scraped.contains(r#"method="other""#), "{scraped}");
    assert!(!scraped.contains("XXXX"));
    assert!(scraped.len() < before.1 + 10_000, "{} bytes", scraped.len());
    let grown = served.process.resident_bytes().saturating_sub(before.0);
    assert!(grown < MAX_GROWTH, "{grown} bytes more");
}

#[test]
fn two_hosts_in_one_request_are_refused_by_registry_and_endpoint_alike() {
    let served = Served::unfounded(Database::Sqlite);
    let asked = |hosts: &[&str], version: &str| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        format!("GET /healthz HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n").into_bytes()
    };
    let folder = workplace();
    let import = format!("import tiny {} --to tiny", fixture("golden/f32").display());
    crate::support::succeed(folder.path(), &import);
    let endpoint = Endpoint::start(folder.path(), "serve tiny", &[]);
    for (server, name) in [(served.process.url.as_str(), "registry"), (endpoint.url.as_str(), "endpoint")] {
        let send = |bytes: &[u8]| crate::support::served::send_raw(server, bytes);
        for hosts in [
            &["localhost", "evil.example"][..],
            &["localhost", "localhost"],
            &[],
            &["localhost, evil.example"],
            &["localhost:80:80"],
            &["evil.example@localhost"],
        ] {
            let answer = send(&asked(hosts, "1.1"));
            assert!(answer.starts_with("HTTP/1.1 400"), "{name}: {hosts:?}: {answer}");
        }
        assert!(send(&asked(&["localhost"], "1.1")).starts_with("HTTP/1.1 200"), "{name}");
        // A balancer's probe of old names no host.
        assert!(send(&asked(&[], "1.0")).starts_with("HTTP/1.0 200"), "{name}");
    }
}

/// A request for the checkpoint by somebody whose key was just made; `edit` changes it before it is signed.
pub(super) fn stranger_request(served: &Served, number: u32, edit: impl FnOnce(&mut Request)) -> Envelope {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    let (name, lab) = (format!("Stranger {number}").parse().unwrap(), "Lab".parse().unwrap());
    let now = Timestamp::now();
    let identity = Identity::new(name, Some(lab), &seed, &seed, now);
    let agreement = std::fs::read(served.scene.at("agreement.md")).unwrap();
    let manifest = std::fs::read(served.scene.at(&format!("homes/ada/sealed/{ID}/manifest.json"))).unwrap();
    let mut request = Request {
        checkpoint: ID.parse().unwrap(),
        purpose: "To see how much is taken".parse().unwrap(),
        uses: ["detection".parse().unwrap()].into(),
        days: 30,
        agreement: Some(Sha256Digest::compute(&agreement)),
        renews: None,
        card: identity.card().clone(),
        members: Vec::new(),
        created: now,
    };
    edit(&mut request);
    let subject = Subject { name: ID.to_owned(), digest: Sha256Digest::compute(&manifest) };
    let catalogue = served.scene.catalogue_id("ada");
    Statement::new(catalogue, subject, request).sign(&*identity.signer(None).unwrap()).unwrap()
}

pub(super) fn hand_in(served: &Served, envelope: &Envelope, work: Option<String>) -> Answer {
    ask(&Ask {
        url: format!("{}/v1/statements", served.process.url),
        method: "POST",
        headers: work.map(|work| ("portcullis-work", work)).into_iter().collect(),
        body: Some(envelope.to_json()),
        ..Ask::default()
    })
}

/// Does the work that the registry asks for, and hands the statement in with it.
pub(super) fn pay_and_hand_in(served: &Served, envelope: &Envelope) -> Answer {
    let asked = hand_in(served, envelope, None);
    assert_eq!(asked.status, 403, "{}", asked.text);
    let demand: WorkDemand = serde_json::from_value(asked.json()["work"].clone()).unwrap();
    hand_in(served, envelope, Some(demand.solve(envelope.digest(), || true).unwrap().to_header()))
}

pub(super) fn said(answer: &Answer) -> String {
    let problem = answer.json();
    let text = |name: &str| problem[name].as_str().unwrap().to_owned();
    format!("{} {}\n  next: {}", answer.status, text("detail"), text("next"))
}

/// The same statement with white space between the parts of its JSON, signed anew.
fn padded(envelope: &Envelope, signer: &dyn Signer) -> Envelope {
    let payload = String::from_utf8(envelope.payload().to_vec()).unwrap();
    let payload = payload.replacen(':', &format!(":{}", " ".repeat(30_000)), 1);
    let mut padded = Envelope::new(IN_TOTO, payload.into_bytes());
    padded.sign(signer).unwrap();
    padded
}

fn fresh_keys_fill_nothing_without_work(database: Database) {
    let served = Served::released(database, "partners").limited("limits.newcomer_work_bits = 8\n");
    let stranger = Identity::new("Stranger".parse().unwrap(), None, &[9; 32], &[9; 32], Timestamp::now());
    let signer = stranger.signer(None).unwrap();
    let card = |request: &mut Request| request.card = stranger.card().clone();
    let refused = hand_in(&served, &padded(&stranger_request(&served, 0, card), &*signer), None);
    insta::allow_duplicates! {
        insta::assert_snapshot!(said(&refused), @"
        422 the request is malformed: it is not in canonical form
          next: send it as this program writes it, with the signatures that its kind has and no others
        ");
    }
    // Without work, with another statement's, and with work for a challenge of one's own.
    let (one, another) = (stranger_request(&served, 1, |_| {}), stranger_request(&served, 2, |_| {}));
    let demand: WorkDemand =
        serde_json::from_value(hand_in(&served, &one, None).json()["work"].clone()).unwrap();
    let proof = demand.solve(one.digest(), || true).unwrap().to_header();
    let own = WorkDemand { challenge: Sha256Digest::compute(b"mine"), bits: 8 };
    let own = own.solve(one.digest(), || true).unwrap().to_header();
    for (envelope, work) in [(&one, None), (&another, Some(proof.clone())), (&one, Some(own))] {
        assert_eq!(hand_in(&served, envelope, work).status, 403);
    }
    assert_eq!(hand_in(&served, &one, Some("words".to_owned())).status, 400);
    let kept = served.get_as("ada", &format!("/v1/requests?checkpoint={ID}")).json();
    assert_eq!(kept["requests"].as_array().unwrap().len(), 0, "nothing is kept");
    // With work it is taken, once.
    assert_eq!(hand_in(&served, &one, Some(proof.clone())).status, 201);
    assert_eq!(hand_in(&served, &one, Some(proof)).status, 200);
}

#[test]
fn fresh_keys_fill_no_sqlite_with_statements_that_cost_nothing() {
    fresh_keys_fill_nothing_without_work(Database::Sqlite);
}

#[test]
fn fresh_keys_fill_no_postgresql_with_statements_that_cost_nothing() {
    fresh_keys_fill_nothing_without_work(Database::Postgres);
}

#[test]
fn junk_signatures_and_long_payloads_are_refused_before_any_is_checked() {
    let served = Served::released(Database::Sqlite, "partners").limited("limits.newcomer_work_bits = 1\n");
    let junk = |envelope: &Envelope, count: usize| {
        let mut json: Value = serde_json::from_str(&envelope.to_json()).unwrap();
        let signature = json!({ "sig": base64(&[1; 64]) });
        let signatures = json["signatures"].as_array_mut().unwrap();
        (0..count).for_each(|_| signatures.push(signature.clone()));
        Envelope::parse(json.to_string().as_bytes()).unwrap()
    };
    let spent = served.process.processor_seconds();
    let mut heard = Vec::new();
    for number in 0..20 {
        let cards = (0..50).map(|member| {
            let seed = [member + 1; 32];
            let (name, organization) =
                (format!("Member {member}").parse().unwrap(), Some("Lab".parse().unwrap()));
            let identity = Identity::new(name, organization, &seed, &seed, Timestamp::now());
            // As many as a card may seem to have, or as a request has room for.
            let count = if number % 2 == 0 { 63 } else { 10 };
            junk(&sign_card(identity.card(), &*identity.signer(None).unwrap()).unwrap(), count)
        });
        let cards: Vec<_> = cards.collect();
        let request = stranger_request(&served, number, |request| request.members = cards);
        heard.push(said(&hand_in(&served, &request, None)));
    }
    let spent = served.process.processor_seconds() - spent;
    let digits = regex::Regex::new(r"\d{6} bytes").unwrap();
    let heard = heard.iter().map(|said| digits.replace_all(said, "<n> bytes").into_owned());
    let mut heard: Vec<_> = std::collections::BTreeSet::from_iter(heard).into_iter().collect();
    heard.push(said(&hand_in(&served, &junk(&stranger_request(&served, 100, |_| {}), 1), None)));
    let signer = served.scene.identity("rosa").signer(None).unwrap();
    let mut long = stranger_request(&served, 101, |_| {});
    (0..10).for_each(|_| long = padded(&long, &*signer));
    heard.push(said(&hand_in(&served, &long, None)));
    insta::assert_snapshot!(heard.join("\n"), @"
    422 a card must have one signature; this one has 11
      next: send it as this program writes it, with the signatures that its kind has and no others
    422 the statement has <n> bytes; at most 194560 are accepted
      next: send it as this program writes it, with the signatures that its kind has and no others
    422 a request must have one signature; this one has 2
      next: send it as this program writes it, with the signatures that its kind has and no others
    422 the statement has 300781 bytes; at most 194560 are accepted
      next: send it as this program writes it, with the signatures that its kind has and no others
    ");
    // Checked one by one they took 0.25 s each on a release; this may be a build without optimization, which parses as much each time.
    assert!(spent < 2.0, "{spent} s");
}

fn one_person_floods_no_queue(database: Database) {
    let served = Served::released(database, "partners").limited("limits.newcomer_work_bits = 4\n");
    let ask = |number: u32, purpose: String| {
        let request = stranger_request(&served, number, |request| request.purpose = purpose.parse().unwrap());
        pay_and_hand_in(&served, &request)
    };
    // All at once: whoever comes first is in, and no more than may be.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|i| scope.spawn(move || ask(1, format!("Purpose {i}")))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(taken, 3, "{answers:?}");
    let refused = answers.iter().find(|answer| answer.status != 201).unwrap();
    assert_eq!(refused.header("retry-after"), Some("3600"));
    insta::allow_duplicates! {
        insta::assert_snapshot!(said(refused), @"
        429 3 requests of one person may be pending for a checkpoint at a time
          next: wait for the board's answer, or take one back with `portcullis request withdraw <request>`
        ");
    }
    let pending = served.get_as("ada", &format!("/v1/requests?checkpoint={ID}&state=pending")).json();
    assert_eq!(pending["requests"].as_array().unwrap().len(), 3);
}

#[test]
fn one_person_floods_no_queue_in_sqlite() {
    one_person_floods_no_queue(Database::Sqlite);
}

#[test]
fn one_person_floods_no_queue_in_postgresql() {
    one_person_floods_no_queue(Database::Postgres);
}

#[test]
fn many_strangers_have_one_days_quota_by_address_and_for_a_checkpoint() {
    let limits = "limits.newcomer_work_bits = 1\nlimits.newcomer_requests = 20\n";
    let served = Served::released(Database::Sqlite, "partners").limited(limits);
    let ask = |number| pay_and_hand_in(&served, &stranger_request(&served, number, |_| {}));
    assert_eq!((ask(1).status, ask(2).status), (201, 201));
    let refused = ask(3);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=24 * 3600).contains(&wait), "{wait}");
    let mut heard = vec![said(&refused)];
    let served = served.limited("limits.newcomer_work_bits = 1\nlimits.newcomer_requests_per_address = 2\n");
    let ask = |number| pay_and_hand_in(&served, &stranger_request(&served, number, |_| {}));
    assert_eq!((ask(4).status, ask(5).status), (201, 201));
    heard.push(said(&ask(6)));
    // Whom the catalogue names neither pays nor counts.
    let new = format!("request new {ID} --purpose Mine --use detection --days 30 --accept-agreement");
    served.scene.succeed("ada", &new);
    insta::assert_snapshot!(heard.join("\n"), @"
    429 newcomers of one network may make 2 requests for a checkpoint in a day
      next: ask again tomorrow
    429 newcomers at this address made as many requests as are taken in a day
      next: wait as long as Retry-After says, and try again
    ");
}

/// Pays and hands in from an address, as the proxy in front tells it; the work that was asked for, and the answer.
fn from_address(served: &Served, number: u32, address: &str) -> (u32, Answer) {
    let envelope = stranger_request(served, number, |_| {});
    let send = |work: Option<String>| {
        let headers = work.map(|work| ("portcullis-work", work)).into_iter();
        ask(&Ask {
            url: format!("{}/v1/statements", served.process.url),
            method: "POST",
            headers: headers.chain([("x-forwarded-for", address.to_owned())]).collect(),
            body: Some(envelope.to_json()),
            ..Ask::default()
        })
    };
    let demand: WorkDemand = serde_json::from_value(send(None).json()["work"].clone()).unwrap();
    let proof = demand.solve(envelope.digest(), || true).unwrap().to_header();
    (demand.bits, send(Some(proof)))
}

#[test]
fn one_who_pays_uses_up_the_days_newcomers_for_nobody_but_their_neighbours() {
    let limits = "behind_proxy = true\nlimits.newcomer_work_bits = 1\nlimits.newcomer_requests = 20\n";
    let served = Served::released(Database::Sqlite, "partners").limited(limits);
    let ask = |number, address: &str| from_address(&served, number, address);
    // One network has a tenth, whatever its addresses.
    assert_eq!((ask(1, "10.1.0.1").1.status, ask(2, "10.1.200.2").1.status), (201, 201));
    let mut heard = vec![said(&ask(3, "10.1.7.7").1)];
    assert_eq!(ask(4, "2001:db8:1::1").1.status, 201);
    assert_eq!(ask(5, "2001:db8:ffff::1").1.status, 201);
    heard.push(said(&ask(6, "2001:db8:2::1").1));
    // Many networks use up all of it; each bit costs twice as much.
    let mut bits = Vec::new();
    for network in 0..16 {
        let (asked, answer) = ask(10 + network, &format!("10.{}.0.1", 10 + network));
        assert_eq!(answer.status, 201, "{}", answer.text);
        bits.push(asked);
    }
    assert_eq!((bits[0], bits[15], ask(30, "10.10.0.2").0), (1, 4, 5));
    heard.push(said(&ask(31, "10.11.0.2").1));
    // A network that did not ask today is let in all the same.
    assert_eq!(ask(32, "192.0.2.1").1.status, 201);
    insta::assert_snapshot!(heard.join("\n"), @"
    429 newcomers of one network may make 2 requests for a checkpoint in a day
      next: ask again tomorrow
    429 newcomers of one network may make 2 requests for a checkpoint in a day
      next: ask again tomorrow
    429 newcomers may make 20 requests for a checkpoint in a day, all of them together
      next: ask again tomorrow
    ");
}

fn one_key_fills_no_log(database: Database) {
    let served = Served::released(database, "partners").limited("limits.statements_per_person = 3\n");
    let scene = &served.scene;
    let (request, grant) = served.granted();
    let case = scene.open_case("august", &grant);
    for number in 0..3 {
        scene.succeed("august", &format!("case comment {case} Comment-{number}"));
    }
    let refused = scene.refuse("august", &format!("case comment {case} Once-more"));
    insta::allow_duplicates! {
        insta::assert_snapshot!(refused.replace(&served.process.url, "<registry>"), @"
        exit 5
        error: <registry> refuses: one person may hand in 3 statements of the kind `case-step` in a day
          next: go on tomorrow; if this is your work, the operator can raise `limits.statements_per_person`
        ");
    }
    // Of another kind, and of others, as many again.
    scene.succeed("ada", &format!("revoke {grant} --reason Enough"));
    assert!(scene.succeed("rosa", &format!("request show {request}")).contains("Enough"));
    assert!(scene.succeed("august", "audit verify").starts_with("the record holds"));
}

#[test]
fn one_key_fills_no_log_in_sqlite_with_statements_of_a_kind() {
    one_key_fills_no_log(Database::Sqlite);
}

#[test]
fn one_key_fills_no_log_in_postgresql_with_statements_of_a_kind() {
    one_key_fills_no_log(Database::Postgres);
}

fn asking_the_same_twice_is_one_request(database: Database) {
    let served = Served::released(database, "partners").limited("");
    let scene = &served.scene;
    let new = format!("request new {ID} --purpose Same --use detection --days 30 --accept-agreement");
    // As it is shipped, a newcomer's work is done by the command itself.
    let first = scene.json("rosa", &new);
    // With the next second's date it is another statement.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let again = scene.json("rosa", &new);
    assert_eq!(first["request"], again["request"]);
    assert_eq!(again["new"], false);
    let shown = scene.succeed("rosa", &new);
    insta::allow_duplicates! {
        insta::assert_snapshot!(scene.stable(&shown), @"
        you asked for that already: request <digits> is pending
          next: `portcullis request show <digits>` tells how it stands
        ");
    }
    let other = new.replace("Same", "Other");
    assert_ne!(scene.json("rosa", &other)["request"], first["request"]);
}

#[test]
fn asking_the_same_twice_is_one_request_in_sqlite() {
    asking_the_same_twice_is_one_request(Database::Sqlite);
}

#[test]
fn asking_the_same_twice_is_one_request_in_postgresql() {
    asking_the_same_twice_is_one_request(Database::Postgres);
}

#[test]
fn a_request_is_withdrawn_once_however_often_it_is_said() {
    let served = Served::released(Database::Sqlite, "partners").limited("limits.newcomer_work_bits = 1\n");
    let request = stranger_request(&served, 1, |_| {});
    assert_eq!(pay_and_hand_in(&served, &request).status, 201);
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&1_u32.to_be_bytes());
    let identity = Identity::new("Stranger 1".parse().unwrap(), None, &seed, &seed, Timestamp::now());
    let signer = identity.signer(None).unwrap();
    let mut statuses = Vec::new();
    for second in 0..20 {
        let created = Timestamp::now().plus_seconds(-second);
        let predicate = Withdrawal { request: request.digest(), created };
        let subject = request.claim::<Request>().unwrap().subject;
        let catalogue = served.scene.catalogue_id("ada");
        let withdrawal = Statement::new(catalogue, subject, predicate).sign(&*signer).unwrap();
        statuses.push(hand_in(&served, &withdrawal, None).status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses[1..].iter().all(|status| *status == 200), "{statuses:?}");
}

#[test]
fn long_bodies_of_strangers_are_refused_before_they_are_read() {
    let served = Served::founded(Database::Sqlite);
    let digest = Sha256Digest::compute(b"chunk");
    let eve = format!("Authorization: Bearer {}\r\n", served.bearer("eve"));
    for (line, bearer, status) in [
        (format!("PUT /v1/chunks/{digest}"), "", "401"),
        (format!("PUT /v1/chunks/{digest}"), eve.as_str(), "403"),
        (format!("PUT /v1/checkpoints/{ID}/seal"), eve.as_str(), "403"),
        ("POST /v1/catalogue/proposals/targets".to_owned(), "", "413"),
        ("POST /v1/catalogue/proposals/targets".to_owned(), eve.as_str(), "413"),
    ] {
        // The head says that 60 MB follow, and nothing does: the answer is there all the same.
        let head = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{bearer}Content-Type: application/json\r\n\
             Content-Length: 60000000\r\n\r\n"
        );
        let answer = served.process.send_raw(head.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {answer}");
    }
}

#[test]
fn usage_of_a_stranger_and_more_of_anybody_than_a_day_has_are_refused() {
    let served = Served::released(Database::Sqlite, "partners").limited("limits.usage_mib_per_person = 1\n");
    let scene = &served.scene;
    let now = Timestamp::now();
    let stranger = Identity::new("Stranger".parse().unwrap(), None, &[9; 32], &[9; 32], now);
    let batch = UsageBatch {
        card: stranger.card().clone(),
        journal: JournalId::from_bytes([1; 16]),
        first: 0,
        previous: Sha256Digest::compute(b""),
        records: vec!["a line that nobody parses".to_owned(); 5000],
        created: now,
    };
    let subject = Subject { name: "usage".to_owned(), digest: Sha256Digest::compute(b"") };
    let batch = Statement::new(scene.catalogue_id("ada"), subject, batch);
    let batch = batch.sign(&*stranger.signer(None).unwrap()).unwrap();
    let mut heard = vec![said(&hand_in(&served, &batch, None))];
    served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    scene.succeed("rosa", "usage sync");
    // As if she had handed in a MiB today.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rosa = scene.identity("rosa").card().verifying_key.id();
    runtime.block_on(async {
        let store = Store::open(&format!("sqlite:{}", scene.at("reg/registry.db").display())).await.unwrap();
        // It may be tomorrow by now.
        let (today, tomorrow) = (now, now.plus_days(1));
        let counted = store.usage_of_day(rosa, today).await.unwrap()
            + store.usage_of_day(rosa, tomorrow).await.unwrap();
        assert!(counted > 0, "what came in is counted");
        store.count_usage(rosa, 1 << 20, today).await.unwrap();
        store.count_usage(rosa, 1 << 20, tomorrow).await.unwrap();
    });
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    let refused = scene.refuse("rosa", "usage sync").replace(&served.process.url, "<registry>");
    heard.push(refused);
    insta::assert_snapshot!(heard.join("\n"), @"
    403 usage is taken only from people who were granted something here
      next: ask with `portcullis request new <checkpoint> --purpose <why>` first
    exit 5
    error: <registry> refuses: one person may hand in 1 MiB of usage in a day
      next: the rest comes in tomorrow: `portcullis usage sync`
    ");
}

#[test]
fn a_session_with_junk_beside_its_signature_is_refused_before_any_is_checked() {
    let served = Served::founded(Database::Sqlite);
    let rosa = served.scene.identity("rosa");
    let registry = served.get("/v1/registry").json()["key_id"].as_str().unwrap().parse().unwrap();
    let challenge = served.post("/v1/challenges", "{}").json()["challenge"].as_str().unwrap().to_owned();
    let origin = Some(served.process.url.parse().unwrap());
    let session = Session { registry, origin, card: rosa.card().clone(), created: Timestamp::now() };
    let subject = Subject { name: "session".to_owned(), digest: Sha256Digest::compute(challenge.as_bytes()) };
    let session = Statement::without_catalogue(subject, session).sign(&*rosa.signer(None).unwrap()).unwrap();
    let mut json: Value = serde_json::from_str(&session.to_json()).unwrap();
    let junk = json!({ "sig": base64(&[1; 64]) });
    (0..60).for_each(|_| json["signatures"].as_array_mut().unwrap().insert(0, junk.clone()));
    let refused = served.post("/v1/sessions", &json.to_string());
    assert_eq!(said(&refused).lines().next(), Some("422 a session must have one signature; this one has 61"));
    assert_eq!(served.post("/v1/sessions", &session.to_json()).status, 201);
}

fn what_is_over_is_forgotten(database: Database) {
    let place = workplace();
    let url = match database {
        Database::Sqlite => format!("sqlite:{}", place.path().join("r.db").display()),
        Database::Postgres => database.url(),
    };
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    let person = Identity::new("Ada".parse().unwrap(), None, &[1; 32], &[1; 32], now);
    let person = person.card().verifying_key.id();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::open(&url).await.unwrap();
        let challenge = |number: u8| Sha256Digest::compute(&[number]);
        for number in 0..100 {
            let expires = now.plus_seconds(if number < 99 { 120 } else { 1000 });
            store.put_challenge(challenge(number), expires).await.unwrap();
        }
        store.count_usage(person, 7, now).await.unwrap();
        store.forget(now.plus_seconds(200)).await.unwrap();
        assert_eq!(store.usage_of_day(person, now).await.unwrap(), 7, "the day is not over");
        store.forget(now.plus_days(2)).await.unwrap();
        assert_eq!(store.usage_of_day(person, now).await.unwrap(), 0);
        let bearer = (Sha256Digest::compute(b"bearer"), person, now.plus_seconds(3600));
        let used = |number| store.exchange_challenge(challenge(number), bearer, now);
        assert!(!used(1).await.unwrap() && !used(99).await.unwrap(), "nothing is left");
    });
}

#[test]
fn challenges_that_anybody_asks_for_do_not_pile_up_in_sqlite() {
    what_is_over_is_forgotten(Database::Sqlite);
}

#[test]
fn challenges_that_anybody_asks_for_do_not_pile_up_in_postgresql() {
    what_is_over_is_forgotten(Database::Postgres);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
