//! Erasing usage with a shell and the program as it is.

use std::fs::{self, File};
use std::process::Command;

use serde_json::{Value, json};

use crate::support;
use crate::support::people::{ID, Scene};
use crate::support::served::{Database, Served};

/// A served registry whose researcher ran once, which came in, and then something else, which did not.
fn used(database: Database) -> Served {
    let served = Served::released(database, "partners");
    served.granted();
    let scene = &served.scene;
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    scene.succeed("rosa", &format!("lease {ID}"));
    served
}

fn run(scene: &Scene) {
    scene.succeed("rosa", &format!("run {ID} Secret -n 2"));
}

/// Copies as a shell does, with everything that it can keep.
fn cp(scene: &Scene, from: &str, to: &str) {
    let copied = Command::new("cp").arg("-a").args([from, to]).current_dir(scene.path()).status().unwrap();
    assert!(copied.success());
}

/// Nothing runs, is brought in or leased in a home, online or not, and the doctor says why.
fn refused(scene: &Scene, home: &str, because: &str) {
    for command in [
        format!("run {ID} Hello -n 2"),
        format!("--offline run {ID} Hello -n 2"),
        format!("lease {ID}"),
        "usage sync".to_owned(),
        "usage status".to_owned(),
    ] {
        let said = scene.refuse(home, &command);
        assert!(said.contains(because), "{command}: {said}");
    }
    let doctor = support::text(&scene.run(home, "doctor").stdout);
    assert!(doctor.contains(because), "{doctor}");
}

fn journal(scene: &Scene, home: &str) -> String {
    scene.json(home, "usage status")["journal"]["journal"].as_str().unwrap().to_owned()
}

/// Takes away what did not come in yet.
fn cut(scene: &Scene) {
    let synced: Value =
        serde_json::from_slice(&fs::read(scene.at("homes/rosa/usage/synced.json")).unwrap()).unwrap();
    let lines = File::options().write(true).open(scene.at("homes/rosa/usage/journal.jsonl")).unwrap();
    lines.set_len(synced["known"]["offset"].as_u64().unwrap()).unwrap();
    drop(fs::remove_file(scene.at("homes/rosa/usage/tail.json")));
}

#[test]
fn the_end_of_a_journal_is_cut_off_with_what_said_how_long_it_was() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    run(scene);
    let lost = journal(scene, "rosa");
    cut(scene);
    refused(scene, "rosa", "the usage journal ends after 2 records, and had 4: its end was cut off");
    // What says how far it went is needed, not only heeded.
    fs::remove_file(scene.at("homes/rosa/usage-mark.json")).unwrap();
    refused(scene, "rosa", "is gone: records may be missing");
    scene.succeed("rosa", &format!("usage explain {lost} --reason Cleaning"));
    let cases = scene.json("august", "case list");
    assert!(cases.to_string().contains("Cleaning") && cases.to_string().contains("journal-lost"), "{cases}");
    run(scene);
    assert_ne!(journal(scene, "rosa"), lost);
}

#[test]
fn the_folder_of_a_journal_is_put_back_from_a_copy() {
    for database in [Database::Sqlite, Database::Postgres] {
        let served = used(database);
        let scene = &served.scene;
        cp(scene, "homes/rosa/usage", "copy");
        run(scene);
        fs::rename(scene.at("homes/rosa/usage"), scene.at("kept")).unwrap();
        fs::rename(scene.at("copy"), scene.at("homes/rosa/usage")).unwrap();
        refused(scene, "rosa", "its end was cut off");
        // The one that was kept goes on, and all of it comes in.
        fs::rename(scene.at("homes/rosa/usage"), scene.at("copy")).unwrap();
        fs::rename(scene.at("kept"), scene.at("homes/rosa/usage")).unwrap();
        scene.succeed("rosa", "usage sync");
        assert_eq!(scene.json("rosa", "usage status")["journal"]["synced"], 4);
    }
}

#[test]
fn a_home_is_copied_used_offline_and_thrown_away() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    cp(scene, "homes/rosa", "homes/copy");
    refused(scene, "copy", "this home is a copy");
    let said = stable(&served, &scene.refuse("copy", &format!("run {ID} Hello -n 2")));
    insta::assert_snapshot!(said, @r#"
    exit 3
    error: this home is a copy: the usage journal <journal> had 2 records when it was made, and may have more elsewhere
      next: use the home that it was copied from; on another machine of yours: `portcullis usage declare --reason "…"`; if that home is lost: `portcullis usage explain <journal> --reason "…"`, which auditors review
    "#);
    // Put back over the home that it was copied from, it is no other.
    run(scene);
    cp(scene, "homes/copy/.", "homes/rosa");
    refused(scene, "rosa", "this home is a copy");
    // On the record it is another machine.
    scene.succeed("copy", "usage declare --reason My-laptop");
    scene.succeed("copy", &format!("run {ID} Hello -n 2"));
}

#[test]
fn a_journal_of_an_earlier_version_is_taken_over_once_and_not_without_its_end() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    let before = || {
        let status = scene.json("rosa", "usage status")["journal"].clone();
        scene.write("homes/rosa/usage/id.json", &status["journal"].to_string());
        let tail = json!({ "records": status["records"], "link": status["head"] });
        scene.write("homes/rosa/usage/tail.json", &tail.to_string());
        fs::remove_file(scene.at("homes/rosa/usage-mark.json")).unwrap();
    };
    before();
    let taken = scene.run("rosa", &format!("run {ID} Secret -n 2"));
    assert!(taken.status.success());
    let said = support::text(&taken.stderr);
    assert!(said.contains("note: the usage journal is of an earlier version"), "{said}");
    let again = support::text(&scene.run("rosa", &format!("run {ID} Secret -n 2")).stderr);
    assert!(!again.contains("earlier version"), "{again}");
    before();
    cut(scene);
    refused(scene, "rosa", "is gone: records may be missing");
}

#[test]
fn a_journal_vanishes_where_no_registry_knows_of_it() {
    // A registry that is a folder is told of no journal.
    let scene = Scene::released("partners");
    scene.granted();
    run(&scene);
    let lost = journal(&scene, "rosa");
    fs::remove_dir_all(scene.at("homes/rosa/usage")).unwrap();
    let said = scene.refuse("rosa", &format!("run {ID} Hello -n 2"));
    assert!(said.contains(&format!("the usage journal {lost}, which had 2 records, is gone")), "{said}");
    let explained = scene.succeed("rosa", &format!("usage explain {lost} --reason Cleaning"));
    assert!(explained.contains("on this machine only"), "{explained}");
    run(&scene);
}

fn stable(served: &Served, text: &str) -> String {
    let text = text.replace(&served.process.url, "<registry>");
    regex::Regex::new(r"\b[0-9a-f]{32}\b").unwrap().replace_all(&text, "<journal>").into_owned()
}
