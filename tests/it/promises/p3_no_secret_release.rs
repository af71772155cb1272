//! P3: a grant, a lease, a stage, a policy take effect only once they are in the log; the client demands the proof.

use std::fs;

use crate::support::people::ID;
use crate::support::served::{Database, Served};

/// A registry with a checkpoint that rosa was granted, has pulled and has run once.
fn used() -> Served {
    let served = Served::released(Database::Sqlite, "partners");
    served.granted();
    served.scene.succeed("rosa", &format!("pull {ID}"));
    served.scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    served
}

#[test]
fn p3_nothing_opens_without_the_proof_that_it_is_in_the_log() {
    let served = used();
    let scene = &served.scene;
    let receipts = scene.files("homes/rosa/log/receipts");
    let mut kinds: Vec<_> = receipts
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().to_owned())
        .collect();
    kinds.sort();
    assert_eq!(kinds, ["grant", "lease", "manifest", "policy", "stage"]);
    let url = served.process.url.clone();
    served.process.kill();
    // Each of these waits for the registry, which is gone: two stand for the five.
    let of_two = receipts.into_iter().filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("grant") || name.starts_with("stage")
    });
    for receipt in of_two {
        let kept = fs::read(&receipt).unwrap();
        fs::remove_file(&receipt).unwrap();
        let said = scene.refuse("rosa", &format!("run {ID} Hello")).replace(&url, "<registry>");
        assert!(said.contains("nothing here proves that the"), "{said}");
        // One of another entry does not do either.
        let other = scene.files("homes/rosa/log/receipts").pop().unwrap();
        fs::copy(other, &receipt).unwrap();
        assert!(scene.refuse("rosa", &format!("run {ID} Hello")).contains("nothing here proves that the"));
        // Nor does one whose entry was edited.
        let text = String::from_utf8(kept.clone()).unwrap();
        fs::write(&receipt, text.replacen("20", "19", 1)).unwrap();
        let said = scene.refuse("rosa", &format!("run {ID} Hello"));
        assert!(said.contains("the proof does not show that entry"), "{said}");
        fs::write(&receipt, kept).unwrap();
    }
    assert!(scene.run("rosa", &format!("run {ID} Hello -n 2")).status.success());
}

#[test]
fn p3_what_the_registry_keeps_out_of_its_log_has_no_effect() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    // The registry hands policy and grant out, and hides from everybody else that the policy is in force.
    let database = scene.at("reg/registry.db");
    sql(&database, "UPDATE log_entries SET statement = 'hidden' WHERE kind = 'policy'");
    insta::assert_snapshot!(scene.refuse("rosa", &format!("run {ID} Hello")).replace(&served.process.url, "<registry>"), @"
    exit 4
    error: nothing here proves that the policy <digest> is in the registry's log
      next: run it once while the registry can be reached; if it says the same, tell the auditors
    ");
}

#[test]
fn p3_a_log_that_went_back_or_shows_another_history_is_refused() {
    let mut served = used();
    let scene = &served.scene;
    scene.succeed("registry", "registry backup reg --to before.jsonl");
    scene.succeed("rosa", "usage sync");
    scene.succeed("august", "audit verify");
    let listen = served.process.url.trim_start_matches("http://").to_owned();
    assert!(std::mem::replace(&mut served.process, crate::support::served::Process::idle()).stop());
    // The operator brings yesterday's database back, and goes on from there with other entries.
    fs::remove_file(scene.at("reg/registry.db")).unwrap();
    for leftover in ["reg/registry.db-wal", "reg/registry.db-shm"] {
        drop(fs::remove_file(scene.at(leftover)));
    }
    scene.succeed("registry", "registry restore reg --from before.jsonl");
    served.process = crate::support::served::Process::start(scene, &format!("reg --listen {listen}"), &[]);
    let url = served.process.url.clone();
    let scene = &served.scene;
    let numbers = regex::Regex::new(r"\b\d+ entries|had \d+|portcullis.dev/log/[0-9a-f]+").unwrap();
    let said = scene.refuse("august", "audit verify").replace(&url, "<registry>");
    insta::assert_snapshot!(numbers.replace_all(&said, "<count>"), @"
    exit 4
    error: the log shrank from 19 to <count>
      next: keep this machine's `log` folder as it is, and show it to the auditors: the registry's history was changed
    ");
    // What the journal has, and the registry no longer.
    insta::assert_snapshot!(scene.refuse("rosa", &format!("lease {ID}")).replace(&url, "<registry>"), @"
    exit 3
    error: <registry> refuses: the usage journal has 2 records, and 0 of them came in: nothing is leased before all did
      next: `portcullis usage sync` brings the records in; then ask again
    ");
    // It goes on until its log is longer than the one that was seen.
    for number in 0..6 {
        scene.succeed(
            "rosa",
            &format!(
                "request new {ID} --purpose Question-{number} --use detection --days 3 --accept-agreement"
            ),
        );
    }
    let said = scene.refuse("august", "audit verify") + &scene.refuse("rosa", "usage sync");
    insta::assert_snapshot!(numbers.replace_all(&said.replace(&url, "<registry>"), "<count>"), @"
    exit 4
    error: the log of <count> does not continue the one of 19: its history was changed, or the registry keeps two logs
      next: keep this machine's `log` folder as it is, and show it to the auditors: the registry's history was changed
    exit 4
    error: the log of <count> does not continue the one of 18: its history was changed, or the registry keeps two logs
      next: keep this machine's `log` folder as it is, and show it to the auditors: the registry's history was changed
    ");
}

/// Changes a SQLite database behind the registry's back.
fn sql(database: &std::path::Path, query: &str) {
    use sqlx::Connection as _;
    let url = format!("sqlite://{}", database.display());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(query.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}
