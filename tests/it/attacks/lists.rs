//! Floods that push the statement that matters off a page.

use portcullis::digest::Sha256Digest;
use portcullis::identity::KeyId;
use portcullis::statement::Envelope;
use portcullis::store::{Filed, Filing, StatementRow, Store};
use portcullis::time::Timestamp;
use sqlx::Connection as _;

use crate::support::people::{ID, POLICY};
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
                digest: Sha256Digest::compute(format!("{kind} {number}").as_bytes()),
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
    flood(&served, "handover", Sha256Digest::compute(&manifest));
    scene.hand_over("cy");
    let new = format!("request new {ID} --purpose Curiosity");
    scene.succeed("rosa", &new);
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
}

#[test]
fn a_request_that_the_rules_refuse_by_now_keeps_those_behind_it_waiting() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let new = |days: u32| {
        let new =
            format!("request new {ID} --purpose Days{days} --use detection --days {days} --accept-agreement");
        scene.digits(&scene.json("rosa", &new)["request"])
    };
    let refused = new(60);
    // From now on the registry answers by itself, and gives no more than nine days.
    let partners = "audience.organizations = [\"Lab\", \"University\"]\napprovals = { board = 2 }\nagreement = \"agreement.md\"\nuses = [\"detection\", \"bias-analysis\"]\nmax_days = 90";
    assert!(POLICY.contains(partners));
    let answered = "audience = \"anyone\"\napprovals = {}\nagreement = \"agreement.md\"\nuses = [\"detection\"]\nmax_days = 9";
    served.propose(&POLICY.replace("version = 1", "version = 2").replace(partners, answered), "partners");
    let behind = new(9);
    scene.hand_over("ada");
    scene.hand_over("cy");
    let state = |request: &str| scene.succeed("rosa", &format!("request show {request}"));
    assert!(state(&behind).starts_with("granted"), "{}", state(&behind));
    assert!(!state(&refused).starts_with("granted"), "{}", state(&refused));
}

/// Files generations of rosa, as so many batches of hers once did: each an hour and `at` seconds ago.
fn generate(served: &Served, count: u32, (ago, tokens): (i64, i64)) {
    let rosa = served.scene.identity("rosa").card().verifying_key.id();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        sqlx::any::install_default_drivers();
        let mut database = sqlx::AnyConnection::connect(&served.database_url()).await.unwrap();
        sqlx::query(
            "INSERT INTO usage_generations (place, holder, checkpoint, at, tokens, sketch, ended, leased_for) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
             SELECT 'flood' || CAST($2 AS TEXT) || '/' || CAST(i AS TEXT), $3, $4, $5, $6, '', 1, '' FROM n",
        )
        .bind(i64::from(count))
        .bind(ago)
        .bind(rosa.to_string())
        .bind(ID)
        .bind(Timestamp::now().plus_seconds(-ago).unix_seconds())
        .bind(tokens)
        .execute(&mut database)
        .await
        .unwrap();
        database.close().await.unwrap();
    });
}

/// What a rule about the history finds once rosa ran again and synced.
fn found(served: &Served) -> String {
    served.scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    served.scene.succeed("rosa", "usage sync");
    served.scene.succeed("august", "case list")
}

#[test]
fn twenty_thousand_small_generations_hide_what_was_usual_before_them() {
    for database in [Database::Sqlite, Database::Postgres] {
        let (served, _) = granted(database);
        let scene = &served.scene;
        scene.write(
            "rules.toml",
            "schema = 1\nversion = 1\n[[rule]]\nid = \"suddenly-much\"\nkind = \"volume\"\nseverity = \"high\"\naction = \"flag\"\n\
             reason = \"much more than usual\"\nagainst = \"history\"\ntimes = 3.0\nfloor = 1000\nhours = 24\n",
        );
        scene.succeed("ada", "catalogue propose misuse --rules rules.toml");
        for person in ["ada", "ben"] {
            scene.sign_all(person, "");
        }
        // A quiet month, then a day of so many generations that the month was cut off behind them.
        generate(&served, 10, (20 * 24 * 3600, 10));
        generate(&served, 20_001, (3600, 50));
        let cases = found(&served);
        assert!(cases.contains("suddenly-much"), "{cases}");
        // More than can be read is itself what an auditor looks at, once.
        generate(&served, 80_000, (7200, 1));
        let cases = found(&served) + &found(&served);
        assert_eq!(cases.matches("history-too-long").count(), 2, "one case, listed twice: {cases}");
    }
}
