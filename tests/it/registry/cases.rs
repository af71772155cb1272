//! Misuse review: who may do what in a case, and what follows from it.

use crate::support::people::ID;
use crate::support::served::{Database, Served};

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
              raised    <time> by august: Odd
              <time>  assigned to august by august
              <time>  noted by august: Hm
              <time>  decided by august: suspend until <time>: Pending
              <time>  appealed by rosa: Mistake
            ");
            // The person reads the decision, and not what auditors note among themselves.
            insta::assert_snapshot!(scene.stable(&scene.succeed("rosa", &format!("case show {case}"))), @"
            appealed: case <digits> about tiny
              severity  high
              grant     <digits> of rosa
              raised    <time> by august: Odd
              <time>  decided by august: suspend until <time>: Pending
              <time>  appealed by rosa: Mistake
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
    error: <registry> refuses: one member of the board of auditors must sign; the signature is missing
      next: `portcullis case show <case>` tells how the case stands, and who may do what
    august: exit 3
    error: <registry> refuses: the person whom the case is about must sign; the signature is missing
      next: `portcullis case show <case>` tells how the case stands, and who may do what
    eve: exit 2
    error: no case begins with `<digits>`
      next: `portcullis case list` shows what is there
    ada: exit 3
    error: <registry> refuses: one member of the board of auditors must sign; the signature is missing
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

#[test]
fn a_board_member_gets_a_report_of_their_checkpoints_and_the_reading_is_on_the_record() {
    let (served, grant) = used(Database::Sqlite);
    let scene = &served.scene;
    let again = format!("request new {ID} --purpose Again --use detection --days 30 --accept-agreement");
    let denied = scene.digits(&scene.json("rosa", &again)["request"]);
    scene.succeed("ben", &format!("deny {denied} --reason Twice"));
    let case = scene.digits(&scene.json("august", &format!("case open {grant} --reason Odd"))["case"]);
    scene.succeed("august", &format!("case decide {case} revoke --reason Misuse"));
    let report = scene.stable(&scene.succeed("ada", "audit report"));
    // Of thirty days, in the same second or after it.
    let hidden = [(r"\b\d+ s\b", "<age>"), (r"\b(29|30) d\b", "<left>"), (" {2,}", "  ")];
    let report = hidden.iter().fold(report, |text, (pattern, word)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
    });
    insta::assert_snapshot!(report, @"
    Report for the boards of tiny to <date>
      as the registry shows it to their members, each statement verified; an auditor proves the whole record

    REQUEST  CHECKPOINT  WHO  AGE  DAYS  STATE
    <digits>  tiny  rosa (<key>)  <age>  30  ended: the grant was revoked on <time>: Misuse
    <digits>  tiny  rosa (<key>)  <age>  30  denied: Twice

    GRANT  CHECKPOINT  WHO  STAGE  AGE  LEFT  STATE
    <digits>  tiny  rosa (<key>)  partners  <age>  <left>  the grant was revoked on <time>: Misuse

    ON  DECISION  CHECKPOINT  WHO  BY  WHY
    <date>  denied  tiny  rosa (<key>)  ben  Twice
    <date>  revoked  tiny  rosa (<key>)  august  Misuse

    CASE  OF  STATE  CHECKPOINT  WHO  WHY
    <digits>  <date>  revoke  tiny  rosa (<key>)  Odd
    ");
    let value = scene.json("ada", "audit report");
    assert_eq!(value["boards"], serde_json::json!([ID]));
    assert_eq!(value["decisions"].as_array().unwrap().len(), 2, "{value}");
    let before = scene.json("ada", "audit report --to 2020-01-01");
    assert!(
        ["requests", "grants", "decisions", "cases"].iter().all(|part| before[part] == serde_json::json!([]))
    );
    // Somebody on no board has nothing to report, and what was read by office is counted.
    insta::assert_snapshot!(scene.refuse("rosa", "audit report").replace(&served.process.url, "<registry>"), @"
    exit 3
    error: <registry> refuses: this is not for you to read or to do
      next: use the identity whose it is (--home)
    ");
    insta::assert_snapshot!(scene.refuse("ada", "audit report --format html"), @"
    exit 2
    error: a report of one's own boards comes as text or JSON only
      next: leave --format out, or ask an auditor for the page
    ");
    let readings = scene.json("august", "audit report")["readings"].to_string();
    assert!(readings.contains("[\"ada\","), "{readings}");
}
