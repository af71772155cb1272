//! The registry over HTTP, by the real binary on both sides: every test here runs on SQLite and on PostgreSQL.

use crate::support::people::{ID, POLICY};
use crate::support::served::{Answer, Ask, Database, Process, Served, ask};
use portcullis::access::{Lease, Request, Session, Statements as _};
use portcullis::client::Vault;
use portcullis::digest::Sha256Digest;
use portcullis::identity::{Identity, IdentityFile, KeyId};
use portcullis::statement::{Envelope, Statement, Subject};
use portcullis::time::Timestamp;

/// Each function is a test on each database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $name() { insta::allow_duplicates! { super::$name(super::Database::Sqlite) } })*
        }
        mod on_postgresql {
            $(#[test] fn $name() { insta::allow_duplicates! { super::$name(super::Database::Postgres) } })*
        }
    };
}

on_both! {
    a_researcher_asks_the_board_approves_and_it_runs,
    a_statement_sent_twice_changes_nothing,
    a_registry_tells_where_a_request_stands,
    only_a_json_object_assigns_a_request,
    a_request_that_no_rule_could_permit_is_refused_with_the_rule,
    nobody_approves_their_own_request,
    a_request_is_decided_once,
    a_denied_request_can_be_made_again,
    a_grant_is_renewed_by_another_request,
    several_boards_decide_together,
    a_public_stage_answers_by_itself,
    what_is_private_is_shown_to_those_whom_it_concerns,
    only_a_fresh_answer_to_an_own_challenge_opens_a_session,
    a_lease_is_refused_after_a_revocation,
    a_lease_that_is_over_is_refused_offline_with_whom_to_write_to,
    what_was_acknowledged_survives_a_kill,
    lists_come_in_pages,
    a_chunk_is_kept_under_its_own_digest_only,
    the_newest_of_many_can_be_asked_for,
    keepers_change_the_catalogue_over_http,
}

fn a_researcher_asks_the_board_approves_and_it_runs(database: Database) {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    served.granted();
    let pulled = scene.succeed("rosa", &format!("pull {ID}"));
    assert!(pulled.contains("6 chunks, 0 of them there already"), "{pulled}");
    let first = scene.run("rosa", &format!("run {ID} Hello --seed 7 -n 4"));
    let first = String::from_utf8_lossy(&first.stdout);
    // The lease is there: the registry is not needed for another run.
    let url = served.process.url.clone();
    served.process.kill();
    let offline = scene.run("rosa", &format!("run {ID} Hello --seed 7 -n 4"));
    assert!(offline.status.success(), "{}", crate::support::failure(&offline));
    assert_eq!(String::from_utf8_lossy(&offline.stdout), first);
    let said = crate::support::text(&offline.stderr).replace(&url, "<registry>");
    insta::assert_snapshot!(said, @"note: <registry> is out of reach (nothing listens there: it refused the connection); using the catalogue as seen last");
}

fn a_statement_sent_twice_changes_nothing(database: Database) {
    let served = Served::released(database, "partners");
    let rosa = served.scene.identity("rosa");
    let request = request_by(&served, &rosa, |_| {});
    let first = served.post("/v1/statements", &request.to_json());
    let second = served.post("/v1/statements", &request.to_json());
    assert_eq!((first.status, first.json()["new"].as_bool()), (201, Some(true)), "{}", first.text);
    assert_eq!((second.status, second.json()["new"].as_bool()), (200, Some(false)), "{}", second.text);
    let standing = served.get_as("rosa", &format!("/v1/requests/{}", request.digest())).json();
    assert_eq!(standing["history"].as_array().unwrap().len(), 1, "{standing}");
    assert_eq!(standing["place"], 1);
}

fn a_registry_tells_where_a_request_stands(database: Database) {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    let request = scene.request();
    scene.succeed("ben", &format!("request assign {request}"));
    insta::assert_snapshot!(scene.stable(&scene.succeed("rosa", &format!("request show {request}"))), @r"
    pending: 0 of 2 approvals
      request      <digest>
      checkpoint   tiny in stage `partners`
      who          rosa, University (unconfirmed)
      key id       <digest>
      uses         detection
      days         30
      agreement    accepted
      asked        <time>
      purpose      Detectors
      approved     board, 2 needed: nobody yet; 2 more of ada (<key>), ben (<key>), cy (<key>)
      queue        1st of those that wait; nothing was decided yet
      looked after by ben
      <time>  pending by rosa
      <time>  assigned to ben by ben
    ");
    scene.succeed("ada", &format!("approve {request}"));
    scene.succeed("ben", &format!("approve {request}"));
    let shown = scene.json("rosa", &format!("request show {request}"));
    assert_eq!(shown["standing"]["request"]["state"], "granted");
    assert!(shown["standing"]["median_seconds"].is_number(), "{shown}");
    let eve = served.get_as("eve", &format!("/v1/requests/{}", shown["digest"].as_str().unwrap()));
    assert_eq!(eve.status, 403);
}

fn only_a_json_object_assigns_a_request(database: Database) {
    let served = Served::released(database, "partners");
    let request = served.scene.request();
    let page = served.get_as("ada", &format!("/v1/statements?kind=request&prefix={request}")).json();
    let digest = page["statements"][0]["digest"].as_str().unwrap();
    let url = format!("{}/v1/requests/{digest}/assignee", served.process.url);
    let put = |body: &str| {
        let bearer = Some(served.bearer("ada"));
        ask(&Ask { url: url.clone(), method: "PUT", body: Some(body.to_owned()), bearer, ..Ask::default() })
    };
    insta::assert_snapshot!(refusal(&put("[]")), @"
    400 the request makes no sense: the body: invalid type: sequence, expected struct Assignment at line 1 column 0
      next: see /openapi.json for what is expected here
    ");
    insta::assert_snapshot!(refusal(&put("{\"assignee\": 1}")), @"
    400 the request makes no sense: the body: invalid type: integer `1`, expected a string at line 1 column 14
      next: see /openapi.json for what is expected here
    ");
    assert_eq!(put("{}").status, 200);
}

fn a_request_that_no_rule_could_permit_is_refused_with_the_rule(database: Database) {
    let served = Served::released(database, "partners");
    // The client would not even send these.
    let eve = request_by(&served, &served.scene.identity("eve"), |_| {});
    insta::assert_snapshot!(refusal(&served.post("/v1/statements", &eve.to_json())), @"
    403 a rule forbids it: the policy does not permit it: the person belongs to no organization on record and is not named; admitted: 'Lab', 'University'
      next: `portcullis request new <checkpoint> --terms` shows what the stage allows
    ");
    let long = request_by(&served, &served.scene.identity("rosa"), |request| request.days = 9999);
    insta::assert_snapshot!(refusal(&served.post("/v1/statements", &long.to_json())), @"
    403 a rule forbids it: the policy does not permit it: 9999 days are asked for, and at most 90 may be
      next: `portcullis request new <checkpoint> --terms` shows what the stage allows
    ");
    let old = request_by(&served, &served.scene.identity("rosa"), |request| {
        request.created = Timestamp::now().plus_days(0).plus_seconds(-86_400);
    });
    let refused = served.post("/v1/statements", &old.to_json());
    insta::assert_snapshot!(served.scene.stable(&refusal(&refused)), @"
    422 it does not verify: it is dated <time>, and the clock here says <time>
      next: set the clock, and make it again
    ");
}

fn nobody_approves_their_own_request(database: Database) {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    let new = format!("request new {ID} --purpose Own --use detection --days 30 --accept-agreement");
    let request = scene.digits(&scene.json("ada", &new)["request"]);
    insta::assert_snapshot!(scene.refuse("ada", &format!("approve {request}")), @"
    exit 3
    error: nobody may approve their own request
      next: leave it to the other members
    ");
    scene.succeed("ben", &format!("approve {request}"));
    let shown = scene.succeed("ada", &format!("request show {request}"));
    assert!(shown.starts_with("pending: 1 of 2"), "{shown}");
    scene.succeed("cy", &format!("approve {request}"));
    let shown = scene.succeed("ada", &format!("request show {request}"));
    assert!(shown.starts_with("granted until"), "{shown}");
}

fn a_request_is_decided_once(database: Database) {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    let (request, _) = served.granted();
    insta::assert_snapshot!(no_url(&served, &scene.refuse("ben", &format!("deny {request} --reason No"))), @"
    exit 3
    error: <registry> refuses: the request <digest> is granted already
      next: a grant is ended with `portcullis revoke <grant> --reason \"…\"`; for anything else, ask with a new request
    ");
    insta::assert_snapshot!(no_url(&served, &scene.refuse("rosa", &format!("request withdraw {request}"))), @"
    exit 3
    error: <registry> refuses: the request <digest> is granted already
      next: a grant is ended with `portcullis revoke <grant> --reason \"…\"`; for anything else, ask with a new request
    ");
    let another = format!("request new {ID} --purpose Another --use detection --days 30 --accept-agreement");
    let request = scene.digits(&scene.json("rosa", &another)["request"]);
    scene.succeed("rosa", &format!("request withdraw {request}"));
    insta::assert_snapshot!(no_url(&served, &scene.refuse("ada", &format!("approve {request}"))), @"
    exit 3
    error: rosa took this request back
      next: ask them to request it again
    ");
    assert!(scene.succeed("ada", &format!("request show {request}")).starts_with("withdrawn\n"));
}

fn a_denied_request_can_be_made_again(database: Database) {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    let request = scene.request();
    scene.succeed("cy", &format!("deny {request} --reason Vague"));
    let shown = scene.succeed("rosa", &format!("request show {request}"));
    assert!(shown.starts_with("denied: Vague\n"), "{shown}");
    let again = format!("request new {ID} --purpose Precisely --use detection --days 30 --accept-agreement");
    let again = scene.digits(&scene.json("rosa", &again)["request"]);
    scene.succeed("ada", &format!("approve {again}"));
    scene.succeed("ben", &format!("approve {again}"));
    assert!(scene.succeed("rosa", &format!("request show {again}")).starts_with("granted until"));
}

fn a_grant_is_renewed_by_another_request(database: Database) {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    let (request, _) = served.granted();
    let renew = format!(
        "request new {ID} --purpose More --use detection --days 60 --accept-agreement --renew {request}"
    );
    let renewed = scene.json("rosa", &renew)["request"].as_str().unwrap().to_owned();
    let standing = served.get_as("ada", &format!("/v1/requests/{renewed}")).json();
    assert!(standing["request"]["renews"].as_str().unwrap().starts_with(&request), "{standing}");
    // Somebody else's request is nobody's to renew.
    let earlier = request_by(&served, &served.scene.identity("rosa"), |_| {});
    served.post("/v1/statements", &earlier.to_json());
    let foreign = request_by(&served, &served.scene.identity("ada"), |request| {
        request.renews = Some(earlier.digest());
    });
    let refused = served.post("/v1/statements", &foreign.to_json());
    insta::assert_snapshot!(served.scene.stable(&refusal(&refused)), @"
    404 there is no such thing here: there is no request <digest> here
      next: check the digest, and that it was handed in here
    ");
}

fn several_boards_decide_together(database: Database) {
    let served = Served::founded(database);
    let scene = &served.scene;
    // The owners found a board for ethics, which holds no shares.
    scene.found_board("ethics", "eve", &["ada", "ben"]);
    served.release("internal");
    let both = POLICY
        .replacen("approvals = { board = 2 }", "approvals = { board = 2, ethics = 1 }", 2)
        .replace("version = 1", "version = 2");
    served.propose(&both, "partners");
    let request = scene.request();
    scene.succeed("ada", &format!("approve {request}"));
    scene.succeed("ben", &format!("approve {request}"));
    let shown = scene.succeed("rosa", &format!("request show {request}"));
    assert!(shown.starts_with("pending"), "{shown}");
    scene.succeed("eve", &format!("approve {request}"));
    let shown = scene.succeed("rosa", &format!("request show {request}"));
    assert!(shown.starts_with("granted until"), "{shown}");
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
}

fn a_public_stage_answers_by_itself(database: Database) {
    let served = Served::released(database, "public");
    let scene = &served.scene;
    // Asked before the board handed its lock over: it waits.
    let new = format!("request new {ID} --purpose Curiosity");
    let early = scene.digits(&scene.json("rosa", &new)["request"]);
    assert!(scene.succeed("rosa", &format!("request show {early}")).starts_with("pending"));
    scene.succeed("ada", &format!("handover {ID}"));
    scene.succeed("cy", &format!("handover {ID}"));
    assert!(scene.succeed("rosa", &format!("request show {early}")).starts_with("granted until"));
    // Asked after: answered at once.
    scene.succeed("eve", &new);
    for person in ["rosa", "eve"] {
        scene.succeed(person, &format!("pull {ID}"));
        scene.succeed(person, &format!("run {ID} Hello -n 2"));
    }
}

fn what_is_private_is_shown_to_those_whom_it_concerns(database: Database) {
    let served = Served::released(database, "partners");
    let (request, grant) = served.granted();
    for (kind, prefix) in [("request", &request), ("grant", &grant)] {
        let path = format!("/v1/statements?kind={kind}&prefix={prefix}");
        for (person, sees) in [("rosa", true), ("cy", true), ("eve", false)] {
            let page = served.get_as(person, &path).json();
            assert_eq!(page["statements"].as_array().unwrap().is_empty(), !sees, "{person} {kind}");
        }
        insta::allow_duplicates! {
            insta::assert_snapshot!(refusal(&served.get(&path)), @"
            401 nobody proved who is asking: this may be read only by those whom it concerns
              next: answer a challenge of POST /v1/challenges at POST /v1/sessions, and send the bearer
            ");
        }
    }
    let full = served.get_as("rosa", &format!("/v1/statements?kind=grant&prefix={grant}")).json();
    let full = full["statements"][0]["digest"].as_str().unwrap().to_owned();
    let eve = served.get_as("eve", &format!("/v1/grants/{full}"));
    insta::assert_snapshot!(refusal(&eve), @"
    403 a rule forbids it: this is not for you to read or to do
      next: use the identity whose it is (--home)
    ");
    assert_eq!(served.get_as("rosa", &format!("/v1/grants/{full}")).json()["counts"], true);
    let shares = served.get_as("rosa", &format!("/v1/statements?kind=share&about={full}")).json();
    assert_eq!(shares["statements"].as_array().unwrap().len(), 2);
    let none = served.get_as("eve", &format!("/v1/statements?kind=share&about={full}")).json();
    assert_eq!(none["statements"].as_array().unwrap().len(), 0);
}

fn only_a_fresh_answer_to_an_own_challenge_opens_a_session(database: Database) {
    let served = Served::founded(database);
    let rosa = served.scene.identity("rosa");
    let registry: KeyId = served.get("/v1/registry").json()["key_id"].as_str().unwrap().parse().unwrap();
    let challenge = || served.post("/v1/challenges", "").json()["challenge"].as_str().unwrap().to_owned();
    let answer = |challenge: &str, registry: KeyId, created: Timestamp| {
        let origin = Some(served.process.url.parse().unwrap());
        let session = Session { registry, origin, card: rosa.card().clone(), created };
        let digest = Sha256Digest::compute(challenge.as_bytes());
        let subject = Subject { name: "anything".to_owned(), digest };
        let envelope = Statement::without_catalogue(subject, session).sign(&*rosa.signer(None).unwrap());
        served.post("/v1/sessions", &envelope.unwrap().to_json())
    };
    let now = Timestamp::now();
    let used = challenge();
    assert_eq!(answer(&used, registry, now).status, 201);
    let replayed = answer(&used, registry, now);
    insta::assert_snapshot!(refusal(&replayed), @"
    422 it does not verify: the challenge is not one of this registry's, was used before, or is over
      next: ask for a new challenge
    ");
    let made_up = answer("no such challenge", registry, now);
    assert_eq!(refusal(&made_up), refusal(&replayed));
    let expired = answer(&challenge(), registry, now.plus_seconds(-3600));
    insta::assert_snapshot!(served.scene.stable(&refusal(&expired)), @"
    403 a rule forbids it: the answer expired at <time>
      next: ask again, under the rules that are in force now
    ");
    let other = answer(&challenge(), rosa.card().verifying_key.id(), now);
    insta::assert_snapshot!(served.scene.stable(&refusal(&other)), @"
    422 it does not verify: it answers the challenge of the registry <digest>, not of <digest>
      next: check the registry's address
    ");
    let url = format!("{}/v1/requests", served.process.url);
    let forged = ask(&Ask { url, bearer: Some("not-a-bearer".to_owned()), ..Ask::default() });
    assert_eq!((forged.status, forged.header("www-authenticate")), (401, Some("Bearer")));
    insta::assert_snapshot!(refusal(&forged), @"
    401 nobody proved who is asking: the bearer is not of this registry, or is over
      next: answer a challenge of POST /v1/challenges at POST /v1/sessions, and send the bearer
    ");
}

fn a_lease_is_refused_after_a_revocation(database: Database) {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    let (_, grant) = served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", "lease");
    scene.succeed("cy", &format!("revoke {grant} --reason Stolen"));
    let page = served.get_as("rosa", &format!("/v1/statements?kind=grant&prefix={grant}")).json();
    let digest = page["statements"][0]["digest"].as_str().unwrap();
    let url = format!("{}/v1/grants/{digest}/lease", served.process.url);
    // As a client that does not look at the revocation would.
    let refused = ask(&Ask { url, method: "POST", bearer: Some(served.bearer("rosa")), ..Ask::default() });
    insta::assert_snapshot!(scene.stable(&refusal(&refused)), @"
    403 a rule forbids it: the grant was revoked on <time>: Stolen
      next: stop using it; write to ada (Lab), ben (Lab) or cy (Lab) of the board if you think that this is a mistake
    ");
    insta::assert_snapshot!(scene.refuse("rosa", &format!("run {ID} Hello")), @"
    exit 3
    error: the grant <digits> for `tiny` does not count: the grant was revoked on <time>: Stolen
      next: stop using it; write to ada (Lab), ben (Lab) or cy (Lab) of the board if you think that this is a mistake
    ");
    insta::assert_snapshot!(scene.refuse("rosa", &format!("lease {ID}")), @"
    exit 3
    error: the grant <digits> for `tiny` does not count: the grant was revoked on <time>: Stolen
      next: stop using it; write to ada (Lab), ben (Lab) or cy (Lab) of the board if you think that this is a mistake
    ");
}

fn a_lease_that_is_over_is_refused_offline_with_whom_to_write_to(database: Database) {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", "lease");
    // As the same lease stands a day later: the registry's own, and over.
    let vault = Vault::at(scene.at("homes/rosa/vault"));
    let found = vault.statements().list("lease").unwrap().remove(0);
    let mut lease = found.envelope.claim::<Lease>().unwrap();
    lease.predicate.issued = Timestamp::now().plus_hours(24).plus_seconds(-2 * 24 * 3600);
    lease.predicate.expires = Timestamp::now().plus_seconds(-1);
    let registry = IdentityFile::new(scene.at("reg/identity.age")).read(None).unwrap().signer(None).unwrap();
    let over = lease.sign(&*registry).unwrap();
    std::fs::remove_dir_all(scene.at("homes/rosa/vault/statements/leases")).unwrap();
    vault.statements().put("lease", &over, &registry.verifying_key()).unwrap();
    let url = served.process.url.clone();
    served.process.kill();
    let refused = scene.refuse("rosa", &format!("run {ID} Hello")).replace(&url, "<registry>");
    insta::assert_snapshot!(refused, @"
    exit 3
    note: <registry> is out of reach (nothing listens there: it refused the connection); using the catalogue as seen last
    error: there is no live lease for the grant <digits> of `tiny`: the lease expired at <time>
      next: `portcullis lease` renews it while the registry can be reached; if it refuses, write to ada (Lab), ben (Lab) or cy (Lab) of the board
    ");
}

fn what_was_acknowledged_survives_a_kill(database: Database) {
    let served = Served::released(database, "partners");
    let mut process = served.replica();
    let rosa = served.scene.identity("rosa");
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        for _ in 0..4 {
            let request = request_by(&served, &rosa, |request| {
                request.purpose = format!("Round {round}, {}", acknowledged.len()).parse().unwrap();
            });
            let url = format!("{}/v1/statements", process.url);
            let answer = ask(&Ask { url, method: "POST", body: Some(request.to_json()), ..Ask::default() });
            assert_eq!(answer.status, 201, "{}", answer.text);
            acknowledged.push(request.digest());
        }
        process.kill();
        process = served.replica();
    }
    for digest in acknowledged {
        assert_eq!(served.get_as("rosa", &format!("/v1/requests/{digest}")).status, 200, "{digest}");
    }
    assert!(Process::stop(process));
}

fn lists_come_in_pages(database: Database) {
    let served = Served::released(database, "partners");
    let rosa = served.scene.identity("rosa");
    let mut sent = Vec::new();
    for number in 0..7 {
        let request = request_by(&served, &rosa, |request| {
            request.purpose = format!("Number {number}").parse().unwrap();
        });
        assert_eq!(served.post("/v1/statements", &request.to_json()).status, 201);
        sent.push(request.digest().to_string());
    }
    for (person, path) in
        [("rosa", "/v1/requests?limit=3"), ("ada", "/v1/requests?limit=3&checkpoint=tiny&state=pending")]
    {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = served.get_as(person, &format!("{path}{after}")).json();
            let requests = page["requests"].as_array().unwrap();
            assert!(requests.len() <= 3);
            seen.extend(requests.iter().map(|item| item["digest"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, sent, "{person}");
    }
    let eve = served.get_as("eve", "/v1/requests?checkpoint=tiny");
    insta::assert_snapshot!(refusal(&eve), @"
    403 a rule forbids it: this is not for you to read or to do
      next: use the identity whose it is (--home)
    ");
    let bad = served.get_as("eve", "/v1/requests?limit=0");
    insta::assert_snapshot!(refusal(&bad), @"
    400 the request makes no sense: the query: limit is not 1 to 1000
      next: see /openapi.json for what is expected here
    ");
}

fn a_chunk_is_kept_under_its_own_digest_only(database: Database) {
    let served = Served::founded(database);
    let put = |person: &str, digest: String| {
        let url = format!("{}/v1/chunks/{digest}", served.process.url);
        let bearer = Some(served.bearer(person));
        ask(&Ask { url, method: "PUT", body: Some("ciphertext".to_owned()), bearer, ..Ask::default() })
    };
    insta::assert_snapshot!(refusal(&put("ada", "0".repeat(64))), @"
    422 it does not verify: the chunk's SHA-256 is 305531dcc50ebca31cf1d5b31e9fc76ed51f66b3b6dd5a030c6539ae6532f979, not 0000000000000000000000000000000000000000000000000000000000000000
      next: send the chunk whole, under the SHA-256 of its bytes
    ");
    let digest = portcullis::digest::Sha256Digest::compute(b"ciphertext").to_string();
    insta::assert_snapshot!(refusal(&put("rosa", digest.clone())), @"
    403 a rule forbids it: this is not for you to read or to do
      next: use the identity whose it is (--home)
    ");
    assert_eq!(put("ada", digest.clone()).status, 201);
    assert_eq!(put("ada", digest).status, 204);
}

fn the_newest_of_many_can_be_asked_for(database: Database) {
    let served = Served::released(database, "partners");
    let (_, grant) = served.granted();
    let page = served.get_as("rosa", &format!("/v1/statements?kind=grant&prefix={grant}")).json();
    let about = format!("kind=share&about={}", page["statements"][0]["digest"].as_str().unwrap());
    let all = served.get_as("rosa", &format!("/v1/statements?{about}")).json();
    let newest = served.get_as("rosa", &format!("/v1/statements?{about}&newest=true&limit=1")).json();
    assert_eq!(all["statements"].as_array().unwrap().len(), 2, "a share of each of the two who approved");
    assert_eq!(newest["statements"], serde_json::json!([all["statements"][1]]));
    assert!(newest["next"].is_null(), "{newest}");
    let eve = served.get_as("eve", &format!("/v1/statements?{about}&newest=true")).json();
    assert_eq!(eve["statements"], serde_json::json!([]));
    let bad = served.get_as("rosa", "/v1/statements?kind=share&newest=true");
    insta::assert_snapshot!(refusal(&bad), @"
    400 the request makes no sense: the query: newest needs about
      next: see /openapi.json for what is expected here
    ");
}

fn keepers_change_the_catalogue_over_http(database: Database) {
    let served = Served::founded(database);
    let scene = &served.scene;
    assert!(
        scene.json("eve", "catalogue status")["proposed"].is_null(),
        "what is proposed is for those who sign"
    );
    insta::assert_snapshot!(no_url(&served, &scene.refuse("eve", "catalogue review")), @"
    exit 3
    error: <registry> refuses: this is not for you to read or to do
      next: use the identity whose it is (--home)
    ");
    scene.succeed("ada", "catalogue rotate root --add cards/eve.card --threshold 2");
    let review = scene.succeed("cy", "catalogue review");
    assert!(review.contains("eve (key ") && review.contains("joins"), "{review}");
    scene.sign_all("ada", "");
    scene.succeed("ada", "catalogue propose root --withdraw");
    scene.succeed("ada", "catalogue propose targets --withdraw");
    assert_eq!(scene.succeed("cy", "catalogue review"), "nothing is proposed\n");
    scene.succeed("ada", "catalogue rotate root --add cards/eve.card --threshold 2");
    scene.sign_all("ada", "");
    let signed = scene.sign_catalogue("cy", "root");
    assert!(signed.contains("in force  root"), "{signed}");
    scene.sign_catalogue("cy", "targets");
    // Every client follows.
    scene.succeed("rosa", "catalogue refresh");
    assert!(scene.json("eve", "catalogue status")["roles"].to_string().contains("\"eve\""));
    insta::assert_snapshot!(no_url(&served, &scene.refuse("ada", "catalogue publish")), @"
    exit 2
    error: this works on a registry that is a folder, and <registry> is a server
      next: the server does it by itself
    ");
}

/// A request that the program itself may refuse to send.
fn request_by(served: &Served, person: &Identity, change: impl FnOnce(&mut Request)) -> Envelope {
    let scene = &served.scene;
    let manifest = std::fs::read(scene.at("homes/ada/sealed/tiny/manifest.json")).unwrap();
    let agreement = std::fs::read(scene.at("agreement.md")).unwrap();
    let mut request = Request {
        checkpoint: ID.parse().unwrap(),
        purpose: "Detectors".parse().unwrap(),
        uses: ["detection".parse().unwrap()].into(),
        days: 30,
        agreement: Some(Sha256Digest::compute(&agreement)),
        renews: None,
        card: person.card().clone(),
        members: Vec::new(),
        created: Timestamp::now(),
    };
    change(&mut request);
    let subject = Subject { name: ID.to_owned(), digest: Sha256Digest::compute(&manifest) };
    Statement::new(scene.catalogue_id("ada"), subject, request).sign(&*person.signer(None).unwrap()).unwrap()
}

/// A refusal's status, detail and next step; it must be a problem of RFC 9457.
fn refusal(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.text);
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status);
    assert!(problem["type"].as_str().unwrap().starts_with("https://portcullis.dev/problems/"));
    format!(
        "{} {}: {}\n  next: {}",
        answer.status,
        problem["title"].as_str().unwrap(),
        problem["detail"].as_str().unwrap(),
        problem["next"].as_str().unwrap_or("-"),
    )
}

fn no_url(served: &Served, text: &str) -> String {
    text.replace(&served.process.url, "<registry>")
}
