//! Floods that push the statement that matters off a page.

use portcullis::digest::Sha256Digest;
use portcullis::identity::KeyId;
use portcullis::statement::Envelope;
use portcullis::store::{Filed, Filing, StatementRow, Store};
use portcullis::time::Timestamp;

use crate::support::people::ID;
use crate::support::served::{Database, Served};

/// More than a page of statements holds.
const FLOOD: usize = 1001;

/// Files worthless statements of a kind, as a registry that took them in once kept them.
fn flood(served: &Served, kind: &str, about: Sha256Digest) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&served.database_url()).await.unwrap();
        let stranger: KeyId = served.scene.identity("eve").card().verifying_key.id();
        let envelope = Envelope::new("application/vnd.in-toto+json", b"{}".to_vec()).to_json();
        let statements = (0..FLOOD).map(|number| {
            let row = StatementRow {
                digest: Sha256Digest::of(format!("{kind} {number}").as_bytes()),
                signer: stranger,
                kind: kind.to_owned(),
                checkpoint: ID.parse().unwrap(),
                about: Some(about),
                holder: stranger,
                envelope: envelope.clone(),
                received: Timestamp::now(),
            };
            Filed { row, entry: None }
        });
        let statements: Vec<_> = statements.collect();
        let filing = Filing { statements: statements[1..].to_vec(), ..Filing::one(statements[0].clone()) };
        assert!(store.put(filing).await.unwrap());
        store.close().await;
    });
}

fn whole(served: &Served, kind: &str, digits: &str) -> Sha256Digest {
    let page = served.get_as("august", &format!("/v1/statements?kind={kind}&prefix={digits}")).json();
    page["statements"][0]["digest"].as_str().unwrap().parse().unwrap()
}

fn granted(database: Database) -> (Served, Sha256Digest) {
    let served = Served::released(database, "partners");
    let (_, grant) = served.granted();
    served.scene.succeed("rosa", &format!("pull {ID}"));
    let grant = whole(&served, "grant", &grant);
    (served, grant)
}

#[test]
fn a_thousand_worthless_revocations_hide_the_real_one() {
    for database in [Database::Sqlite, Database::Postgres] {
        let (served, grant) = granted(database);
        flood(&served, "revocation", grant);
        served.scene.succeed("rosa", &format!("lease {ID}"));
        served.scene.revoke("ada", &grant.to_string(), "Stolen");
        let said = served.scene.refuse("rosa", &format!("lease {ID}"));
        assert!(said.contains("the grant was revoked on <time>: Stolen"), "{said}");
    }
}

#[test]
fn a_thousand_cases_of_ones_own_hide_the_one_that_suspends() {
    for database in [Database::Sqlite, Database::Postgres] {
        let (served, grant) = granted(database);
        flood(&served, "case", grant);
        let case = served.scene.open_case("august", &grant.to_string());
        served.scene.decide("august", &case, "suspend --days 3 --reason Pending");
        let said = served.scene.refuse("rosa", &format!("lease {ID}"));
        assert!(said.contains("suspended until"), "{said}");
    }
}

#[test]
fn a_thousand_appeals_hide_the_decision_that_suspends() {
    for database in [Database::Sqlite, Database::Postgres] {
        let (served, grant) = granted(database);
        let scene = &served.scene;
        let case = scene.open_case("august", &grant.to_string());
        scene.decide("august", &case, "warn --reason Careful");
        scene.appeal("rosa", &case, "Mistake");
        let said = scene.refuse_appeal("rosa", &case, "Again");
        assert!(said.contains("was appealed already"), "{said}");
        flood(&served, "case-step", whole(&served, "case", &case));
        scene.decide("august", &case, "suspend --days 3 --reason Pending");
        let said = scene.refuse("rosa", &format!("lease {ID}"));
        assert!(said.contains("suspended until"), "{said}");
    }
}

#[test]
fn a_second_case_about_the_same_grant_is_opened_while_the_first_is_open() {
    let (served, grant) = granted(Database::Sqlite);
    let scene = &served.scene;
    let case = scene.open_case("august", &grant.to_string());
    let said = scene.refuse_case("august", &grant.to_string());
    assert!(said.contains("about this grant and rule is open"), "{said}");
    scene.decide("august", &case, "warn --reason Careful");
    scene.open_case("august", &grant.to_string());
}

#[test]
fn a_thousand_handovers_of_one_member_hide_those_of_the_others() {
    let served = Served::released(Database::Sqlite, "public");
    let scene = &served.scene;
    scene.hand_over("ada");
    let manifest = std::fs::read(scene.at("homes/ada/sealed/tiny/manifest.json")).unwrap();
    flood(&served, "handover", Sha256Digest::of(&manifest));
    scene.hand_over("cy");
    let new = format!("request new {ID} --purpose Curiosity");
    scene.succeed("rosa", &new);
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
}
