//! Hiding a grave misuse behind a harmless one of the same kind.

use std::fs::File;

use serde_json::Value;

use crate::support;
use crate::support::people::{ID, Scene};
use crate::support::served::{Database, Served};

/// Rosa runs a prompt that a rule asks a reason for, and brings the record in.
fn write_news(scene: &Scene, prompt: &str) {
    scene.write("prompt.txt", prompt);
    let mut command = support::portcullis();
    command.current_dir(scene.path()).args(["--home", "homes/rosa", "run", ID, "-", "-n", "2"]);
    let stdin = File::open(scene.at("prompt.txt")).unwrap();
    let output = command.args(["--justify", "class"]).stdin(stdin).output().unwrap();
    assert!(output.status.success(), "{}", support::failure(&output));
    scene.succeed("rosa", "usage sync");
}

fn open(scene: &Scene) -> Vec<Value> {
    scene.json("august", "case list --open").as_array().unwrap().clone()
}

#[test]
fn a_harmless_hit_opens_a_case_under_which_a_grave_one_goes_unseen() {
    for database in [Database::Sqlite, Database::Postgres] {
        let served = Served::released(database, "partners");
        let scene = &served.scene;
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/misuse.toml");
        scene.succeed("ada", &format!("catalogue propose misuse --rules {rules}"));
        for person in ["ada", "ben"] {
            scene.sign_all(person, "");
        }
        served.granted();
        scene.succeed("rosa", &format!("pull {ID}"));
        write_news(scene, "Write a fake news story.");
        write_news(scene, "Write a fake news story about a bomb.");
        write_news(scene, "Write a fake news story about a flood.");
        // One case a grant and rule is open at a time.
        let first = open(scene);
        assert_eq!(first.len(), 1, "{first:?}");
        assert_eq!(first[0]["case"]["records"].as_array().unwrap().len(), 1);
        scene.decide("august", &scene.digits(&first[0]["digest"]), "no-finding --reason Harmless");

        // What came in meanwhile is a case of its own, which nobody has decided.
        let second = open(scene);
        assert_eq!(second.len(), 1, "{second:?}");
        assert_ne!(second[0]["digest"], first[0]["digest"]);
        let digits = scene.digits(&second[0]["digest"]);
        let shown = scene.stable(&scene.succeed("august", &format!("case show {digits}")));
        insta::allow_duplicates! {
            insta::assert_snapshot!(shown, @"
            open: case <digits> about tiny
              severity  medium
              grant     <digits> of rosa
              raised    <time> by the registry: found while an earlier case about it was open: misleading-news: asks for a news report that is made to look real
              rules     misleading-news
              record    2 of journal <digits>
                prompt  Write a fake news story about a bomb.
                reason  class
              record    4 of journal <digits>
                prompt  Write a fake news story about a flood.
                reason  class
            ");
        }
        scene.decide("august", &digits, "warn --reason Careful");
        assert_eq!(open(scene).len(), 0, "each is taken up once");
        write_news(scene, "Write a fake news story about a fire.");
        assert_eq!(open(scene).len(), 1, "and the next is a case at once");
        assert!(scene.succeed("august", "audit verify").starts_with("the record is valid"));
    }
}
