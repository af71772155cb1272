//! Misuse review: who may do what in a case, and what follows from it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::people::ID;
use support::served::{Database, Served};

fn used(database: Database) -> (Served, String) {
    let served = Served::released(database, "partners");
    let (_, grant) = served.granted();
    served.scene.succeed("rosa", &format!("pull {ID}"));
    served.scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    (served, grant)
}

#[test]
fn a_case_goes_from_its_opening_to_an_appeal() {
    for database in [Database::Sqlite, Database::Postgres] {
        let (served, grant) = used(database);
        let scene = &served.scene;
        let case = scene.json("august", &format!("case open {grant} --reason Odd --severity high"));
        let case = scene.digits(&case["case"]);
        scene.succeed("august", &format!("case assign {case}"));
        scene.succeed("august", &format!("case comment {case} Hm"));
        scene.succeed("august", &format!("case decide {case} suspend --days 3 --reason Pending"));
        scene.succeed("rosa", &format!("case appeal {case} --reason Mistake"));
        insta::allow_duplicates! {
            insta::assert_snapshot!(scene.stable(&scene.succeed("august", &format!("case show {case}"))), @"
            appealed: case <digits> about tiny
              severity  high
              grant     <digits> of rosa
              raised    <time>: Odd
              <time>  assigned to august
              <time>  noted: Hm
              <time>  decided: suspend until <time>: Pending
              <time>  appealed: Mistake
            ");
            // The person reads the decision, and not what auditors note among themselves.
            insta::assert_snapshot!(scene.stable(&scene.succeed("rosa", &format!("case show {case}"))), @"
            appealed: case <digits> about tiny
              severity  high
              grant     <digits> of rosa
              raised    <time>: Odd
              <time>  decided: suspend until <time>: Pending
              <time>  appealed: Mistake
            ");
        }
        assert!(scene.succeed("august", "case list --open").contains("appealed"));
        scene.succeed("august", &format!("case decide {case} no-finding --reason Fine"));
        assert_eq!(scene.succeed("august", "case list --open"), "no case\n");
        assert!(scene.succeed("august", "audit verify").starts_with("the record holds"));
    }
}

#[test]
fn a_suspension_stops_leases_and_its_end_lets_them_go_on() {
    let (served, grant) = used(Database::Sqlite);
    let scene = &served.scene;
    let case = scene.digits(&scene.json("august", &format!("case open {grant} --reason Odd"))["case"]);
    scene.succeed("august", &format!("case decide {case} suspend --days 3 --reason Pending"));
    let said = scene.refuse("rosa", &format!("lease {ID}"));
    insta::assert_snapshot!(said.replace(&served.process.url, "<registry>"), @"
    exit 3
    error: <registry> refuses: the grant is suspended until <time> by the case <digest>
      next: `portcullis case list` shows why; `portcullis case appeal <case> --reason \"…\"` objects
    ");
    scene.succeed("august", &format!("case decide {case} warn --reason Careful"));
    scene.succeed("rosa", &format!("lease {ID}"));
}

#[test]
fn a_decision_to_revoke_ends_the_grant() {
    let (served, grant) = used(Database::Sqlite);
    let scene = &served.scene;
    let case = scene.digits(&scene.json("august", &format!("case open {grant} --reason Odd"))["case"]);
    scene.succeed("august", &format!("case decide {case} revoke --reason Misuse"));
    insta::assert_snapshot!(scene.refuse("rosa", &format!("run {ID} Hello")), @"
    exit 3
    error: the grant <digits> for `tiny` does not count: the grant was revoked on <time>: Misuse
      next: stop using it; `portcullis case list` shows the case, and `portcullis case appeal <case> --reason \"…\"` objects; or write to ada (Lab), ben (Lab) or cy (Lab) of the board
    ");
}

#[test]
fn others_take_no_step_in_a_case() {
    let (served, grant) = used(Database::Sqlite);
    let scene = &served.scene;
    let case = scene.digits(&scene.json("august", &format!("case open {grant} --reason Odd"))["case"]);
    let mut said = String::new();
    for (person, step) in [
        ("rosa", format!("case appeal {case} --reason Early")),
        ("rosa", format!("case decide {case} no-finding --reason Me")),
        ("august", format!("case appeal {case} --reason Me")),
        ("eve", format!("case decide {case} warn --reason Eve")),
        ("ada", format!("case open {grant} --reason Board")),
        ("august", format!("case decide {case} suspend --reason Forever")),
        ("august", format!("case decide {case} warn --days 3 --reason Days")),
    ] {
        said += &format!("{person}: {}", scene.refuse(person, &step));
    }
    insta::assert_snapshot!(said.replace(&served.process.url, "<registry>"), @"
    rosa: exit 3
    error: <registry> refuses: the case is not decided: there is nothing to appeal against
      next: `portcullis case show <case>` tells how the case stands, and who may do what
    rosa: exit 3
    error: <registry> refuses: one member of the board of auditors must sign, and did not
      next: `portcullis case show <case>` tells how the case stands, and who may do what
    august: exit 3
    error: <registry> refuses: the person whom the case is about must sign, and did not
      next: `portcullis case show <case>` tells how the case stands, and who may do what
    eve: exit 2
    error: no case begins with `<digits>`
      next: `portcullis case list` shows what is there
    ada: exit 3
    error: <registry> refuses: one member of the board of auditors must sign, and did not
      next: `portcullis case show <case>` tells how the case stands, and who may do what
    august: exit 2
    error: the following required arguments were not provided:
      --days <DAYS>

    Usage: portcullis case decide --reason <REASON> --days <DAYS> <CASE> <OUTCOME>

    For more information, try '--help'.
    august: exit 2
    error: only a suspension has days
      next: leave out --days
    ");
}
