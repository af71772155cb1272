//! Passing for somebody of an organization: only a registrar whom the owners named confirms whom it belongs to.

use portcullis::access::Affiliation;
use portcullis::catalogue::Organizations;
use portcullis::statement::{CatalogueId, Statement, Subject};
use portcullis::time::Timestamp;
use proptest::prelude::*;

use crate::support::people::{ID, POLICY, Scene};
use crate::support::served::{Database, Served};

const NEW: &str = "request new tiny --purpose Detectors --use detection --days 9 --accept-agreement";

/// A release whose partners must be confirmed; remy is named registrar of the university, and mallory of another organization.
fn confirmed_partners(database: Database) -> Served {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    for person in ["remy", "mallory"] {
        scene.succeed(person, &format!("identity new --name {person} --no-passphrase"));
        scene.succeed(person, &format!("identity card --to cards/{person}.card"));
        scene.succeed(person, &format!("join {} --root root.json", served.process.url));
    }
    for (organization, registrar) in [("University", "remy"), ("Elsewhere", "mallory")] {
        let add = format!("catalogue organization add {organization} --registrar cards/{registrar}.card");
        scene.succeed("ada", &add);
        scene.sign_all("ben", "");
    }
    let policy = POLICY.replace("version = 1", "version = 2").replace(
        r#"audience.organizations = ["Lab", "University"]"#,
        "audience.organizations = [\"Lab\", \"University\"]\naudience.affiliation = \"confirmed\"",
    );
    served.propose(&policy, "partners");
    served
}

fn confirm(scene: &Scene, days: u32) {
    let confirm = format!("affiliation confirm cards/rosa.card --organization University --days {days}");
    scene.succeed("remy", &confirm);
}

#[test]
fn a_stranger_writes_the_name_of_an_organization_on_a_card() {
    for database in [Database::Sqlite, Database::Postgres] {
        let served = confirmed_partners(database);
        let scene = &served.scene;
        let said = scene.refuse("rosa", NEW);
        insta::allow_duplicates! {
            insta::assert_snapshot!(said.replace(&served.process.url, "<registry>"), @"
            exit 3
            error: stage `partners` of tiny wants your organization confirmed: the policy does not permit it: no registrar of 'University' confirmed that the person belongs to it
              next: give your card to remy, its registrar, who runs `portcullis affiliation confirm <card> --organization 'University' --days <days>`; then ask again
            ");
        }
        assert_eq!(scene.succeed("ada", "request list"), "no requests\n", "nothing of it reached the board");
        // With the registrar's word it is a request like any other, to the end.
        confirm(scene, 30);
        let (request, _) = served.granted();
        let shown = scene.succeed("ada", &format!("request show {request}"));
        assert!(scene.stable(&shown).contains("University (confirmed by remy until "), "{shown}");
        scene.succeed("rosa", &format!("pull {ID}"));
        scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
        let list = scene.succeed("rosa", "affiliation list");
        let row = list.lines().nth(1).unwrap_or_default();
        let has = |cell: &str| row.contains(cell);
        assert!(
            row.starts_with("rosa (") && has("  University  ") && has("  until ") && has("  remy"),
            "{list}"
        );
        assert!(scene.succeed("remy", "status").contains("registrar of University"));
        assert!(scene.succeed("eve", "affiliation list").starts_with("registrars confirmed nobody"));
        scene.succeed("rosa", "usage sync");
        let audit = scene.succeed("august", "audit verify");
        assert!(audit.starts_with("the record holds"), "{audit}");
    }
}

#[test]
fn somebody_confirms_themselves_or_speaks_for_another_organization() {
    let served = confirmed_partners(Database::Sqlite);
    let scene = &served.scene;
    let confirm = "affiliation confirm cards/rosa.card --organization University --days 9";
    insta::assert_snapshot!(scene.refuse("rosa", confirm), @"
    exit 3
    error: you are no registrar of University
      next: its registrars confirm: remy
    ");
    insta::assert_snapshot!(scene.refuse("mallory", confirm), @"
    exit 3
    error: you are no registrar of University
      next: its registrars confirm: remy
    ");
    let other = "affiliation confirm cards/rosa.card --organization Elsewhere --days 9";
    insta::assert_snapshot!(scene.refuse("mallory", other), @"
    exit 2
    error: rosa's card names University, not Elsewhere
      next: they make an identity with it: `portcullis identity new --name <name> --organization <name>`
    ");
    // Around the command line, the registry refuses it all the same.
    for (catalogue, signer) in [
        (scene.catalogue_id("rosa"), "mallory"),
        (CatalogueId::new(portcullis::digest::Sha256Digest::compute(b"another")), "remy"),
    ] {
        let card = scene.identity("rosa").card().clone();
        let now = Timestamp::now();
        let said = Affiliation {
            organization: "University".parse().unwrap(),
            person: card,
            created: now,
            until: now.plus_days(9),
            reason: None,
        };
        let signer = scene.identity(signer).signer(None).unwrap();
        let envelope = said.statement(catalogue).sign(&*signer).unwrap();
        let answer = served.post("/v1/statements", &envelope.to_json());
        assert!([400, 403, 422].contains(&answer.status), "{}: {}", answer.status, answer.text);
    }
    let said = scene.refuse("rosa", NEW);
    assert!(said.contains("no registrar of 'University' confirmed"), "{said}");
}

#[test]
fn a_person_goes_on_after_the_registrar_withdrew_them() {
    let served = confirmed_partners(Database::Sqlite);
    let scene = &served.scene;
    confirm(scene, 30);
    served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("lease {ID}"));
    let withdraw = "affiliation withdraw cards/rosa.card --organization University --reason Left";
    scene.succeed("remy", withdraw);
    let said = scene.refuse("rosa", &format!("lease {ID}"));
    insta::assert_snapshot!(said.replace(&served.process.url, "<registry>"), @"
    exit 3
    error: the grant <digits> for `tiny` does not count: the policy does not permit it: what a registrar of 'University' confirmed of the person ended at <time>
      next: give your card to remy, its registrar, who runs `portcullis affiliation confirm <card> --organization 'University' --days <days>`; then ask again
    ");
    let said = scene.refuse("rosa", NEW);
    assert!(said.contains("ended at <time>"), "{said}");
    // An older word that is handed in again changes nothing, and the registrar may confirm anew.
    confirm(scene, 3);
    scene.succeed("rosa", &format!("lease {ID}"));
    assert!(scene.succeed("august", "audit verify").starts_with("the record holds"));
}

#[test]
fn a_registrar_who_was_taken_away_goes_on_confirming() {
    let served = confirmed_partners(Database::Sqlite);
    let scene = &served.scene;
    confirm(scene, 30);
    served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("ada", "catalogue organization remove University --registrar remy");
    let review = scene.succeed("ben", "catalogue review");
    assert!(review.contains("confirms nobody of University any more: remy (key "), "{review}");
    scene.sign_all("ben", "");
    let said = scene.refuse("rosa", &format!("lease {ID}"));
    assert!(said.contains("no registrar of 'University' confirmed"), "{said}");
    let said = scene.refuse("remy", "affiliation confirm cards/rosa.card --organization University --days 9");
    assert!(said.contains("the catalogue names no registrar of University"), "{said}");
}

#[test]
fn one_statement_is_about_a_person_and_carries_another() {
    let scene = Scene::with_people();
    let now = Timestamp::now();
    let (rosa, ada) = (scene.identity("rosa"), scene.identity("ada"));
    let said = Affiliation {
        organization: "University".parse().unwrap(),
        person: rosa.card().clone(),
        created: now,
        until: now.plus_days(9),
        reason: None,
    };
    let registrar = ada.signer(None).unwrap();
    let organizations = |name: &str| {
        let mut known = Organizations::default();
        known.add(name.parse().unwrap(), [registrar.verifying_key()]);
        known
    };
    let catalogue = CatalogueId::new(portcullis::digest::Sha256Digest::compute(b"catalogue"));
    let registrars = |name: &str| {
        let organizations = organizations(name);
        let keys = organizations.registrars(&name.parse().unwrap()).unwrap().iter().copied();
        let quorum =
            portcullis::statement::Quorum::new("registrars", keys, 1).unwrap().with_catalogue(catalogue);
        [(name.parse().unwrap(), quorum)].into()
    };
    let verify = |said: Affiliation, subject: Option<Subject>| {
        let mut statement = said.statement(catalogue);
        if let Some(subject) = subject {
            statement = Statement::new(catalogue, subject, statement.predicate);
        }
        let envelope = statement.sign(&*registrar).unwrap();
        portcullis::access::verify_affiliation(&envelope, &registrars("University"))
    };
    assert!(verify(said.clone(), None).is_ok());
    let other = Affiliation::id(&ada.card().verifying_key, &"University".parse().unwrap());
    let other = Subject { name: "affiliation".to_owned(), digest: other };
    assert!(verify(said.clone(), Some(other)).is_err(), "another's subject");
    let person = ada.card().clone();
    assert!(verify(Affiliation { person, ..said.clone() }, None).is_err(), "a card of another organization");
    let until = now.plus_days(2000);
    assert!(verify(Affiliation { until, ..said }, None).is_err(), "an end that is too far away");
}

proptest! {
    /// No bytes make the parser of registrars fail otherwise than with an error, and what it reads it writes the same.
    #[test]
    fn registrars_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in "[ -~]{0,200}") {
        for bytes in [bytes, text.clone().into_bytes(), format!("{{\"schema\":1,\"organizations\":[{text}]}}").into_bytes()] {
            if let Ok(read) = Organizations::parse(&bytes) {
                prop_assert_eq!(Organizations::parse(&read.to_bytes().unwrap()).unwrap(), read);
            }
        }
    }
}
