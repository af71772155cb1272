//! Getting round a suspension, a revocation or a limit by another grant.

use portcullis::access::{CLOCK_TOLERANCE, Grant, Revocation};
use portcullis::digest::Sha256Digest;
use portcullis::identity::SigningKey;
use portcullis::statement::{Envelope, Statement};
use portcullis::time::Timestamp;
use portcullis::usage::{Begin, Error, Journal, JournalPlace, Task};

use crate::support::people::ID;
use crate::support::served::{Database, Served};

const BOTH: [Database; 2] = [Database::Sqlite, Database::Postgres];

/// Two grants to rosa, the digits to name them by.
fn two_grants(served: &Served) -> [String; 2] {
    [30, 29].map(|days| {
        let new =
            format!("request new {ID} --purpose Detectors --use detection --days {days} --accept-agreement");
        let request = served.scene.digits(&served.scene.json("rosa", &new)["request"]);
        served.scene.approve("ada", &request);
        served.scene.approve("ben", &request)
    })
}

#[test]
fn a_revoked_person_goes_on_under_a_second_grant() {
    for database in BOTH {
        let served = Served::released(database, "partners");
        let scene = &served.scene;
        let [first, _] = two_grants(&served);
        scene.succeed("rosa", &format!("pull {ID}"));
        scene.revoke("ada", &first, "Stolen");
        let said = scene.refuse("rosa", &format!("lease {ID}"));
        assert!(said.contains("the grant was revoked on <time>: Stolen"), "{said}");
        // The board may decide anew, and is told that the person was revoked.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let new = format!("request new {ID} --purpose Again --use detection --days 9 --accept-agreement");
        let request = scene.digits(&scene.json("rosa", &new)["request"]);
        for person in ["rosa", "ada"] {
            let shown = scene.succeed(person, &format!("request show {request}"));
            assert!(scene.stable(&shown).contains("sanction     rosa was revoked on <time>"), "{shown}");
        }
        scene.approve("ada", &request);
        scene.approve("ben", &request);
        scene.succeed("rosa", &format!("pull {ID}"));
        scene.succeed("rosa", &format!("lease {ID}"));
    }
}

#[test]
fn a_suspended_person_goes_on_under_a_second_grant() {
    for database in BOTH {
        let served = Served::released(database, "partners");
        let scene = &served.scene;
        let [first, _] = two_grants(&served);
        scene.succeed("rosa", &format!("pull {ID}"));
        let case = scene.open_case("august", &first);
        scene.decide("august", &case, "suspend --days 3 --reason Pending");
        let said = scene.refuse("rosa", &format!("lease {ID}"));
        assert!(said.contains("suspended until"), "{said}");
        let new = format!("request new {ID} --purpose Again --use detection --days 9 --accept-agreement");
        let request = scene.digits(&scene.json("rosa", &new)["request"]);
        let shown = scene.succeed("ada", &format!("request show {request}"));
        assert!(scene.stable(&shown).contains("sanction     rosa is suspended until <time>"), "{shown}");
        scene.approve("ada", &request);
        scene.approve("ben", &request);
        let said = scene.refuse("rosa", &format!("lease {ID}"));
        assert!(said.contains("suspended until"), "a new grant ends no suspension: {said}");
        scene.decide("august", &case, "warn --reason Careful");
        scene.succeed("rosa", &format!("lease {ID}"));
    }
}

#[test]
fn a_sanctioned_person_asks_again_where_the_registry_answers() {
    for database in BOTH {
        let served = Served::released(database, "public");
        let scene = &served.scene;
        scene.hand_over("ada");
        scene.hand_over("cy");
        let new = |purpose: &str| format!("request new {ID} --purpose {purpose}");
        scene.succeed("rosa", &new("First"));
        scene.succeed("rosa", &format!("pull {ID}"));
        let page = served.get_as("rosa", "/v1/statements?kind=grant").json();
        let grant = scene.digits(&page["statements"][0]["digest"]);
        let case = scene.open_case("august", &grant);
        scene.decide("august", &case, "suspend --days 3 --reason Pending");
        let said = scene.refuse("rosa", &new("Second"));
        assert!(said.contains("suspended until"), "{said}");
        scene.decide("august", &case, "revoke --reason Misuse");
        let said = scene.refuse("rosa", &new("Third"));
        assert!(said.contains("the grant was revoked on <time>: Misuse"), "{said}");
        scene.succeed("eve", &new("Other"));
        // What the auditors take back, they take back; times are kept in seconds.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        scene.decide("august", &case, "no-finding --reason Mistake");
        scene.succeed("rosa", &new("Fourth"));
    }
}

#[test]
fn a_revocation_is_cleared_by_a_case_about_something_else() {
    for database in BOTH {
        let served = Served::released(database, "public");
        let scene = &served.scene;
        scene.hand_over("ada");
        scene.hand_over("cy");
        let new = |purpose: &str| format!("request new {ID} --purpose {purpose}");
        scene.succeed("rosa", &new("First"));
        let page = served.get_as("rosa", "/v1/statements?kind=grant").json();
        let grant = scene.digits(&page["statements"][0]["digest"]);
        let earlier = scene.open_case("august", &grant);
        // Times are kept in seconds.
        let a_second = || std::thread::sleep(std::time::Duration::from_millis(1100));
        a_second();
        scene.succeed("ada", &format!("revoke {grant} --reason Leaked"));
        a_second();
        scene.decide("august", &earlier, "no-finding --reason Nothing");
        let said = scene.refuse("rosa", &new("Second"));
        assert!(said.contains("the grant was revoked on <time>: Leaked"), "{said}");
        let since = scene.open_case("august", &grant);
        scene.decide("august", &since, "no-finding --reason Mistaken");
        scene.succeed("rosa", &new("Third"));
    }
}

#[test]
fn a_days_tokens_are_spent_again_under_a_second_grant() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_bytes(&[1; 32]);
    let begin = |grant: &[u8], checkpoint: &str| Begin {
        task: Task::Run,
        checkpoint: checkpoint.parse().unwrap(),
        grant: Sha256Digest::compute(grant),
        lease: Sha256Digest::compute(b"a lease"),
        prompt_tokens: 1,
        max_tokens: 60,
        parameters: None,
        prompt: None,
        sketch: None,
        hits: Vec::new(),
        justification: None,
        blocked: false,
    };
    let mut journal = Journal::open(&JournalPlace::in_home(folder.path()), [1; 16]).unwrap();
    let now = Timestamp::now();
    journal.begin(begin(b"first", ID), Some(100), &key, now).unwrap();
    let again = journal.begin(begin(b"second", ID), Some(100), &key, now);
    assert!(matches!(again, Err(Error::OverLimit { reserved: 60, .. })), "{again:?}");
    journal.begin(begin(b"second", "other"), Some(100), &key, now).unwrap();
}

#[test]
fn an_auditor_who_was_revoked_clears_themselves_in_a_case_of_their_own() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let new = format!("request new {ID} --purpose Mine --use detection --days 30 --accept-agreement");
    let request = scene.digits(&scene.json("august", &new)["request"]);
    scene.approve("ada", &request);
    let grant = scene.approve("ben", &request);
    scene.succeed("ada", &format!("revoke {grant} --reason Enough"));
    let refused = scene.refuse_case("august", &grant);
    insta::assert_snapshot!(refused.replace(&served.process.url, "<registry>"), @"
    exit 3
    error: <registry> refuses: the auditor whom the case is about may not take this step in the case
      next: `portcullis case show <case>` tells how the case stands, and who may do what
    ");
}

/// The statement of a grant, as it was handed in, by its digits.
fn grant_statement(served: &Served, digits: &str) -> Statement<Grant> {
    let page = served.get_as("ada", &format!("/v1/statements?kind=grant&prefix={digits}")).json();
    let envelope: Envelope = serde_json::from_value(page["statements"][0]["envelope"].clone()).unwrap();
    envelope.claim::<Grant>().unwrap()
}

#[test]
fn a_revocation_of_the_year_to_come_is_kept_back_for_it() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let (_, digits) = served.granted();
    let whole = served.get_as("ada", &format!("/v1/statements?kind=grant&prefix={digits}")).json();
    let grant: Sha256Digest = whole["statements"][0]["digest"].as_str().unwrap().parse().unwrap();
    let subject = grant_statement(&served, &digits).subject;
    let ada = scene.identity("ada").signer(None).unwrap();
    let now = Timestamp::now();
    for (created, status) in [(now.plus_days(365), 422), (now.plus_seconds(-365 * 86_400), 422), (now, 201)] {
        let revocation = Revocation { grant, reason: "Leaked".parse().unwrap(), created };
        let signed =
            Statement::new(scene.catalogue_id("ada"), subject.clone(), revocation).sign(&*ada).unwrap();
        let answer = served.post("/v1/statements", &signed.to_json());
        assert_eq!(answer.status, status, "{created}: {}", answer.text);
        if status != 201 {
            assert!(answer.text.contains("it is dated"), "{}", answer.text);
            let decision = served.get_as("ada", &format!("/v1/grants/{grant}")).json();
            assert_eq!(decision["counts"], true, "{decision}");
        }
    }
}

#[test]
fn a_grant_of_members_whose_clocks_run_ahead_outlives_its_revocation() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let request = scene.request();
    let digits = scene.approve("ada", &request);
    // The members' clocks are as far ahead as any may be.
    let mut draft = grant_statement(&served, &digits);
    draft.predicate.issued = draft.predicate.issued.plus_seconds(CLOCK_TOLERANCE - 60);
    draft.predicate.expires = draft.predicate.expires.plus_seconds(CLOCK_TOLERANCE - 60);
    let mut grant = draft.sign(&*scene.identity("ada").signer(None).unwrap()).unwrap();
    grant.merge(&draft.sign(&*scene.identity("ben").signer(None).unwrap()).unwrap()).unwrap();
    let handed_in = served.post("/v1/statements", &grant.to_json());
    assert_eq!(handed_in.status, 201, "{}", handed_in.text);
    let decision = |of| served.get_as("ada", &format!("/v1/grants/{of}")).json();
    assert_eq!(decision(grant.digest())["counts"], true, "{}", decision(grant.digest()));
    scene.succeed("ada", &format!("revoke {} --reason Leaked", grant.digest()));
    let after = decision(grant.digest());
    assert_eq!(after["counts"], false, "{after}");
    assert!(after["refused"].as_str().unwrap().contains("revoked"), "{after}");
}
