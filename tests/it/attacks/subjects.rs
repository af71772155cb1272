//! Choosing the rules that apply by the subject that one writes.

use portcullis::access::{ApprovalShare, Denial, Revocation, Withdrawal};
use portcullis::digest::Sha256Digest;
use portcullis::misuse::{Case, CaseStep, Severity, Step};
use portcullis::seal::ResealedShare;
use portcullis::statement::{Predicate, Statement, Subject};
use portcullis::time::Timestamp;

use crate::support::fixture;
use crate::support::people::{ID, POLICY};
use crate::support::served::{Answer, Database, Served};

/// A registry with a second checkpoint, `other`, whose board is eve alone.
fn with_another_board(database: Database) -> Served {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    scene.found_board("other", "eve", &["ada", "ben"]);
    scene.succeed("eve", &format!("import other {} --to plain-other", fixture("golden/f32").display()));
    scene.succeed("eve", "seal plain-other --chunk-size 65536");
    scene.write("other.toml", &POLICY.replace("\"tiny\"", "\"other\"").replace("board = 2", "board = 1"));
    scene.succeed(
        "eve",
        "catalogue propose other --policy other.toml --agreement agreement.md \
         --manifest homes/eve/sealed/other/manifest.json --stage partners",
    );
    served
}

/// Hands in a statement of a person about the checkpoint that they name.
fn hand_in<P: Predicate>(served: &Served, person: &str, checkpoint: &str, predicate: P) -> Answer {
    let scene = &served.scene;
    let keeper = if checkpoint == "other" { "eve" } else { "ada" };
    let manifest =
        std::fs::read(scene.at(&format!("homes/{keeper}/sealed/{checkpoint}/manifest.json"))).unwrap();
    let subject = Subject { name: checkpoint.to_owned(), digest: Sha256Digest::compute(&manifest) };
    let identity = scene.identity(person);
    let statement = Statement::new(scene.catalogue_id("ada"), subject, predicate);
    served.post("/v1/statements", &statement.sign(&*identity.signer(None).unwrap()).unwrap().to_json())
}

fn whole(served: &Served, kind: &str, digits: &str) -> Sha256Digest {
    let page = served.get_as("ada", &format!("/v1/statements?kind={kind}&prefix={digits}")).json();
    page["statements"][0]["digest"].as_str().unwrap().parse().unwrap()
}

fn now() -> Timestamp {
    Timestamp::now()
}

#[test]
fn a_member_of_another_board_denies_a_request_under_their_own_rules() {
    for database in [Database::Sqlite, Database::Postgres] {
        let served = with_another_board(database);
        let digits = served.scene.request();
        let request = whole(&served, "request", &digits);
        let denial = |created| Denial { request, reason: "No".parse().unwrap(), created };
        let refused = hand_in(&served, "eve", "other", denial(now()));
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert!(refused.text.contains("what it refers to is of tiny"), "{}", refused.text);
        let refused = hand_in(&served, "eve", ID, denial(now()));
        assert!((400..500).contains(&refused.status), "by the right rules, too: {}", refused.text);
        let shown = served.scene.succeed("rosa", &format!("request show {digits}"));
        assert!(shown.starts_with("pending"), "{shown}");
    }
}

#[test]
fn a_member_of_another_board_revokes_a_grant_under_their_own_rules() {
    for database in [Database::Sqlite, Database::Postgres] {
        let served = with_another_board(database);
        let (_, grant) = served.granted();
        let grant = whole(&served, "grant", &grant);
        for checkpoint in ["other", ID] {
            let revocation = Revocation { grant, reason: "No".parse().unwrap(), created: now() };
            let refused = hand_in(&served, "eve", checkpoint, revocation);
            assert!((400..500).contains(&refused.status), "{checkpoint}: {}", refused.text);
        }
        served.scene.succeed("rosa", &format!("pull {ID}"));
        served.scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    }
}

#[test]
fn a_member_of_another_board_adds_a_share_to_a_grant() {
    let served = with_another_board(Database::Sqlite);
    let (_, digits) = served.granted();
    let grant = whole(&served, "grant", &digits);
    let page = served.get_as("rosa", &format!("/v1/statements?kind=share&about={grant}")).json();
    let shares = page["statements"].as_array().unwrap();
    let envelope: portcullis::statement::Envelope =
        serde_json::from_value(shares[0]["envelope"].clone()).unwrap();
    let share: ResealedShare = envelope.claim::<ApprovalShare>().unwrap().predicate.share;
    for checkpoint in ["other", ID] {
        let refused = hand_in(&served, "eve", checkpoint, ApprovalShare { grant, share: share.clone() });
        assert!((400..500).contains(&refused.status), "{checkpoint}: {}", refused.text);
    }
    let after = served.get_as("rosa", &format!("/v1/statements?kind=share&about={grant}")).json();
    assert_eq!(after["statements"].as_array().unwrap().len(), shares.len());
}

#[test]
fn a_case_a_step_and_a_withdrawal_name_another_checkpoint_than_what_they_are_about() {
    let served = with_another_board(Database::Sqlite);
    let (request, grant) = served.granted();
    let (request, grant) = (whole(&served, "request", &request), whole(&served, "grant", &grant));
    let person = served.scene.identity("rosa").card().verifying_key.id();
    let case = || Case {
        grant,
        person,
        records: Vec::new(),
        rules: Vec::new(),
        severity: Severity::High,
        reason: "Odd".parse().unwrap(),
        created: now(),
    };
    let refused = hand_in(&served, "august", "other", case());
    assert!(refused.text.contains("what it refers to is of tiny"), "{}", refused.text);
    let opened = hand_in(&served, "august", ID, case()).json();
    let case = opened["digest"].as_str().unwrap().parse().unwrap();
    let step = Step::Comment { text: "Hm".parse().unwrap() };
    let refused = hand_in(&served, "august", "other", CaseStep { case, step, created: now() });
    assert!(refused.text.contains("what it refers to is of tiny"), "{}", refused.text);
    let refused = hand_in(&served, "rosa", "other", Withdrawal { request, created: now() });
    assert!(refused.text.contains("what it refers to is of tiny"), "{}", refused.text);
}
